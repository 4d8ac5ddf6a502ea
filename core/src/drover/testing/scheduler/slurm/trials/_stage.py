"""What trials are made of."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from attrs import define, field, frozen

from drover.models import Reason
from drover.testing.scheduler._gate import Gate
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._scheduler import SlurmScheduler
from drover.testing.scheduler.slurm._words import State

CODE: Final = 7
"""How the job of a trial ends, where nothing else is said."""
FOREIGN: Final = 4711
"""The uid of somebody else."""
TIMED_OUT: Final = (
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
)
POLLS_S: Final = 120.0
"""Long enough for a client to look several times."""
SHORT_S: Final = 30.0
"""Shorter than a client's grace for what is not listed."""
LONG_S: Final = 1800.0
"""Longer than a client's grace for what is not listed."""


class Step(Enum):
    """What whoever plays a trial is to do."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    KILL_CLIENT = "kill client"
    """With SIGKILL; another one takes over."""


SUBMIT: Final = Step.SUBMIT
CANCEL: Final = Step.CANCEL
KILL_CLIENT: Final = Step.KILL_CLIENT
Play = Iterator[Step | float]
"""Steps, and seconds to let pass."""


@frozen(kw_only=True)
class Truth:
    """What a client must come to."""

    reasons: frozenset[Reason] = frozenset({Reason.EXITED})
    """Any of these is right. Empty: the job must not have ended."""
    code: int | None = CODE
    """The exit code, where the reason is EXITED."""
    runs: int = 1
    """How often the command was started."""
    may_be_open: bool = False
    """Whether it is right as well that it has not ended."""
    shows: str = ""
    """The scheduler's own words that the user must get to see."""

    def accepts(self, reason: Reason | None, code: int | None) -> bool:
        """Tell whether an end is right; `None` for none."""
        if reason is None:
            return self.may_be_open or not self.reasons
        return reason in self.reasons and (reason is not Reason.EXITED or code == self.code)


LOST: Final = Truth(reasons=frozenset({Reason.LOST}))
"""Nobody can know."""


def truth(*reasons: Reason, runs: int = 1, code: int | None = None) -> Truth:
    """Make a truth."""
    return Truth(reasons=frozenset(reasons), runs=runs, code=code)


def waits(shows: str) -> Truth:
    """Make the truth of a job that waits and has not ended, for a reason."""
    return Truth(reasons=frozenset(), runs=0, shows=shows)


@define
class Stage:
    """What a play is played with."""

    slurm: SlurmScheduler
    gate: Gate
    _neighbours: set[int] = field(factory=set[int], init=False)
    _inside: int = field(default=0, init=False)
    """How many commands wait at the gate."""

    @property
    def mine(self) -> list[Job]:
        """List the jobs that came of the trial's submissions, as they are now."""
        return [job for job in self.slurm.jobs if job.serial not in self._neighbours]

    def neighbour(self, name: str, **facts: Any) -> Job:
        """Add a job that is not the trial's; of the same user, where nothing else is said."""
        job = self.slurm.add(name, **facts)
        self._neighbours.add(job.serial)
        return job

    def running_neighbour(self, name: str, **facts: Any) -> Job:
        """Add one that runs."""
        now = self.slurm.clock.time()
        given = {"state": State.RUNNING, "start_at": now, "nodes": ("node1",), **facts}
        return self.neighbour(name, **given)

    def start(self) -> None:
        """Start every job that was accepted, and wait until its command runs, or will not.

        Where nothing was accepted nothing happens.
        """
        for job in self.mine:
            if job.state is State.PENDING and not job.held_by:
                self._start(job.native_id)

    def _start(self, which: str) -> None:
        before = self.gate.starts
        self.slurm.start(which)
        self.slurm.until(lambda: self.gate.starts > before or self.is_over(which))
        self._inside += self.gate.starts - before

    def end(self, code: int = CODE) -> None:
        """Let the commands that run end, and wait until the controller has seen it."""
        running = [job.native_id for job in self.mine if job.state is State.RUNNING]
        for _ in range(self._inside):
            self.gate.leave(code)
        if self._inside:
            self.slurm.until(lambda: all(map(self.is_over, running)))
        self._inside = 0

    def end_unseen(self, code: int = CODE) -> list[Job]:
        """Let them end, and be out of the controller's memory before anybody looks."""
        self.end(code)
        return self.forget()

    def forget(self) -> list[Job]:
        """Let the controller forget the trial's jobs; gives them as they were."""
        return [self.slurm.forget(job.native_id) for job in self.mine]

    def is_over(self, which: str) -> bool:
        """Tell whether a job has ended."""
        return self.slurm.job(which).state.has_ended

    def run_whatever_waits(self) -> None:
        """Start all that was accepted, and let each command end."""
        self.start()
        self.end()

    def vanish(self) -> None:
        """Kill all that the jobs have started at once: no trap runs, nothing is recorded."""
        for job in self.mine:
            self.slurm.lose_processes(job.native_id)
        self._killed()

    def _killed(self) -> None:
        self._inside = 0
        self.gate.give_up()

    def become(self, state: State, reason: str, exit_status: int, **facts: Any) -> None:
        """Let the controller say how the jobs ended, whatever really happened to them."""
        now = self.slurm.clock.time()
        for job in self.mine:
            given = {
                "start_at": now if job.start_at is None else job.start_at,
                "end_at": now,
                "nodes": job.nodes or ("node1",),
                **facts,
            }
            self.slurm.change(
                job.native_id, state=state, reason=reason, exit_status=exit_status, **given
            )

    def cancel(self) -> None:
        """Let somebody else cancel the jobs, and wait until they are gone."""
        which = [job.native_id for job in self.mine]
        for one in which:
            self.slurm.cancel(one, uid=FOREIGN)
        self.slurm.until(lambda: all(self.slurm.job(one).shown == "CANCELLED" for one in which))
        self._killed()

    def expire(self) -> None:
        """Let the time limits pass, and wait until the jobs are gone."""
        which = [job.native_id for job in self.mine]
        for one in which:
            self.slurm.expire(one)
        self.slurm.until(lambda: all(self.slurm.job(one).shown == "TIMEOUT" for one in which))
        self._killed()

    def account(self, jobs: list[Job], **facts: Any) -> None:
        """Let accounting say something else of jobs."""
        for job in jobs:
            self.slurm.account(job, **facts)

    def requeue(self) -> None:
        """Let the controller put the jobs back, and wait until their processes are gone."""
        which = [job.native_id for job in self.mine]
        for one in which:
            self.slurm.requeue(one)
        self.slurm.until(lambda: all(self.slurm.job(one).shown == "PENDING" for one in which))
        self._killed()

    def change(self, **facts: Any) -> None:
        """Change what the controller says of the jobs."""
        for job in self.mine:
            self.slurm.change(job.native_id, **facts)


@frozen(kw_only=True)
class Trial:
    """One way in which it went wrong."""

    name: str
    what: str
    """What happens."""
    play: Callable[[Stage], Play]
    truth: Truth = field(factory=Truth)
    caller: Mapping[str, str] = field(factory=dict[str, str])
    """Variables that the client's own environment holds."""
    fields: Mapping[str, Any] = field(factory=dict[str, Any])
    """Fields of the specification that is submitted."""


TRIALS: Final[dict[str, Trial]] = {}
"""All trials, by name."""


def trial(
    right: Truth | None = None, *, caller: Mapping[str, str] | None = None, **fields: Any
) -> Callable[[Callable[[Stage], Play]], Callable[[Stage], Play]]:
    """Keep a play as a trial; its docstring says what happens."""

    def keep(play: Callable[[Stage], Play]) -> Callable[[Stage], Play]:
        add(play.__name__, play.__doc__ or "", play, right, caller, **fields)
        return play

    return keep


def add(
    name: str,
    what: str,
    play: Callable[[Stage], Play],
    right: Truth | None = None,
    caller: Mapping[str, str] | None = None,
    **fields: Any,
) -> None:
    """Keep a play as a trial."""
    TRIALS[name] = Trial(
        name=name,
        what=what,
        play=play,
        truth=right or Truth(),
        caller=dict(caller or {}),
        fields=fields,
    )


def plain(stage: Stage) -> Play:
    """Let a job run and end, with nothing wrong about it."""
    yield SUBMIT
    yield 1.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield POLLS_S
