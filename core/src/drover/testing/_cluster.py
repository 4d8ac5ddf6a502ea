"""An outside world in memory: it queues, starts, ends and forgets jobs, and counts every run."""

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field, frozen

from drover.commandline import claims
from drover.commandline.claims import Owner
from drover.hookspecs import Clock
from drover.models import Attempt, Claim, EndReport, Phase, Reason, Source, Started, Usage
from drover.testing._clock import FakeClock

OPTIONS: Final = frozenset({"queue_s", "run_s", "exit_code", "signal", "stubborn"})
"""What `native={NAME: {...}}` may hold: seconds in the queue and running, and the end."""
SIGTERM: Final = 15
SIGKILL: Final = 9


@frozen(kw_only=True)
class Execution:
    """One run of a command: what an oracle counts."""

    token: str
    job_id: str
    attempt: int
    native_id: str
    restart: int
    at: float


@frozen(kw_only=True)
class Snapshot:
    """How a job stood from an instant on."""

    at: float
    phase: Phase
    word: str
    restart: int = 0
    started_at: float | None = None
    end: EndReport | None = None
    hold: frozenset[str] = frozenset()


@define(kw_only=True, eq=False)
class SimulatedJob:
    """One job of the outside world."""

    native_id: str
    attempt: Attempt
    submitted_at: float
    folder: Path | None
    options: dict[str, Any] = field(factory=dict[str, Any])
    past: list[Snapshot] = field(factory=list[Snapshot])
    """Every state it has had, oldest first."""

    @property
    def now(self) -> Snapshot:
        """Give its state now."""
        return self.past[-1]

    @property
    def token(self) -> str:
        """Give its token."""
        return self.attempt.token

    def at(self, instant: float) -> Snapshot | None:
        """Give its state as it was, `None` if it was not there yet."""
        return next((row for row in reversed(self.past) if row.at <= instant), None)

    def become(self, at: float, **changes: Any) -> None:
        """Enter the next state."""
        self.past.append(evolve(self.now, at=at, **changes))


class SimulatedCluster:
    """The world behind a `SimulatedBackend`. It outlives engines and backend objects.

    Nothing happens by itself: whoever moves the clock lets time pass, and the world catches up
    at the next look. With the same seed and the same calls it does the same.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Clock | None = None,
        claim: Claim = Claim.SERVER_KEY,
        auto: bool = True,
        slots: int | None = None,
        keep_ended_s: float = math.inf,
    ) -> None:
        """Begin with nothing.

        Args:
            seed: Of everything random.
            clock: `None` makes a FakeClock.
            claim: What makes a second run of one token impossible here.
            auto: Whether jobs start and end by themselves, after times from their options or
                drawn at random; else `start` and `finish` do it.
            slots: How many run at the same time. `None`: no limit.
            keep_ended_s: Seconds after which a job that has ended is listed no more.
        """
        self.random: Final = random.Random(seed)  # noqa: S311 - it is to be repeatable
        self.clock: Final[Clock] = clock or FakeClock()
        self.claim: Final = claim
        self.auto: Final = auto
        self.slots: Final = slots
        self.keep_ended_s: Final = keep_ended_s
        self.jobs: Final[list[SimulatedJob]] = []
        self.executions: Final[list[Execution]] = []
        self.closed: Final[set[str]] = set()
        self.unrun: Final[list[str]] = []
        """Tokens of starts that the claim turned away."""
        self.forgotten: Final[set[str]] = set()
        """Tokens of which it has lost every memory."""
        self.told_absent: Final[Counter[str]] = Counter()
        """How often a search was answered without a fault, and the token was not in it."""
        self.watchers: Final[list[Callable[[SimulatedJob], None]]] = []
        """Called after each change of a job."""
        self._ids: Final = itertools.count(1)
        self._serial: Final = itertools.count()
        self._due: Final[list[tuple[float, int, Callable[[float], None]]]] = []

    # --- time ----------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, where the clock is a FakeClock."""
        assert isinstance(self.clock, FakeClock), "only a FakeClock can be advanced"
        target = self.clock.monotonic() + seconds
        while self._due and self._due[0][0] <= target:
            self.clock.advance(max(0.0, self._due[0][0] - self.clock.monotonic()))
            self.catch_up()
        self.clock.advance(target - self.clock.monotonic())
        self.catch_up()

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        while self._due and self._due[0][0] <= self.clock.monotonic():
            due, _, action = heapq.heappop(self._due)
            action(self.clock.time() - (self.clock.monotonic() - due))

    def later(self, seconds: float, action: Callable[[float], None]) -> None:
        """Do something in a while; *action* is given the instant, seconds since 1970 UTC."""
        entry = (self.clock.monotonic() + seconds, next(self._serial), action)
        heapq.heappush(self._due, entry)

    @property
    def next_due(self) -> float | None:
        """Give the monotonic time of the next thing to happen."""
        return self._due[0][0] if self._due else None

    # --- jobs ----------------------------------------------------------------------------------

    def accept(self, attempt: Attempt, folder: Path | None, name: str) -> SimulatedJob | None:
        """Take a submission; `None` if its token is closed."""
        if self.claim is Claim.SERVER_KEY:
            if attempt.token in self.closed:
                return None
            known = next(self.by_token(attempt.token), None)
            if known is not None:
                return known
        now = self.clock.time()
        job = SimulatedJob(
            native_id=str(next(self._ids)),
            attempt=attempt,
            submitted_at=now,
            folder=folder,
            options=dict(attempt.spec.native.get(name, {})),
        )
        # Whoever hands it over has lifted `spec.hold` already.
        job.past.append(Snapshot(at=now, phase=Phase.QUEUED, word="PENDING"))
        self.jobs.append(job)
        self._changed(job)
        self._plan_start(job)
        return job

    def by_token(self, token: str) -> Iterator[SimulatedJob]:
        """Find the jobs that bear a token, oldest first."""
        return (job for job in self.jobs if job.token == token)

    def runs(self, token: str) -> int:
        """Count how often the command of a token was run. Restarts count."""
        return sum(run.token == token for run in self.executions)

    def _plan_start(self, job: SimulatedJob) -> None:
        if self.auto:
            drawn = self.random.uniform(0.0, 5.0)
            self.later(float(job.options.get("queue_s", drawn)), lambda at: self._begin(job, at))

    def _begin(self, job: SimulatedJob, at: float) -> None:
        if job.now.phase is not Phase.QUEUED or job.now.hold:
            return
        running = sum(other.now.phase is Phase.RUNNING for other in self.jobs)
        if self.slots is not None and running >= self.slots:
            self.later(1.0, lambda later: self._begin(job, later))
            return
        self._start(job, at)

    def _start(self, job: SimulatedJob, at: float) -> None:
        """Run the wrapper, and the command if the claim is to be had."""
        if self.claim is Claim.DIRECTORY and not self._claims(job):
            self.unrun.append(job.token)
            job.become(at, phase=Phase.UNRUN, word="UNRUN")
            self._changed(job)
            return
        self.executions.append(
            Execution(
                token=job.token,
                job_id=job.attempt.job_id,
                attempt=job.attempt.number,
                native_id=job.native_id,
                restart=job.now.restart,
                at=at,
            )
        )
        job.become(at, phase=Phase.RUNNING, word="RUNNING", started_at=at)
        self._changed(job)
        if self.auto:
            seconds = float(job.options.get("run_s", self.random.uniform(0.0, 20.0)))
            restart = job.now.restart
            self.later(seconds, lambda end: self._run_out(job, restart, end))

    def _claims(self, job: SimulatedJob) -> bool:
        if job.folder is None:
            return False
        owner = Owner(native_id=job.native_id, restart=job.now.restart)
        return claims.take(job.folder, owner, requeue=job.attempt.spec.requeue).won

    def _run_out(self, job: SimulatedJob, restart: int, at: float) -> None:
        if job.now.phase is Phase.RUNNING and job.now.restart == restart:
            number = job.options.get("signal")
            code = None if number else int(job.options.get("exit_code", 0))
            self._end(job, at, exit_code=code, signal=number)
        elif job.now.phase is Phase.SUSPENDED and job.now.restart == restart:
            self.later(1.0, lambda later: self._run_out(job, restart, later))

    def _end(self, job: SimulatedJob, at: float, **facts: Any) -> None:
        started = job.now.started_at
        usage = Usage(wall_s=max(0.0, at - started), host="simulated") if started else None
        report = EndReport(
            source=Source.SERVER,
            at=at,
            native_id=job.native_id,
            usage=usage,
            started=Started.YES if started else Started.NO,
            **facts,
        )
        job.become(at, phase=Phase.ENDED, word="DONE", end=report)
        self._changed(job)

    def _changed(self, job: SimulatedJob) -> None:
        for watcher in list(self.watchers):
            watcher(job)

    # --- for tests -----------------------------------------------------------------------------

    def current(self, token: str) -> SimulatedJob:
        """Give the youngest job that bears the token.

        Raises:
            LookupError: None does.
        """
        self.catch_up()
        jobs = list(self.by_token(token))
        if not jobs:
            raise LookupError(f"nothing was accepted under {token!r}")
        return jobs[-1]

    def start(self, token: str) -> None:
        """Start a queued job now."""
        job = self.current(token)
        if job.now.phase is Phase.QUEUED:
            self._start(job, self.clock.time())

    def finish(
        self,
        token: str,
        exit_code: int | None = 0,
        *,
        signal: int | None = None,
        reason: Reason | None = None,
    ) -> None:
        """End a job now; one that is queued is started first."""
        self.start(token)
        job = self.current(token)
        if job.now.phase in (Phase.RUNNING, Phase.SUSPENDED):
            code = exit_code if signal is None else None
            self._end(job, self.clock.time(), exit_code=code, signal=signal, reason=reason)

    def requeue(self, token: str) -> None:
        """Put a running job back into the queue, as a scheduler does that lost a node."""
        job = self.current(token)
        if job.now.phase in (Phase.RUNNING, Phase.SUSPENDED):
            job.become(
                self.clock.time(),
                phase=Phase.QUEUED,
                word="REQUEUED",
                restart=job.now.restart + 1,
                started_at=None,
            )
            self._changed(job)
            self._plan_start(job)

    def forget(self, token: str) -> None:
        """Drop every memory of a token, as a controller that lost its state."""
        self.forgotten.add(token)
        self.jobs[:] = [job for job in self.jobs if job.token != token]

    # --- what users may ask --------------------------------------------------------------------

    def cancel(self, job: SimulatedJob, grace_s: float) -> None:
        """End it by TERM, and after the grace by KILL. A queued one is gone at once."""
        at = self.clock.time()
        if job.now.phase is Phase.QUEUED:
            self._end(job, at, reason=Reason.CANCELLED)
        elif job.options.get("stubborn"):
            self.later(grace_s, lambda end: self.kill(job, SIGKILL, end))
        else:
            drawn = self.random.uniform(0.0, grace_s)
            self.later(drawn, lambda end: self.kill(job, SIGTERM, end))

    def kill(self, job: SimulatedJob, number: int, at: float | None = None) -> None:
        """End it by a signal, because somebody asked for it."""
        if job.now.phase in (Phase.RUNNING, Phase.SUSPENDED):
            instant = self.clock.time() if at is None else at
            self._end(job, instant, signal=number, reason=Reason.CANCELLED)

    def hold(self, job: SimulatedJob, *, held: bool) -> None:
        """Keep a queued job from starting, or let it go."""
        job.become(self.clock.time(), hold=frozenset({"user"}) if held else frozenset())
        self._changed(job)
        if not held and self.auto:
            self._plan_start(job)

    def suspend(self, job: SimulatedJob, *, suspended: bool) -> None:
        """Stop a running job, or let it go on."""
        phase = Phase.SUSPENDED if suspended else Phase.RUNNING
        job.become(self.clock.time(), phase=phase, word=phase.upper())
        self._changed(job)

    def close(self, token: str) -> SimulatedJob | None:
        """Shut a token for good, where it is the unique key; gives the job that has it."""
        taken = next((job for job in self.by_token(token) if job.now.started_at), None)
        if taken is not None:
            return taken
        self.closed.add(token)
        for job in self.by_token(token):
            if job.now.phase is Phase.QUEUED:
                self._end(job, self.clock.time(), reason=Reason.CANCELLED)
        return None
