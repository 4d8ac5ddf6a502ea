"""One run: a world, its clients and its engines, moved one thing at a time as the seed has it."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from drover._plugins import PLUGINS, BackendContext, found
from drover.config import Config
from drover.config import Setting as ConfigSetting
from drover.testing._clock import FakeClock
from drover.testing._cluster import SimulatedCluster
from drover.testing._simulated import Faults, SimulatedBackend
from drover.testing.simulation._clients import CARE_S, Clients
from drover.testing.simulation._danger import Danger, Dice, ProcessKilled
from drover.testing.simulation._lane import Slowness, UnderWay
from drover.testing.simulation._process import SimulatedProcess
from drover.testing.simulation._setting import Setting

MOST_MOVES: Final = 20_000
"""At one instant: more is a loop of the engine's."""
LEAVES_S: Final = 1800.0
"""In which all engines leave once all jobs have ended: far over the longest pause."""
MOST_PROCESSES: Final = 4
CALM: Final = Faults()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, home: Path, factory: "BackendFactory") -> None:
        self.chance: Final = random.Random(seed)  # noqa: S311 - it is to be repeatable
        self.setting: Final = Setting.drawn(self.chance)
        self.home: Final = home
        self.counts: Final[Counter[str]] = Counter()
        self.story: Final[list[str]] = []
        self.findings: Final[list[str]] = []
        """What was seen at once not to be as it must be."""
        self.cluster: Final = SimulatedCluster(
            seed=self.setting.world_seed,
            claim=self.setting.claim,
            slots=self.setting.slots,
            keep_ended_s=self.setting.keep_ended_s,
        )
        assert isinstance(self.cluster.clock, FakeClock)
        self.clock: Final = self.cluster.clock
        self._began: Final = self.clock.monotonic()
        self.config: Final = _config()
        self.faults = CALM
        self.slowness = Slowness()
        self.strays: Final[list[UnderWay]] = []
        """Calls on their way to the outside world whose engine waits for them no more."""
        self._processes: Final[list[SimulatedProcess]] = []
        self._numbers = 0
        self._factory = factory
        self.dice: Final = Dice(self.chance, Danger(), self.counts)
        self.clients: Final = Clients(self)
        self._plan: Final = list(self.setting.plan)
        self._care_at = self._began

    def tell(self, what: str) -> None:
        """Write down what happens."""
        self.story.append(f"{self.elapsed_s:9.3f}  {what}")

    @property
    def elapsed_s(self) -> float:
        """Give the virtual seconds since the beginning."""
        return self.clock.monotonic() - self._began

    def make_backend(self, context: BackendContext) -> SimulatedBackend:
        """Make a backend object for an engine."""
        backend = self._factory(context, self)
        backend.faults = self.faults
        return backend

    # --- the three parts of a run --------------------------------------------------------------

    def storm(self) -> None:
        """Let everything happen that the seed has planned, amid all dangers."""
        self.dice.danger = self.setting.danger
        self.slowness = self.setting.slowness
        self.clients.guard()
        while self._plan:
            self._step()
        self._until(self.elapsed_s + self.chance.uniform(0.0, 30.0))

    def calm_down(self, limit_s: float = 14_400.0) -> None:
        """Let nothing go wrong any more, until every job has ended or the time is over."""
        self.dice.danger = Danger()
        self.slowness = Slowness()
        self.set_weather(rough=False)
        pause_s = 5.0
        while self.clients.unfinished():
            if self.elapsed_s > limit_s:
                return
            self._until(self.elapsed_s + pause_s)
            if pause_s >= 20.0:
                self.clients.let_go()
            pause_s = min(600.0, pause_s * 2.0)

    def outlast(self) -> None:
        """Go on until everything that was paused or on its way has come to its end."""
        self._until(self.elapsed_s + 60.0)
        limit_s = self.elapsed_s + LEAVES_S
        while self.strays or any(not process.is_over for process in self._processes):
            if self.elapsed_s > limit_s:
                self.findings.append("an engine does not leave, and nothing is left to do")
                return
            self._until(self.elapsed_s + 10.0)

    def close(self) -> None:
        """Let go of everything."""
        for process in self._processes:
            process.end()
        self.clients.session.close()

    # --- moving --------------------------------------------------------------------------------

    def _until(self, elapsed_s: float) -> None:
        while self.elapsed_s < elapsed_s:
            self._step(until_s=elapsed_s)

    def _step(self, until_s: float | None = None) -> None:
        """Do all that is to be done at this instant, and go on to the next."""
        self.cluster.catch_up()
        for _ in range(MOST_MOVES):
            moves = self._moves()
            if not moves:
                break
            self._make(self.chance.choice(moves))
        else:
            message = f"no rest after {MOST_MOVES} moves at one instant"
            raise AssertionError(message)
        now = self.clock.monotonic()
        times = self._times()
        if until_s is not None:
            times.append(self._began + until_s)
        # A millisecond at least: two sums of the same seconds may differ in their last bit.
        self.cluster.advance(max(0.001, min(times) - now))

    def _moves(self) -> list[Callable[[], object]]:
        now = self.clock.monotonic()
        moves: list[Callable[[], object]] = []
        if self._plan and self._plan[0][0] <= self.elapsed_s:
            moves.append(self._next_of_plan)
        if self._care_at <= now:
            moves.append(self._care)
        moves += [_act_of(self, way) for way in self.strays if way.acts_at <= now]
        for process in self._processes:
            moves += process.moves()
        return moves

    def _times(self) -> list[float]:
        times = [self._care_at]
        if self._plan:
            times.append(self._began + self._plan[0][0])
        times += [way.acts_at for way in self.strays]
        for process in self._processes:
            times += process.times()
        if self.cluster.next_due is not None:
            times.append(self.cluster.next_due)
        return times

    def _make(self, move: Callable[[], object]) -> None:
        # Killed in a call: its thread is unwound by its next move.
        with contextlib.suppress(ProcessKilled):
            move()
        for process in [process for process in self._processes if process.is_over]:
            self._bury(process)

    def _bury(self, process: SimulatedProcess) -> None:
        self._processes.remove(process)
        process.end()
        # The others may see at once that it is gone, or not before its lease runs out.
        if process.is_killed and self.chance.random() < 0.5:
            self.clients.store.write_off(process.epoch)

    def _next_of_plan(self) -> None:
        _, action = self._plan.pop(0)
        self.clients.do(action)

    def _care(self) -> None:
        self._care_at = self.clock.monotonic() + CARE_S
        self.clients.wait()

    def act(self, way: UnderWay) -> None:
        """Let a call reach the outside world; what it submits must stand in the journal."""
        if way.call.hook == "drover_submit":
            for attempt in way.call.arguments["attempts"]:
                if not self.clients.is_intended(attempt):
                    self.findings.append(f"{attempt.token} is submitted before its intent stands")
        way.act(self.clock.monotonic())

    def act_late(self, way: UnderWay) -> None:
        """Let a call act that nobody waits for."""
        self.strays.remove(way)
        self.counts["calls that acted late"] += 1
        self.tell(f"a late {way.call.hook} acts")
        self.act(way)

    def start_engine(self) -> None:
        """Start a process with an engine; it may find that another one works."""
        if len(self._processes) >= MOST_PROCESSES:
            oldest = self._processes[0]
            oldest.kill("by the system, for want of memory")
        self._numbers += 1
        self.counts["engines"] += 1
        paused = sum(process.frozen_until is not None for process in self._processes)
        self.counts["takeovers from a paused engine"] += paused > 0
        self.tell(f"engine {self._numbers} is started")
        self._processes.append(SimulatedProcess(self, self._numbers))

    def set_weather(self, *, rough: bool) -> None:
        """Let things go wrong, or nothing."""
        self.faults = self.setting.rough if rough else CALM
        self.tell("rough weather" if rough else "calm weather")
        for process in self._processes:
            process.set_faults()


BackendFactory = Callable[[BackendContext, World], SimulatedBackend]


def _act_of(world: World, way: UnderWay) -> Callable[[], None]:
    return lambda: world.act_late(way)


def _config() -> Config:
    """Leave out the plugins that happen to be installed here."""
    names = sorted(found(PLUGINS))
    setting = ConfigSetting(key="plugins.disabled", value=names, origin="simulation")
    return Config(settings={setting.key: setting})
