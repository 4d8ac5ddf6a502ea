"""A process with an engine in it, which can be stopped anywhere and, perhaps, go on later.

The real engine loop runs in a thread of its own, of which exactly one moves at a time: the baton
goes to and fro between it and the simulation.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from drover._engine._lanes import Reply
from drover._engine._loop import EngineLoop
from drover._plugins import Backend, BackendContext, assemble
from drover.config import Config
from drover.errors import StoreUnusableError, UnreachableError
from drover.testing._simulated import SimulatedBackend
from drover.testing.simulation._danger import STORE, Fate, Point, ProcessKilled
from drover.testing.simulation._lane import CHANGING, SimulatedLane, Slowness, UnderWay
from drover.testing.simulation._store import GuardedStore

if TYPE_CHECKING:
    import random

    from drover.testing.simulation._world import World

LANE_MEANWHILE: Final = 0.2
"""How often a lane gets on while the engine's thread stands at a store write."""


class _Bell:
    """Where the engine's loop waits. See `drover._engine._bell`."""

    def __init__(self, process: "SimulatedProcess") -> None:
        self._process: Final = process

    def ring(self) -> None:
        """Wake the loop."""
        self._process.ring()

    def tell(self, seq: int) -> None:
        """Tell nobody: the clients here look from time to time."""

    def wait(self, timeout_s: float | None) -> bool:
        """Wait on the virtual clock."""
        self._process.wait(timeout_s)
        return False

    def rest(self, seconds: float) -> None:
        """Let no real time pass."""

    def close(self) -> None:
        """Listen no more."""
        self._process.leave()


class SimulatedProcess:
    """One engine after the other, or several of which all but one are stale."""

    def __init__(self, world: "World", number: int) -> None:
        self._world = world
        self.number: Final = number
        self.epoch = 0
        self.is_leaving = False
        self.is_over = False
        self.is_killed = False
        self.frozen_until: float | None = None
        self.wake_at: float | None = None
        self._is_rung = True
        self._is_meanwhile = False
        self._lanes: Final[list[SimulatedLane]] = []
        self._backends: Final[list[SimulatedBackend]] = []
        self._baton: Final = threading.Semaphore(0)
        self._back: Final = threading.Semaphore(0)
        self._error: BaseException | None = None
        self._thread: Final = threading.Thread(
            target=self._main, name=f"drover-simulated-{number}", daemon=True
        )
        self._thread.start()

    # --- the thread ----------------------------------------------------------------------------

    def _main(self) -> None:
        self._baton.acquire()
        store: GuardedStore | None = None
        try:
            self.refuse_the_dead()
            store = GuardedStore.open(self._world.home, clock=self._world.clock)
            store.guard(self.gate)
            loop = EngineLoop(
                store,
                self._world.config,
                {},
                load=self._load,
                lanes=self._lane,
                bell=lambda _path: _Bell(self),
                idle_s=self._world.setting.idle_s,
            )
            loop.run()
        except ProcessKilled:
            pass
        except StoreUnusableError as exc:
            self.tell(f"ends: {exc}")
        # Whatever else comes out is our own fault, and is raised where the simulation runs.
        except BaseException as exc:  # noqa: BLE001
            self._error = exc
        finally:
            if store is not None:
                store.close()
            self.is_over = True
            self._back.release()

    def _give_back(self) -> None:
        self._back.release()
        self._baton.acquire()
        self.refuse_the_dead()

    def refuse_the_dead(self) -> None:
        """Let nothing be done by a process that was killed."""
        if self.is_killed:
            raise ProcessKilled

    def _load(self, name: str, context: BackendContext, _config: Config) -> Backend:
        self.epoch = context.epoch
        backend = self._world.make_backend(context)
        backend.before_row = self._row_gate
        self._backends.append(backend)
        return assemble(name, backend, {})

    def _lane(self, backend: Backend, reply: Callable[[Reply], None]) -> SimulatedLane:
        lane = SimulatedLane(self, backend, reply)
        self._lanes.append(lane)
        return lane

    # --- its bell ------------------------------------------------------------------------------

    def ring(self) -> None:
        """Wake it."""
        self._is_rung = True

    def wait(self, timeout_s: float | None) -> None:
        """Let others get on until it is rung for, or the time is over."""
        self.wake_at = None if timeout_s is None else self.now + timeout_s
        self._give_back()

    def leave(self) -> None:
        """Work no more: what is called from now on is called at once."""
        self.is_leaving = True
        self.tell("leaves")

    def tell(self, what: str) -> None:
        """Write down what happens to it."""
        self._world.tell(f"engine {self.number} {what}")

    # --- what can happen to it -----------------------------------------------------------------

    def gate(self, point: Point) -> bool:
        """Come to a point at which it may be stopped.

        Returns:
            Whether to go on. In the engine's own thread this returns when it does.

        Raises:
            ProcessKilled: It was killed here.
            sqlite3.OperationalError: Its disk is full.
        """
        self.refuse_the_dead()
        is_engine = threading.current_thread() is self._thread
        if point in STORE and is_engine and self.chance.random() < LANE_MEANWHILE:
            self._move_lanes()
        fate = self._world.dice.fate(point, may_pause=not self._is_meanwhile)
        if fate is Fate.KILLED:
            self.kill(f"at {point}")
            raise ProcessKilled
        if fate is Fate.FAILED:
            self.tell(f"cannot write at {point}")
            raise sqlite3.OperationalError("database or disk is full")
        if fate is Fate.PAUSED:
            self._freeze(point)
            if not is_engine:
                return False
            self._give_back()
        return True

    def _row_gate(self) -> None:
        if self.is_killed or self.is_leaving or self.frozen_until is not None:
            return  # A call that is out acts on its own.
        fate = self._world.dice.fate(Point.ROW)
        if fate is Fate.KILLED:
            self.kill(f"at {Point.ROW}")
            raise ProcessKilled
        if fate is Fate.FAILED:
            raise UnreachableError("the simulated server", "it hung up half-way")

    def _move_lanes(self) -> None:
        # Not to be paused in there: the thread may be in the middle of a transaction.
        self._is_meanwhile = True
        try:
            for _ in range(self.chance.randint(1, 3)):
                due = [lane for lane in self._lanes if lane.is_due(self.now)]
                if not due:
                    return
                self.chance.choice(due).move()
        finally:
            self._is_meanwhile = False

    def _freeze(self, point: Point) -> None:
        chance = self.chance
        spans = (chance.uniform(0.0, 5.0), chance.uniform(10.0, 40.0), chance.uniform(40.0, 120.0))
        self.frozen_until = self.now + chance.choice(spans)
        self.tell(f"is paused at {point}")
        for lane in self._lanes:
            if lane.current is not None and chance.random() < 0.5:
                self.let_out(lane.current)

    def kill(self, where: str) -> None:
        """Kill it: what it has not committed, and what it was not told, is gone."""
        self.is_killed = True
        self.tell(f"is killed {where}")
        for lane in self._lanes:
            if lane.current is not None and self.chance.random() < 0.5:
                self.let_out(lane.current)
        for backend in self._backends:
            backend.detach()

    def let_out(self, way: UnderWay) -> None:
        """Let a call act on its own."""
        if way.reply is None and not way.is_out and way.call.hook in CHANGING:
            way.is_out = True
            self._world.strays.append(way)

    def act(self, way: UnderWay) -> None:
        """Let a call reach the outside world."""
        self._world.act(way)

    # --- for the simulation --------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Give the virtual time."""
        return self._world.clock.monotonic()

    @property
    def chance(self) -> "random.Random":
        """Give the seed's dice."""
        return self._world.chance

    @property
    def slowness(self) -> Slowness:
        """Say how long its calls take."""
        return self._world.slowness

    def moves(self) -> list[Callable[[], None]]:
        """List what it could do now, each one thing."""
        if self.is_over:
            return []
        if self.is_killed:
            return [self._run]
        if self.frozen_until is not None:
            return [self._thaw] if self.frozen_until <= self.now else []
        moves = [lane.move for lane in self._lanes if lane.is_due(self.now)]
        if self._is_rung or (self.wake_at is not None and self.wake_at <= self.now):
            moves.append(self._run)
        return moves

    def times(self) -> list[float]:
        """List the instants at which it will have something to do."""
        if self.is_over:
            return []
        if self.frozen_until is not None:
            return [self.frozen_until]
        times = [lane.due for lane in self._lanes if lane.due is not None]
        return times if self.wake_at is None else [*times, self.wake_at]

    def _thaw(self) -> None:
        self.frozen_until = None
        self.tell("goes on")
        self._run()

    def _run(self) -> None:
        """Let its thread go on until it waits or is stopped."""
        self._is_rung = False
        self._baton.release()
        self._back.acquire()
        if self._error is not None:
            raise AssertionError(f"engine {self.number} raised {self._error!r}") from self._error

    def set_faults(self) -> None:
        """Let its backends feel the weather."""
        for backend in self._backends:
            backend.faults = self._world.faults

    def end(self) -> None:
        """Unwind its thread."""
        if not self.is_over:
            self.is_killed = True
            self._run()
        self._thread.join()
