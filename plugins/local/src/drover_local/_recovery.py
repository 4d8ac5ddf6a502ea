"""Take over what an earlier agent had begun, and watch it without being its parent.

A job is taken over only under its identity: this boot, its number, its start. Its end is known
from the keeper, which inherits the children of a dead agent, or from the kernel's pidfd
information; where neither can tell, the job is LOST, whatever seems likely.
"""

import fcntl
import os
import struct
import time
from typing import Any, Final

from drover_local._doubt import Doubt, Spawn
from drover_local._identity import TICK_NS, boot_ns, start_ticks, started_within
from drover_local._job import ENDED, TERMINATE, Job, end_of, from_entry
from drover_local._ledger import ENDED as NOTED_END
from drover_local._ledger import EXITED, INTENT, LOST, NODE_LOST, RUNNING, Entry
from drover_local._orphans import OrphanReader
from drover_local._place import kept_name
from drover_local._poller import Poller
from drover_local._runner import Runner
from drover_local._timers import Timers

# _IOWR(0xFF, 11, 64); the wait status stands behind the mask, the cgroup and eleven numbers, and
# is valid where bit 8 of the mask comes back. Kernel 6.15 and later; tried with 6.18.
_PIDFD_GET_INFO: Final = 0xC040FF0B
_INFO: Final = struct.Struct("=QQ11Ii")
_EXIT_KNOWN: Final = 8
# The reaper may take its time; PID 1 was seen to need more than a second.
_ASK_S: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_TRIES_GONE: Final = 5
# The keeper tells what the job used as well, the kernel its code alone: the keeper gets 70 ms.
_KEEPER_FIRST: Final = 2


class Recovery:
    """Jobs that are not this agent's children."""

    def __init__(
        self,
        runner: Runner,
        timers: Timers,
        poller: Poller,
        orphans: OrphanReader,
        *,
        doubt: Doubt,
        output: str,
    ) -> None:
        self._runner = runner
        self._timers = timers
        self._poller = poller
        self._orphans = orphans
        self._doubt = doubt
        self._output = output

    def run(self) -> None:
        """Go through the ledger, once, before anything is started."""
        ledger = self._runner.ledger
        self._orphans.refresh()
        for entry in ledger.entries:
            self._take(entry, rebooted=ledger.rebooted)
        ledger.entries = []
        if ledger.rebooted:
            ledger.keep_boot()

    def _take(self, entry: Entry, *, rebooted: bool) -> None:
        job = from_entry(entry)
        if entry.state == NOTED_END:
            self._take_end(job, entry)
        elif rebooted:
            kind = NODE_LOST if entry.state == RUNNING else LOST
            self._lose(job, kind, "the machine was restarted while it ran")
        elif entry.state == INTENT and not self._find(job):
            self._settle(job)
        else:
            self._adopt(job)

    def _settle(self, job: Job) -> None:
        """Decide about a spawn whose result was not noted, and of which no process is found."""
        what, pid, ticks = self._doubt.settle(
            job.span[0], self._output_of(job), lambda: self._find(job)
        )
        if what is Spawn.NONE:
            # Nobody was told of it: it is given again, or found to be unrun.
            self._runner.ledger.free(job.index)
        elif what is Spawn.ENDED:
            self._take_process(job, pid, ticks)
            self._adopt(job)
        elif job.pid:
            self._adopt(job)
        else:
            self._lose(
                job,
                LOST,
                "the agent was killed while it started the command; no process bears its token "
                "now, and whether one did is not known",
            )

    def _take_end(self, job: Job, entry: Entry) -> None:
        usage = (entry.user_s, entry.system_s, entry.wall_s, entry.max_rss)
        known = usage if entry.max_rss else None
        job.reaped = True
        job.phase = ENDED
        job.end = end_of(
            entry.kind,
            entry.ended_at,
            status=entry.status,
            cause=entry.cause,
            usage=known,
            message=entry.detail.get("message", ""),
        )
        self._runner.jobs[job.token] = job

    def _output_of(self, job: Job) -> str:
        job_id, _, number = job.native_id.rpartition("/")
        name = kept_name(job_id, int(number) if number.isdecimal() else 0, 0, "out")
        return f"{self._output}/{name}"

    def _find(self, job: Job) -> bool:
        """Find the process of a spawn whose result was not noted, by the token it bears."""
        self._runner.processes.refresh()
        found = self._runner.processes.leaders(job.token)
        left = self._orphans.tokens.get(job.token)
        if left is not None:
            found.append((left["pid"], left["ticks"]))
        if len(set(found)) != 1:
            return False
        pid, ticks = found[0]
        if ticks < job.span[0] // TICK_NS:
            return False
        self._take_process(job, pid, ticks)
        return True

    def _take_process(self, job: Job, pid: int, ticks: int) -> None:
        job.pid = pid
        job.span = (ticks * TICK_NS, ticks * TICK_NS)
        job.started_at = time.time() - (boot_ns() - job.span[0]) / 1e9
        self._runner.ledger.adopt_span(job.index, pid, *job.span)

    def _adopt(self, job: Job) -> None:
        self._runner.take_over(job)
        if job.cause:
            job.stopping = True
            if job.cause != TERMINATE:
                job.kill_at = time.monotonic() + job.grace_s
                self._timers.at(job.kill_at, lambda: self._stop_again(job))
        try:
            job.pidfd = os.pidfd_open(job.pid)
        except (OSError, AttributeError):
            self._ask(job, 0)
            return
        if not started_within(start_ticks(job.pid), *job.span):
            # The number is somebody else's by now.
            os.close(job.pidfd)
            job.pidfd = -1
            self._ask(job, 0)
            return
        self._poller.register(job.pidfd, lambda: self._gone(job))

    def _stop_again(self, job: Job) -> None:
        if job.is_up:
            self._runner.stopper.begin(job, job.cause, 0.0)

    def _gone(self, job: Job) -> None:
        self._poller.unregister(job.pidfd)
        self._ask(job, 0)

    def _ask(self, job: Job, attempt: int) -> None:
        if job.pidfd < 0 and started_within(start_ticks(job.pid), *job.span):
            # No pidfd on this system: look again and again.
            self._timers.after(0.5, lambda: self._ask(job, 0))
            return
        self._orphans.refresh()
        end = self._kept(job)
        if end is None and attempt >= _KEEPER_FIRST:
            end = self._told_by_kernel(job)
        # Gone before there was a pidfd: somebody has reaped it, and a keeper writes at once.
        tries = len(_ASK_S) if job.pidfd >= 0 else _TRIES_GONE
        if end is None and attempt + 1 < tries:
            self._timers.after(_ASK_S[attempt + 1], lambda: self._ask(job, attempt + 1))
            return
        if job.pidfd >= 0:
            os.close(job.pidfd)
            job.pidfd = -1
        if end is None:
            self._runner.processes.refresh()
            self._lose(
                job,
                LOST,
                f"process {job.pid} ended after the agent that could have reaped it was killed; "
                "neither a keeper nor the kernel could tell its exit code",
            )
            return
        at, status, usage = end
        self._runner.ledger.ended(job.index, EXITED, status, at)
        self._runner.main_ended(job, at, status, usage)

    def _kept(self, job: Job) -> tuple[float, int, Any] | None:
        for row in reversed(self._orphans.ends.get(job.pid, [])):
            if started_within(row["ticks"], *job.span):
                wall = time.monotonic() - job.mono_started
                return row["at"], row["status"], (row["user_s"], row["system_s"], wall, row["rss"])
        return None

    def _told_by_kernel(self, job: Job) -> tuple[float, int, None] | None:
        if job.pidfd < 0:
            return None
        answer = bytearray(64)
        _INFO.pack_into(answer, 0, 1 | _EXIT_KNOWN, *([0] * 13))
        try:
            fcntl.ioctl(job.pidfd, _PIDFD_GET_INFO, answer)
        except OSError:
            return None
        row = _INFO.unpack_from(answer)
        return (time.time(), row[-1], None) if row[0] & _EXIT_KNOWN else None

    def _lose(self, job: Job, kind: int, message: str) -> None:
        at = time.time()
        ledger = self._runner.ledger
        ledger.explain(job.index, job.token, job.native_id, message)
        ledger.ended(job.index, kind, 0, at)
        job.reaped = True
        if job.token in self._runner.jobs:
            self._runner.finish(job, end_of(kind, at, cause=job.cause, message=message))
            return
        job.phase = ENDED
        job.end = end_of(kind, at, cause=job.cause, message=message)
        self._runner.jobs[job.token] = job
