"""The real engine on a world in virtual time, moved by hand: same calls, same story."""

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

from drover._engine._engine import Engine
from drover._engine._lanes import Call, Reply, execute
from drover._plugins import Backend, BackendContext, assemble
from drover._store import Store
from drover.config import Config
from drover.hookspecs import Clock
from drover.models import Capabilities, JobRecord
from drover.session import Session
from drover.testing._cluster import SimulatedCluster
from drover.testing._installed import installed
from drover.testing._simulated import Faults, SimulatedBackend

NAME: Final = "simulated"
LEASE_S: Final = 60.0
"""Longer than any lease of an engine that was killed."""
MOST_STEPS: Final = 10_000


class World(Protocol):
    """What is outside: it has a clock, and things happen in it as time passes."""

    @property
    def clock(self) -> Clock:
        """Tell the time; a `FakeClock`."""
        ...

    @property
    def next_due(self) -> float | None:
        """Give the monotonic time of the next thing to happen."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        ...


class ManualLane:
    """A lane without a thread: a call is made when the driver says so."""

    def __init__(self, backend: Backend, reply: Callable[[Reply], None]) -> None:
        self._backend = backend
        self._reply = reply
        self.calls: Final[deque[Call]] = deque()

    def add(self, call: Call) -> None:
        """Keep a call for later."""
        self.calls.append(call)

    def make_call(self, *, answer_lost: bool = False) -> bool:
        """Make the oldest call.

        Args:
            answer_lost: Whether nobody hears of it, as when the engine is killed meanwhile.

        Returns:
            Whether there was one.
        """
        if not self.calls:
            return False
        reply = execute(self._backend, self.calls.popleft())
        if not answer_lost:
            self._reply(reply)
        return True

    def give_up_overdue(self) -> None:
        """Do nothing: no call here takes time."""

    @property
    def deadline(self) -> float | None:
        """Say that nothing is ever overdue."""
        return None

    @property
    def idle(self) -> bool:
        """Tell whether nothing waits."""
        return not self.calls

    def close(self) -> None:
        """Take no more calls."""
        self.calls.clear()


class BackendDriver:
    """A store, a session on it, and one engine after the other, with a backend of your own.

    `session` submits and asks; nothing moves until `settle` or `advance`. `crash` kills the
    engine where it stands; the next `settle` starts another.
    """

    def __init__(
        self,
        home: Path,
        world: World,
        factory: Callable[[BackendContext], object],
        *,
        name: str = NAME,
    ) -> None:
        """Open a store.

        Args:
            home: Its folder.
            world: What the backend talks to; its clock is the engine's.
            factory: Makes a backend object for whoever asks: the engine, or the session for a
                plan, whose context has the epoch 0.
            name: The backend's name, as in `backend=`; it is the session's own one.
        """
        self.home: Final = home
        self.world: Final[World] = world
        self._name: Final = name
        self._factory: Final = factory
        self._stack: Final = ExitStack()
        self._stack.enter_context(installed(name, factory))
        self.session: Final = Session(Store.open(home, clock=world.clock), Config(), "none", name)
        self._stack.callback(self.session.close)
        self.engine: Engine | None = None
        self._store: Store | None = None
        self._lanes: list[ManualLane] = []
        self._loaded: list[Backend] = []

    def _load(self, name: str, context: BackendContext, _config: Config) -> Backend:
        backend = assemble(name, self._factory(context), {})
        self._loaded.append(backend)
        return backend

    def _lane(self, backend: Backend, reply: Callable[[Reply], None]) -> ManualLane:
        lane = ManualLane(backend, reply)
        self._lanes.append(lane)
        return lane

    # --- engines -------------------------------------------------------------------------------

    def start(self) -> Engine:
        """Start an engine where none works; time passes until the last one's lease is over."""
        if self.engine is not None:
            return self.engine
        self._store = Store.open(self.home, clock=self.world.clock)
        epoch = self._store.acquire_lease({})
        if epoch is None:
            self.world.advance(LEASE_S)
            epoch = self._store.acquire_lease({})
        assert epoch is not None, "the lease of a dead engine does not run out"
        self.engine = Engine(
            self._store,
            Config(),
            epoch=epoch,
            wake=lambda: None,
            load=self._load,
            lanes=self._lane,
        )
        return self.engine

    def crash(self) -> None:
        """Kill the engine: what it has not committed, and what it was not told, is gone."""
        self._lanes.clear()
        self.engine = None
        # Its threads die with a process that is killed; here somebody has to stop them.
        for backend in self._loaded:
            backend.call("drover_stop")
        self._loaded.clear()
        if self._store is not None:
            self._store.close()
            self._store = None

    # --- moving --------------------------------------------------------------------------------

    def step(self) -> bool:
        """Do one round of the engine, or one call of a backend; tell whether more is to do."""
        engine = self.start()
        for lane in self._lanes:
            if lane.make_call():
                return True
        more = engine.round()
        engine.renew()
        return more or any(lane.calls for lane in self._lanes)

    def settle(self) -> None:
        """Go on until nothing is left to do at this instant."""
        # The first round takes in what clients have written.
        self.start().round()
        for _ in range(MOST_STEPS):
            if not self.step():
                return
        raise AssertionError(f"the engine is still busy after {MOST_STEPS} rounds; no time passed")

    def advance(self, seconds: float) -> None:
        """Let time pass, as engine and world want to be looked at."""
        clock = self.world.clock
        end = clock.monotonic() + seconds
        while True:
            self.settle()
            left = end - clock.monotonic()
            if left <= 0:
                return
            waits = [left]
            wait_s = self.start().wait_s()
            if wait_s is not None:
                waits.append(wait_s)
            if self.world.next_due is not None:
                waits.append(self.world.next_due - clock.monotonic())
            self.world.advance(max(0.001, min(waits)))

    def run_until_over(self, limit_s: float = 86_400.0) -> None:
        """Let time pass until every job has ended; the test fails if one does not."""
        clock = self.world.clock
        end = clock.monotonic() + limit_s
        self.settle()
        while self.unfinished():
            assert clock.monotonic() < end, self.story(self.unfinished())
            self.advance(5.0)

    def close(self) -> None:
        """Let go of everything."""
        self.crash()
        self._stack.close()

    # --- looking -------------------------------------------------------------------------------

    def records(self) -> list[JobRecord]:
        """Give the records of all jobs, oldest first."""
        return [job.record for job in reversed(self.session.jobs(newest=None))]

    def unfinished(self) -> list[JobRecord]:
        """Give the records of the jobs that have not ended."""
        return [record for record in self.records() if not record.state.ends_wait]

    def check_replay(self) -> None:
        """See that every job is what its journal says."""
        with self.session.store.read() as reader:
            for replayed, stored in reader.replayed():
                assert stored == replayed, f"\n{stored}\nis not what its journal says:\n{replayed}"

    def story(self, records: list[JobRecord]) -> str:
        """Tell the histories of jobs, and what the world did, for people."""
        lines: list[str] = []
        for record in records:
            with self.session.store.read() as reader:
                history = reader.history(record)
            lines.append(f"{record.id}: {record.state}, {record.outcome}")
            lines += [f"    {entry.seq} {entry.event}" for entry in history]
            lines += [f"    world: {line}" for line in self._seen_of(record)]
        return "\n".join(lines)

    def _seen_of(self, record: JobRecord) -> list[str]:
        """Tell what the world knows of a job."""
        del record
        return []


class EngineDriver(BackendDriver):
    """A `BackendDriver` on the simulated world, whose backend has faults."""

    def __init__(
        self,
        home: Path,
        cluster: SimulatedCluster,
        *,
        faults: Faults = Faults(),  # noqa: B008 - frozen
        capabilities: Capabilities | None = None,
    ) -> None:
        self.cluster: Final = cluster
        self.faults = faults
        self._capabilities = capabilities
        self._backends: list[SimulatedBackend] = []
        super().__init__(home, cluster, self._make)

    def _make(self, context: BackendContext) -> SimulatedBackend:
        backend = SimulatedBackend(
            context,
            cluster=self.cluster,
            faults=self.faults if context.epoch else Faults(),
            capabilities=self._capabilities,
        )
        if context.epoch:
            self._backends.append(backend)
        return backend

    def crash(self) -> None:
        """Kill the engine: what it has not committed, and what it was not told, is gone."""
        super().crash()
        self._backends.clear()

    def set_faults(self, faults: Faults) -> None:
        """Change what goes wrong from now on."""
        self.faults = faults
        for backend in self._backends:
            backend.faults = faults

    @property
    def backend(self) -> SimulatedBackend:
        """Give the backend object of the engine that works now."""
        return self._backends[-1]

    def _seen_of(self, record: JobRecord) -> list[str]:
        return [
            str(row)
            for native in self.cluster.jobs
            if native.attempt.job_id == record.id
            for row in native.past
        ]
