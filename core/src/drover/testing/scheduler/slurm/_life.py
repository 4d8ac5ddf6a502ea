"""How jobs end, are steered and come back: the part of slurmctld that is no planning."""

from abc import ABC, abstractmethod
from typing import Any, Final, Protocol

from drover.testing.scheduler._time import Timeline
from drover.testing.scheduler.slurm._accounting import Accounting
from drover.testing.scheduler.slurm._job import Job, Usage
from drover.testing.scheduler.slurm._memory import KEEP_S, Memory
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._words import PRIORITY, Flag, State

SIGKILL: Final = 9
SIGTERM: Final = 15
SIGCONT: Final = 18
SIGSTOP: Final = 19
SAVE_S: Final = 5.0
"""The controller writes its state so often; a crash forgets what came since."""
COMPLETING: Final = frozenset({Flag.COMPLETING})


class Executor(Protocol):
    """Runs jobs for real."""

    def start(self, job: Job) -> int:
        """Start its script; 0, or the wait status of a start that failed."""
        ...

    def signal(self, job: Job, number: int, *, group: bool) -> None:
        """Send a signal to its script, or to everything that it started."""
        ...

    def runs(self, job: Job) -> bool:
        """Tell whether its script is there."""
        ...


class Life(ABC):
    """The jobs of one cluster, and what becomes of them once they are there."""

    def __init__(self, site: SlurmSite, timeline: Timeline) -> None:
        self.site = site
        self.timeline: Final = timeline
        self.memory: Final = Memory(site.first_job_id)
        self.accounting: Final = Accounting()
        self.executor: Executor | None = None
        self.memory.watchers.append(self._keep_account)

    @abstractmethod
    def schedule_soon(self) -> None:
        """Look after the queue: something has changed."""

    @property
    def now(self) -> float:
        """Give the present."""
        return self.timeline.clock.time()

    def jobs(self, as_of: float | None = None) -> list[Job]:
        """Give all jobs in memory."""
        return list(self.memory.all(as_of))

    def _keep_account(self, job: Job, before: Job | None) -> None:
        if not self.site.accounting:
            return
        if before is None or not self.accounting.is_open(job):
            self.accounting.begin(job, self.now)
        elif job.restarts > before.restarts:
            self.accounting.close(before, self.now)
            self.accounting.begin(job, self.now)
        else:
            self.accounting.update(job, self.now)

    # --- ending --------------------------------------------------------------------------------

    def process_ended(self, job: Job, status: int, usage: Usage) -> None:
        """Take in that the script of a job that runs for real has ended."""
        current = self.memory.now(job)
        if current is None or current.restarts != job.restarts:
            return
        current = self.memory.change(current, self.now, usage=usage)
        if Flag.COMPLETING in current.flags:
            # Cancelled, timed out...: the state is decided, the code is the script's own.
            self._complete(current, self.now, exit_status=status)
        elif is_on(current):
            self.end_with(current, self.now, status)

    def end_with(self, job: Job, at: float, status: int) -> Job:
        """End a job as its script ended."""
        if status == 0:
            return self.end(job, State.COMPLETED, at, reason="None")
        # Measured: a script that dies by a signal counts as one that could not be launched.
        reason = "NonZeroExitCode" if status >> 8 else "JobLaunchFailure"
        return self.end(job, State.FAILED, at, reason=reason, exit_status=status)

    def end(self, job: Job, state: State, at: float, **facts: Any) -> Job:
        """Let a job be over; it is COMPLETING before where `facts` holds `completing_s`."""
        completing_s = facts.pop("completing_s", 0.0)
        facts.setdefault("end_at", at)
        if job.stopped_at is not None:
            facts.setdefault("stopped_s", job.stopped_s + at - job.stopped_at)
        job = self.memory.change(job, at, state=state, stopped_at=None, **facts)
        if completing_s <= 0:
            return self._complete(job, at)
        job = self.memory.change(job, at, flags=job.flags | COMPLETING)
        self.timeline.later(completing_s, lambda later: self._complete_now(job, later))
        return job

    def _complete_now(self, job: Job, at: float) -> None:
        current = self.memory.now(job)
        if current is not None and Flag.COMPLETING in current.flags:
            self._complete(current, at)

    def _complete(self, job: Job, at: float, **facts: Any) -> Job:
        job = self.memory.change(job, at, flags=job.flags - COMPLETING, **facts)
        if Flag.REQUEUED in job.flags:
            return self._put_back(job, at)
        self.timeline.later(self.site.min_job_age_s, lambda later: self._purge(job, later))
        self.schedule_soon()
        return job

    def _purge(self, job: Job, at: float) -> None:
        current = self.memory.now(job)
        if current is not None and current.end_at == job.end_at and current.state.has_ended:
            self.memory.forget(current, at)
            self.memory.sweep(at - KEEP_S)

    # --- what users and administrators do ------------------------------------------------------

    def cancel(self, job: Job, at: float, uid: int) -> None:
        """End a job because somebody asked: at once where it waits, else by TERM and KILL."""
        if job.state is State.PENDING:
            facts: dict[str, Any] = {"cancelled_by": uid, "flags": frozenset[Flag]()}
            facts["start_at"] = at if job.start_at is None else job.start_at
            self.end(job, State.CANCELLED, at, **facts)
        elif is_on(job):
            self.kill(job, State.CANCELLED, at, cancelled_by=uid)

    def kill(self, job: Job, state: State, at: float, **facts: Any) -> None:
        """End a job that runs: COMPLETING from now on, gone when its processes are."""
        facts = {"exit_status": SIGTERM, "end_at": at, **facts}
        flags = job.flags | COMPLETING
        job = self.memory.change(job, at, state=state, flags=flags, stopped_at=None, **facts)
        if self.executor is not None:
            self.executor.signal(job, SIGCONT, group=True)
            self.executor.signal(job, SIGTERM, group=True)
        if job.stubborn or self.executor is not None:
            self.timeline.later(
                self.site.kill_wait_s, lambda later: self._kill_for_good(job, later)
            )
        elif self.site.completing_s > 0:
            self.timeline.later(
                self.site.completing_s, lambda later: self._complete_now(job, later)
            )
        else:
            self._complete(job, at)

    def _kill_for_good(self, job: Job, at: float) -> None:
        current = self.memory.now(job)
        if current is None or Flag.COMPLETING not in current.flags:
            return
        if self.executor is not None:
            self.executor.signal(job, SIGKILL, group=True)
        else:
            self._complete(current, at, exit_status=SIGKILL, end_at=at)

    def signal(self, job: Job, number: int, *, group: bool) -> None:
        """Send a signal to a job that runs; its state does not change by itself."""
        if not is_on(job):
            return
        if self.executor is not None:
            self.executor.signal(job, number, group=group)
        elif number == SIGKILL or (number == SIGTERM and not job.stubborn):
            self.end_with(job, self.now, number)

    def hold(self, job: Job, at: float, by: str) -> None:
        """Keep a job from starting. One that runs keeps running, with the reason of it."""
        reason = f"JobHeld{by.capitalize()}"
        facts: dict[str, Any] = {"held_by": by, "priority": 0, "reason": reason}
        if job.state is State.PENDING:
            facts["eligible_at"] = None
        self.memory.change(job, at, **facts)

    def release(self, job: Job, at: float) -> None:
        """Let a held job go."""
        facts: dict[str, Any] = {"held_by": "", "priority": PRIORITY}
        if job.reason.startswith("JobHeld") or "held state" in job.reason:
            facts["reason"] = "None"
        flags = job.flags - {Flag.REQUEUE_HOLD, Flag.SPECIAL_EXIT}
        self.memory.change(job, at, flags=flags, **facts)
        self.schedule_soon()

    def suspend(self, job: Job, at: float) -> None:
        """Stop a job that runs."""
        if self.executor is not None:
            self.executor.signal(job, SIGSTOP, group=True)
        self.memory.change(job, at, state=State.SUSPENDED, stopped_at=at)

    def resume(self, job: Job, at: float) -> None:
        """Let it go on."""
        if self.executor is not None:
            self.executor.signal(job, SIGCONT, group=True)
        since = at if job.stopped_at is None else job.stopped_at
        self.memory.change(
            job, at, state=State.RUNNING, stopped_at=None, stopped_s=job.stopped_s + at - since
        )

    def requeue(self, job: Job, at: float, *, reason: str = "BeginTime", held: str = "") -> None:
        """Put a job back into the queue, under the same id."""
        facts: dict[str, Any] = {"held_by": held, "reason": reason}
        flags = job.flags | {Flag.REQUEUED}
        if held:
            facts["priority"] = 0
        if not is_on(job):
            self._put_back(self.memory.change(job, at, flags=flags, **facts), at)
            return
        facts["end_at"] = at
        job = self.memory.change(job, at, flags=flags | COMPLETING, stopped_at=None, **facts)
        if self.executor is not None:
            self.executor.signal(job, SIGCONT, group=True)
            self.executor.signal(job, SIGKILL, group=True)
        else:
            self._complete(job, at)

    def _put_back(self, job: Job, at: float) -> Job:
        held = bool(job.held_by)
        begin_at = job.begin_at if held else at + self.site.requeue_delay_s
        job = self.memory.change(
            job, at, state=State.PENDING, flags=job.flags - {Flag.REQUEUED} - COMPLETING,
            restarts=job.restarts + 1, submit_at=at, begin_at=begin_at, eligible_at=None,
            start_at=None, end_at=None, exit_status=0, nodes=(), stopped_s=0.0, usage=Usage(),
            cancelled_by=None,
        )  # fmt: skip
        self.schedule_soon()
        return job

    # --- what happens to jobs ------------------------------------------------------------------

    def time_out(self, job: Job, at: float) -> None:
        """End a job because its time limit has passed."""
        self.kill(job, State.TIMEOUT, at, reason="TimeLimit", exit_status=SIGKILL)

    def fail_node(self, job: Job, at: float) -> None:
        """Lose the node under a job: it is requeued if it may be."""
        if job.requeue:
            self.requeue(job, at)
        else:
            self.end(job, State.NODE_FAIL, at, reason="NodeDown", exit_status=1)

    def crash(self, at: float, *, lose_s: float = SAVE_S) -> list[Job]:
        """Kill the controller and start it again: what it took in of late is forgotten.

        The ids of the forgotten jobs will be handed out again. Gives those jobs.
        """
        lost = [job for job in self.jobs() if job.submit_at > at - lose_s and not job.restarts]
        for job in lost:
            if self.executor is not None and is_on(job):
                self.executor.signal(job, SIGKILL, group=True)
            self.memory.lose(job)
        if lost:
            self.memory.next_id = min(job.job_id for job in lost)
        return lost


def is_on(job: Job) -> bool:
    """Tell whether its processes run, stopped ones included."""
    return job.state in (State.RUNNING, State.SUSPENDED) and Flag.COMPLETING not in job.flags
