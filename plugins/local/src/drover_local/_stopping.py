"""End a job with everything it has started: TERM, a grace, KILL, and who is still there."""

import signal
import time
from collections.abc import Callable
from typing import Final

from drover_local._identity import read_stat
from drover_local._job import NO_CAUSE, TERMINATE, Job
from drover_local._ledger import Ledger
from drover_local._timers import Timers
from drover_local._tree import Processes, send

# Rounds of KILL, 20 ms, 40 ms... apart, 1.6 s in all: what is there then is in the kernel
# (disk sleep) or belongs to somebody else.
_PASSES: Final = 12
_STEP_S: Final = 0.02
_LOOK_S: Final = 0.05
# A tree that grows while it is signalled is looked at again at once, this often.
_SWEEPS: Final = 8
# proc_pid_stat(5): stopped by a signal, or by a tracer, or gone but not collected.
_STOPPED: Final = frozenset("TtZX")
_FOLLOWED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM})
"""Signals that a process must not escape by having been forked a moment too late."""


class Stopper:
    """Signal whole jobs and see them off."""

    def __init__(
        self,
        processes: Processes,
        timers: Timers,
        ledger: Ledger,
        finish: Callable[[Job, tuple[int, ...]], None],
    ) -> None:
        self._processes = processes
        self._timers = timers
        self._ledger = ledger
        self._finish = finish

    def begin(self, job: Job, cause: int, grace_s: float | None) -> None:
        """Ask a running job to end.

        Args:
            job: It runs; a repeated call never prolongs what an earlier one has set.
            cause: Why, as the ledger keeps it; the first one stands, unless it only asked.
            grace_s: Seconds until KILL; 0 for KILL at once, `None` for never.
        """
        if job.cause in {NO_CAUSE, TERMINATE}:
            job.cause = cause
            self._ledger.mark(job.index, cause=cause)
        job.stopping = True
        job.halting = False
        if grace_s is not None:
            kill_at = time.monotonic() + grace_s
            if job.kill_at is None or kill_at < job.kill_at:
                job.kill_at = kill_at
                if grace_s > 0:
                    self._timers.at(kill_at, lambda: self._due(job))
        if grace_s is not None and grace_s <= 0:
            self._kill(job)
        else:
            self.signal(job, signal.SIGTERM)
            # A stopped process takes its TERM only once it goes on.
            self.signal(job, signal.SIGCONT)

    def signal(self, job: Job, number: int) -> int:
        """Signal every process of a job, also those that appear meanwhile.

        Returns:
            How many took it.
        """
        done: set[tuple[int, int]] = set()
        for _ in range(_SWEEPS):
            self._processes.refresh()
            fresh = set(self._processes.members(job).items()) - done
            for pid, ticks in sorted(fresh, key=lambda row: row[0] != job.pid):
                send(pid, ticks, number)
            done |= fresh
            if not fresh or number not in _FOLLOWED:
                break
        return len(done)

    def stands_still(self, job: Job) -> bool:
        """Tell whether every process of a job is stopped."""
        self._processes.refresh()
        rows = [read_stat(pid) for pid in self._processes.members(job)]
        return all(row is None or row[0] in _STOPPED for row in rows)

    def main_ended(self, job: Job) -> None:
        """Go on with what is left, now that the main process is gone."""
        self._processes.refresh()
        left = self._processes.members(job)
        if not left or job.kill_at is None:
            self._finish(job, tuple(left))
        elif job.kill_at <= time.monotonic():
            self._kill(job)
        else:
            self._timers.after(_LOOK_S, lambda: self._look(job))

    def sweep(self, job: Job) -> None:
        """Kill what a job has left behind after its own end."""
        job.kill_at = time.monotonic()
        self.main_ended(job)

    def _look(self, job: Job) -> None:
        if job.end is None:
            self.main_ended(job)

    def _due(self, job: Job) -> None:
        if job.end is None and job.kill_at is not None and job.kill_at <= time.monotonic():
            self._kill(job)

    def _kill(self, job: Job) -> None:
        if job.end is not None:
            return
        self.signal(job, signal.SIGKILL)
        job.passes += 1
        if job.reaped:
            self._processes.refresh()
            left = tuple(self._processes.members(job))
            if not left or job.passes >= _PASSES:
                self._finish(job, left)
                return
        if job.passes < _PASSES:
            self._timers.after(_STEP_S * job.passes, lambda: self._kill(job))
