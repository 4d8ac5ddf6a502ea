"""slurmctld: which jobs wait, and why, and which start. Every change of a job goes through here."""

from collections.abc import Callable
from typing import Final

from attrs import evolve, field, frozen

from drover.testing.scheduler._time import Action, Timeline
from drover.testing.scheduler.slurm import _planning as planning
from drover.testing.scheduler.slurm._job import Job, Usage
from drover.testing.scheduler.slurm._life import COMPLETING, Life, is_on
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._words import State

LIMIT_CHECK_S: Final = 30.0
"""So often it looks whether a time limit has passed."""


@frozen(kw_only=True)
class Ending:
    """How a job ends by itself, where nobody runs it for real."""

    after_s: float = 10.0
    """Seconds after its start."""
    code: int = 0
    signal: int = 0
    usage: Usage = field(factory=Usage)


def never_ends(_job: Job) -> Ending | None:
    """Let jobs run until the test says otherwise."""
    return None


class Controller(Life):
    """The jobs of one cluster."""

    def __init__(self, site: SlurmSite, timeline: Timeline) -> None:
        super().__init__(site, timeline)
        self.auto_start_s: float | None = None
        """Seconds after which a job starts that may; `None`: the test starts jobs."""
        self.ending: Callable[[Job], Ending | None] = never_ends
        self._ready: Final[dict[int, tuple[Job, SlurmSite]]] = {}
        """Records that nothing but room keeps from starting, by serial number."""
        self._planned: Final[set[float]] = set()
        """The instants at which the queue will be looked after."""

    # --- the way in ----------------------------------------------------------------------------

    def accept(self, job: Job) -> Job:
        """Take a job in."""
        self.memory.add(job, job.submit_at)
        self.schedule_soon()
        return job

    def reject(self, job: Job, at: float) -> Job:
        """Keep what could not be accepted, as a record of a failure."""
        return self.memory.add(
            evolve(
                job, state=State.FAILED, reason="BadConstraints", start_at=at, end_at=at,
                priority=0, exit_status=1 << 8,
            ),
            at,
        )  # fmt: skip

    # --- waiting and starting ------------------------------------------------------------------

    def schedule_soon(self) -> None:
        """Look after the queue at the next look, and again after the time that a start takes."""
        for seconds in {0.0, self.auto_start_s or 0.0}:
            at = self.now + seconds
            # Many jobs of one instant are looked after once.
            if at not in self._planned:
                self._planned.add(at)
                self.timeline.later(seconds, self._planned_schedule(at))

    def _planned_schedule(self, at: float) -> Action:
        def schedule(_due: float) -> None:
            self._planned.discard(at)
            self.schedule(at)

        return schedule

    def schedule(self, at: float) -> None:
        """Give each job that waits its reason, and start those that may."""
        waiting = [job for job in self.memory.waiting() if not job.flags]
        waiting.sort(key=lambda job: (-job.priority, job.serial))
        jobs = self.jobs() if any(job.dependency for job in waiting) else waiting
        room = planning.Room(self.jobs(), self.site) if self.auto_start_s is not None else None
        blocked = False
        for job in waiting:
            reason = self._reason_to_wait(job, jobs, at)
            if reason is not None:
                self._keep_waiting(job, reason, at)
                continue
            current = self._become_eligible(job, at)
            if room is None or not self._may_start(current, at):
                self._set_reason(current, "None", at)
                continue
            blocked = self._start_some(current, at, room, blocked=blocked)

    def _reason_to_wait(self, job: Job, jobs: list[Job], at: float) -> str | None:
        """Say why it may not start; what was said of the same record, and cannot pass, stands."""
        ready = self._ready.get(job.serial)
        if ready is not None and ready[0] is job and ready[1] is self.site:
            return None
        reason = planning.reason_to_wait(job, jobs, self.site, at)
        if reason is None and not job.dependency:
            self._ready[job.serial] = (job, self.site)
        return reason

    def _may_start(self, job: Job, at: float) -> bool:
        """Tell whether a job that is eligible has been so for long enough."""
        if self.auto_start_s is None or job.eligible_at is None:
            return False
        # What is due now may be a rounding error early.
        return at - job.eligible_at >= self.auto_start_s - 0.001

    def _keep_waiting(self, job: Job, reason: str, at: float) -> None:
        job = self._set_reason(job, reason, at)
        if reason == "BeginTime":
            self.timeline.later(job.begin_at - at, self._after_begin)
        kill = job.options.get("kill-on-invalid-dep") == "yes"
        if reason == "DependencyNeverSatisfied" and kill:
            self.end(job, State.CANCELLED, at, reason="DependencyNeverSatisfied")

    def _after_begin(self, _at: float) -> None:
        self.schedule_soon()

    def _set_reason(self, job: Job, reason: str, at: float) -> Job:
        return job if job.reason == reason else self.memory.change(job, at, reason=reason)

    def _become_eligible(self, job: Job, at: float) -> Job:
        if job.eligible_at is not None:
            return job
        return self.memory.change(job, at, eligible_at=max(job.begin_at, at))

    def _start_some(self, job: Job, at: float, room: planning.Room, *, blocked: bool) -> bool:
        """Start a job, or as many tasks of an array as fit; tell whether room ran out."""
        while True:
            nodes = None if blocked else room.place(job)
            if room.is_throttled(job):
                self._set_reason(job, "JobArrayTaskLimit", at)
                return blocked
            if nodes is None:
                self._set_reason(job, "Priority" if blocked else "Resources", at)
                return True
            is_last = len(job.waiting) < 2
            room.occupy(job, nodes)
            self.begin(job, at, nodes)
            if is_last:
                return blocked
            job = self.memory.now(job) or job

    def begin(self, job: Job, at: float, nodes: tuple[str, ...] | None = None) -> Job:
        """Start a job now; of an array that waits, the first task."""
        if job.waiting:
            job = self.memory.split(job, job.waiting[0], at)
        if nodes is None:
            room = planning.Room(self.jobs(), self.site)
            nodes = room.place(job) or self.site.nodes[: job.node_count]
        job = self.memory.change(
            job, at, state=State.RUNNING, reason="None", start_at=at, nodes=nodes, end_at=None,
            eligible_at=at if job.eligible_at is None else job.eligible_at,
        )  # fmt: skip
        if job.time_limit_s is not None:
            self._watch_limit(job, job.time_limit_s)
        if self.executor is not None:
            status = self.executor.start(job)
            if status:
                return self.end_with(job, at, status)
        elif (ending := self.ending(job)) is not None:
            self.timeline.later(ending.after_s, lambda end: self._run_out(job, ending, end))
        return self.memory.now(job) or job

    def _watch_limit(self, job: Job, seconds: float) -> None:
        def check(at: float) -> None:
            current = self.memory.now(job)
            if current is None or current.restarts != job.restarts or not is_on(current):
                return
            left = (current.time_limit_s or 0.0) - current.ran_by(at)
            if current.time_limit_s is None:
                return
            if left > 0:
                self._watch_limit(current, left)
            else:
                self.time_out(current, at)

        # It looks only now and then: a limit of one minute was seen to end at 1:27.
        rounds = -(-seconds // LIMIT_CHECK_S)
        self.timeline.later(max(rounds * LIMIT_CHECK_S, seconds), check)

    def _run_out(self, job: Job, ending: Ending, at: float) -> None:
        current = self.memory.now(job)
        if current is None or current.restarts != job.restarts:
            return
        if current.state is State.SUSPENDED:
            self.timeline.later(1.0, lambda later: self._run_out(job, ending, later))
        elif current.state is State.RUNNING and not current.flags & COMPLETING:
            current = self.memory.change(current, at, usage=ending.usage)
            self.end_with(current, at, ending.code << 8 | ending.signal)
