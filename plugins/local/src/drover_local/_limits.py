"""Hold running jobs to what they asked for: wall time and memory."""

from collections.abc import Callable
from typing import Final

from drover_local._job import MEMORY, NO_CAUSE, TERMINATE, WALL_TIME, Job
from drover_local._timers import Timers
from drover_local._tree import Processes, resident_bytes

# Only while a job with a memory limit runs. A faster burst is not seen.
POLL_S: Final = 0.25
# A job that was asked to end may have taken no notice; one that is being ended is left alone.
_STILL_HELD: Final = frozenset({NO_CAUSE, TERMINATE})


class Limits:
    """Watch what has a limit; nothing is looked at otherwise."""

    def __init__(
        self,
        processes: Processes,
        timers: Timers,
        begin: Callable[[Job, int, float | None], None],
    ) -> None:
        self._processes = processes
        self._timers = timers
        self._begin = begin
        self._watched: dict[str, Job] = {}
        self._polling = False

    def watch(self, job: Job) -> None:
        """Begin with a job that has just started, or was adopted."""
        if job.wall_time is not None:
            job.wall_timer = self._timers.at(
                job.mono_started + job.wall_time, lambda: self._overdue(job)
            )
        if job.needs.memory:
            self._watched[job.token] = job
            self._arm()

    def drop(self, job: Job) -> None:
        """Let go of a job that has ended."""
        self._timers.call_off(job.wall_timer)
        self._watched.pop(job.token, None)

    def _overdue(self, job: Job) -> None:
        if job.is_up and job.cause in _STILL_HELD:
            self._begin(job, WALL_TIME, job.grace_s)

    def _arm(self) -> None:
        if not self._polling and self._watched:
            self._polling = True
            self._timers.after(POLL_S, self._poll)

    def _poll(self) -> None:
        self._polling = False
        watched = [job for job in self._watched.values() if job.is_up and job.cause in _STILL_HELD]
        if watched:
            self._processes.refresh()
        for job in watched:
            limit = job.needs.memory
            if resident_bytes(self._processes.members(job), limit) > limit:
                self._begin(job, MEMORY, 0.0)
        self._arm()
