"""Start what is due and reap what has ended. The claim lies here: note first, then act."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from drover_local._identity import boot_ns
from drover_local._job import ENDED, QUEUED, RUNNING, SUSPENDED, Job, end_of
from drover_local._ledger import EXITED, LAUNCH_FAILED, Ledger, note_of
from drover_local._limits import Limits
from drover_local._slots import Queue, Slots
from drover_local._spawn import LaunchError, NoRoomError, Spawner
from drover_local._stopping import Stopper
from drover_local._timers import Timers
from drover_local._tree import Processes

# A full disk is looked at again after this.
_RETRY_S: Final = 1.0
# A process in the kernel (disk sleep) stops later than this; it does nothing of its own till then.
_HALT_S: Final = 2.0
_HALT_LOOK_S: Final = 0.005
# What os.fsencode does, without its look at what it was given.
_CODEC: Final = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
_LOOK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
Usage = tuple[float, float, float, int]
_NOTHING: Final[dict[Any, Any]] = {}
"""What is left of the description of a job that has started. Never changed."""


class Runner:
    """The jobs of this agent, from the queue to their ends."""

    def __init__(
        self, ledger: Ledger, spawner: Spawner, timers: Timers, tell: Callable[[Job], None]
    ) -> None:
        self.ledger = ledger
        self.slots = Slots()
        self.queue = Queue()
        self.jobs: dict[str, Job] = {}
        """By token, until the engine has made their ends durable."""
        self.running = 0
        self.processes = Processes()
        self.stopper = Stopper(self.processes, timers, ledger, self._finish_stopped)
        self.limits = Limits(self.processes, timers, self.stopper.begin)
        self.trouble = ""
        """Why nothing is started at the moment, for the doctor."""
        self._spawner = spawner
        self._timers = timers
        self._tell = tell
        self._is_starting = False
        self._by_pid: dict[int, Job] = {}
        self._cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
        self._host = os.uname().nodename

    def start_due(self) -> None:
        """Start all whose turn it is."""
        if self._is_starting:
            # A job that could not be launched gives its place back from within the loop below,
            # which goes on: else a queue of them would be as deep as it is long.
            return
        self._is_starting = True
        try:
            while not self.trouble:
                job = self.queue.next(self.slots)
                if job is None:
                    break
                assert isinstance(job, Job)
                self._start(job)
        finally:
            self._is_starting = False

    def prepare(self, job: Job) -> None:
        """Make ahead of its turn what a job needs for its start: a slot waits for what is not."""
        self._spawner.prepare(job)
        if job.needs.gpus:
            return
        try:
            job.environment = _environment(job)
        except UnicodeEncodeError:
            return  # Its start meets the same, and says so.
        job.note = note_of(job.token, job.detail())

    def come_back(self) -> None:
        """Stand in no job's directory while nothing is started."""
        self._spawner.come_back()

    def reap(self) -> None:
        """Collect every child that has ended."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, _LOOK)
            except ChildProcessError:
                return
            if found is None:
                return
            pid, now = found.si_pid, time.time()
            job = self._by_pid.pop(pid, None)
            if job is None:
                os.wait4(pid, 0)
                continue
            # Before the reap: an agent that is killed here leaves the status to be found.
            self.ledger.ended(job.index, EXITED, _status(found), now)
            _, status, usage = os.wait4(pid, 0)
            self.main_ended(job, now, status, _used(job, usage))

    def main_ended(self, job: Job, at: float, status: int, usage: Usage | None) -> None:
        """Take the end of a job's main process; its status is in the ledger already."""
        alone = not job.stopping and not job.kill_leftovers
        if alone:
            # First of all: what follows is done while the next job starts.
            self._vacate(job)
        if usage is not None:
            self.ledger.used(job.index, *usage)
        job.reaped = True
        if alone:
            self.finish(job, [EXITED, at, status, job.cause, usage, "", ()])
            return
        job.reaped_ns = boot_ns()
        job.what = {"at": at, "status": status, "usage": usage}
        if job.stopping:
            self.stopper.main_ended(job)
        else:
            self.stopper.sweep(job)

    def finish(self, job: Job, end: list[Any]) -> None:
        """Settle a job's end; it stays known until the engine has made that durable."""
        self._vacate(job)
        job.phase = ENDED
        job.end = end
        job.what = job.environment = _NOTHING
        if job.is_limited:
            self.limits.drop(job)
        self._tell(job)

    def _vacate(self, job: Job) -> None:
        """Give a job's place to the next, once."""
        if job.vacated or job.phase == ENDED:
            return
        job.vacated = True
        self.running -= 1
        self.slots.give_back(job.needs, job.gpus)
        if job.cpu_ids:
            self.slots.unbind(job.cpu_ids)
        self.start_due()

    def take_over(self, job: Job) -> None:
        """Count a job that runs already, from an earlier agent."""
        self.jobs[job.token] = job
        self.running += 1
        self.slots.take(job.needs, job.gpus)
        self.limits.watch(job)

    def suspend(self, job: Job) -> None:
        """Stop a running job where it stands; it is told as soon as all of it stands still."""
        job.halting = True
        self.ledger.mark(job.index, suspended=True)
        self.stopper.signal(job, signal.SIGSTOP)
        self._look_whether_halted(job, time.monotonic() + _HALT_S)

    def resume(self, job: Job) -> None:
        """Let a stopped job go on."""
        job.halting = False
        job.phase = RUNNING
        self.ledger.mark(job.index, suspended=False)
        self.stopper.signal(job, signal.SIGCONT)
        self._tell(job)

    def _look_whether_halted(self, job: Job, deadline: float) -> None:
        if not job.halting or not job.is_up:
            return
        # A process that waits for a cpu takes its SIGSTOP only when it gets one.
        if self.stopper.stands_still(job) or time.monotonic() > deadline:
            job.halting = False
            job.phase = SUSPENDED
            self._tell(job)
        else:
            self._timers.after(_HALT_LOOK_S, lambda: self._look_whether_halted(job, deadline))

    def forget(self, token: str) -> None:
        """Let go of a job whose end is durable."""
        job = self.jobs.get(token)
        if job is not None and job.phase == ENDED:
            del self.jobs[token]
            if job.index >= 0:
                self.ledger.free(job.index)

    def _start(self, job: Job) -> None:
        job.gpus = self.slots.take(job.needs)
        if job.affinity:
            job.cpu_ids = self.slots.bind(job.needs.cpus, self._cpus)
        note = job.note or note_of(job.token, job.detail())
        job.mono_started, after, now = time.monotonic(), boot_ns(), time.time()
        try:
            job.index = self.ledger.intend(note, now, after)
        except OSError as exc:
            self._stall(job, f"the ledger cannot grow: {exc.strerror}")
            return
        job.phase = RUNNING
        self.running += 1
        try:
            if not job.note:
                job.environment = _environment(job)
            pid = self._spawner.spawn(job)
        except NoRoomError as exc:
            self.ledger.free(job.index)
            job.index, job.phase = -1, QUEUED
            self.running -= 1
            self._stall(job, str(exc))
            return
        except LaunchError as exc:
            self._not_launched(job, str(exc))
            return
        except UnicodeEncodeError as exc:
            # Not shown whole: it may be the value of a variable.
            letter = ascii(exc.object[exc.start : exc.end])
            self._not_launched(job, f"text with {letter} cannot be written in {exc.encoding} here")
            return
        job.pid, job.started_at, job.span = pid, now, (after, boot_ns())
        self.ledger.spawned(job.index, pid, job.span, now)
        self._by_pid[pid] = job
        job.what = job.environment = _NOTHING
        job.note, job.actions = b"", ()
        if job.is_limited:
            self.limits.watch(job)
        self._tell(job)

    def _stall(self, job: Job, why: str) -> None:
        self.slots.give_back(job.needs, job.gpus)
        self.slots.unbind(job.cpu_ids)
        job.gpus = job.cpu_ids = ()
        self.queue.add(job)
        self.trouble = why
        self._timers.after(_RETRY_S, self._go_on)

    def _go_on(self) -> None:
        self.trouble = ""
        self.start_due()

    def _not_launched(self, job: Job, message: str) -> None:
        at = time.time()
        self.ledger.explain(job.index, job.token, job.native_id, message)
        self.ledger.ended(job.index, LAUNCH_FAILED, 0, at)
        job.reaped = True
        self.finish(job, end_of(LAUNCH_FAILED, at, message=message))

    def _finish_stopped(self, job: Job, survivors: tuple[int, ...]) -> None:
        end = job.what
        self.finish(
            job,
            end_of(
                EXITED,
                end["at"],
                status=end["status"],
                cause=job.cause,
                usage=end["usage"],
                survivors=survivors,
            ),
        )


# wait4 imports `resource` on first use, which may be too late: the signature names it.
def _used(job: Job, usage: resource.struct_rusage) -> Usage:
    wall = time.monotonic() - job.mono_started
    return usage.ru_utime, usage.ru_stime, wall, usage.ru_maxrss * 1024


def _environment(job: Job) -> dict[bytes, bytes]:
    environment = dict(job.environment)
    for name, value in job.what.get("variables", {}).items():
        environment[name.encode(*_CODEC)] = value.encode(*_CODEC)
    environment[b"DROVER_TOKEN"] = job.token.encode("ascii")
    if job.needs.gpus:
        environment[b"CUDA_VISIBLE_DEVICES"] = ",".join(job.gpus).encode()
    return environment


def _status(found: Any) -> int:
    """Make the wait status that goes with what `waitid` tells."""
    if found.si_code == os.CLD_EXITED:
        return int(found.si_status) << 8
    return int(found.si_status) | (0x80 if found.si_code == os.CLD_DUMPED else 0)
