"""What a test may do to the jobs of a scripted Slurm, and see of them."""

import time
from collections.abc import Callable
from typing import Any, Final

from drover.testing.scheduler._scheduler import Scheduler
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._job import Job, Usage
from drover.testing.scheduler.slurm._life import SIGKILL
from drover.testing.scheduler.slurm._planning import uses_nodes
from drover.testing.scheduler.slurm._words import Flag, State

Which = int | str
"""A job's id: `17`, or `28_3` for a task of an array."""
POLL_S: Final = 0.01


class Steps(Scheduler):
    """The part of `SlurmScheduler` that moves jobs."""

    controller: Controller

    # --- looking -------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """List the jobs in the controller's memory, oldest first."""
        with self.lock:
            self.catch_up()
            return sorted(self.controller.jobs(), key=lambda job: job.serial)

    def job(self, which: Which) -> Job:
        """Give a job as it is now.

        Raises:
            LookupError: There is none in memory.
        """
        text = str(which)
        for job in reversed(self.jobs):
            if text == job.native_id or (text == str(job.job_id) and not _is_task(job)):
                return job
            base, _, task = text.partition("_")
            if base == str(job.base_id) and task.isdigit() and int(task) in job.waiting:
                return job
        raise LookupError(
            f"no job {text} in memory; there are: {[one.native_id for one in self.jobs]}"
        )

    def named(self, name: str) -> list[Job]:
        """List the jobs of that name, oldest first."""
        return [job for job in self.jobs if job.name == name]

    # --- adding --------------------------------------------------------------------------------

    def add(self, name: str, **facts: Any) -> Job:
        """Put a job there that nobody submitted by a command: somebody else's, an old one's.

        Args:
            name: Its name; any text that Slurm would take.
            facts: Fields of `Job`, such as `user`, `uid`, `state`, `comment`.
        """
        with self.lock:
            self.catch_up()
            now = self.clock.time()
            given: dict[str, Any] = {
                "user": self.user,
                "uid": self.uid,
                "account": self.user,
                "submit_at": now,
                "partition": self.controller.site.partitions[0].name,
                "job_id": self.controller.memory.new_id(),
                **facts,
            }
            job = Job(serial=self.controller.memory.new_serial(), name=name, **given)
            return self.controller.memory.add(job, now)

    # --- moving --------------------------------------------------------------------------------

    def start(self, which: Which) -> Job:
        """Start a job that waits, whatever keeps it; of an array's waiting part the first task."""
        with self.lock:
            job = self._alone(which)
            if job.state is not State.PENDING:
                return job
            return self.controller.begin(job, self.clock.time())

    def finish(
        self,
        which: Which,
        code: int = 0,
        *,
        signal: int = 0,
        usage: Usage | None = None,
        completing_s: float = 0.0,
    ) -> Job:
        """End a job by its own doing; one that waits is started first.

        Args:
            which: The job.
            code: Its exit code.
            signal: The signal that ended it, in place of a code.
            usage: What it used.
            completing_s: How long it is COMPLETING before its end state shows.
        """
        status = signal or code << 8
        good = status == 0
        reason = (
            "None" if good else "NonZeroExitCode" if code and not signal else "JobLaunchFailure"
        )
        return self.end(
            which,
            State.COMPLETED if good else State.FAILED,
            reason=reason,
            exit_status=status,
            usage=usage or Usage(),
            completing_s=completing_s,
        )

    def end(self, which: Which, state: State, **facts: Any) -> Job:
        """End a job in any state, with any facts; one that waits is started first."""
        with self.lock:
            job = self.start(which)
            return self.controller.end(job, state, self.clock.time(), **facts)

    def out_of_memory(self, which: Which) -> Job:
        """Let the kernel kill something of the job for its memory. Its own code does not count."""
        return self.end(which, State.OUT_OF_MEMORY, reason="OutOfMemory", exit_status=125)

    def time_out(self, which: Which, **facts: Any) -> Job:
        """Let its time limit pass."""
        facts = {"reason": "TimeLimit", "exit_status": 9, **facts}
        return self.end(which, State.TIMEOUT, **facts)

    def expire(self, which: Which) -> Job:
        """Let its time limit pass: TERM to all its processes, KillWait later KILL."""
        with self.lock:
            self.controller.time_out(self.job(which), self.clock.time())
            return self.job(which)

    def lose_processes(self, which: Which) -> Job:
        """Kill all processes of a job that runs for real, as when its node loses power.

        The controller sees its script killed by SIGKILL; what really becomes of it is the test's
        to say, with `change`.
        """
        job = self.job(which)
        with self.lock:
            self.controller.signal(job, SIGKILL, group=True)
        self.until(lambda: not self.runs(job))
        return self.job(which)

    def runs(self, job: Job) -> bool:
        """Tell whether a process of the job is there."""
        with self.lock:
            self.catch_up()
            return self.controller.executor is not None and self.controller.executor.runs(job)

    def preempt(self, which: Which, *, requeue: bool = False) -> Job:
        """Let another job push it out: it is gone, or goes back into the queue."""
        if not requeue:
            return self.end(which, State.PREEMPTED, exit_status=15)
        with self.lock:
            job = self.start(which)
            self.controller.requeue(job, self.clock.time())
            return self.job(which)

    def fail_node(self, which: Which) -> Job:
        """Lose the node under a job: it is requeued if it may be."""
        with self.lock:
            self.controller.fail_node(self.start(which), self.clock.time())
            return self.job(which)

    def fail_launch(self, which: Which) -> Job:
        """Let the start fail: no script, no output."""
        return self.end(which, State.FAILED, reason="JobLaunchFailure", exit_status=53)

    def cancel(self, which: Which, *, uid: int = 0) -> Job:
        """Let somebody else cancel it."""
        with self.lock:
            self.controller.cancel(self._alone(which), self.clock.time(), uid)
            return self.job(which)

    def hold(self, which: Which, *, by: str = "admin") -> Job:
        """Hold it: by `user` or `admin`."""
        with self.lock:
            self.controller.hold(self._alone(which), self.clock.time(), by)
            return self.job(which)

    def release(self, which: Which) -> Job:
        """Let it go."""
        with self.lock:
            self.controller.release(self._alone(which), self.clock.time())
            return self.job(which)

    def suspend(self, which: Which) -> Job:
        """Stop it."""
        with self.lock:
            self.controller.suspend(self.start(which), self.clock.time())
            return self.job(which)

    def resume(self, which: Which) -> Job:
        """Let it go on."""
        with self.lock:
            self.controller.resume(self.job(which), self.clock.time())
            return self.job(which)

    def requeue(self, which: Which, *, held: bool = False) -> Job:
        """Put it back into the queue, as an administrator does."""
        with self.lock:
            reason = "job requeued in held state" if held else "BeginTime"
            self.controller.requeue(
                self.job(which), self.clock.time(), reason=reason, held="admin" if held else ""
            )
            return self.job(which)

    def change(self, which: Which, **facts: Any) -> Job:
        """Change any field: `reason`, `word` (a state that nobody knows), `stubborn`..."""
        with self.lock:
            return self.controller.memory.change(self.job(which), self.clock.time(), **facts)

    def forget(self, which: Which) -> Job:
        """Let the controller forget a job, as when MinJobAge has passed since its end."""
        with self.lock:
            job = self.job(which)
            self.controller.memory.forget(job, self.clock.time())
            return job

    def _alone(self, which: Which) -> Job:
        """Give the record of a job; a task of an array gets one of its own."""
        job = self.job(which)
        _, _, task = str(which).partition("_")
        if task.isdigit() and int(task) in job.waiting:
            return self.controller.memory.split(job, int(task), self.clock.time())
        return job

    # --- accounting ----------------------------------------------------------------------------

    def account(self, which: Which | Job, **facts: Any) -> None:
        """Let accounting say something else of a job.

        Args:
            which: The job.
            facts: `word` (its state), `exit_code` (`7:0`), `changes` (texts by field).
        """
        with self.lock:
            job = which if isinstance(which, Job) else self.job(which)
            self.controller.accounting.set(job.serial, **facts)

    def account_half(self, which: Which | Job) -> None:
        """Let accounting know the end of a job and not its beginning yet.

        Source: seen on 22.05.8, for some seconds, of a job that ended within the second of its
        start: the name is `allocation`, and most else is missing.
        """
        changes = {
            "jobname": "allocation", "partition": "", "qos": "Unknown", "eligible": "Unknown",
            "reqmem": "16?", "priority": "0", "timelimit": "", "timelimitraw": "",
            "workdir": "", "reqtres": "", "submitline": "", "flags": "StartRecieved",
        }  # fmt: skip
        self.account(which, changes=changes)

    def erase(self, which: Which | Job) -> None:
        """Let accounting know nothing of a job, ever."""
        with self.lock:
            job = which if isinstance(which, Job) else self.job(which)
            self.controller.accounting.erase(job.serial)

    # --- waiting for real processes ------------------------------------------------------------

    def settle(self, timeout_s: float = 30.0) -> None:
        """Wait until no job runs, where jobs run for real. Virtual time passes in small steps.

        Raises:
            TimeoutError: Some job still runs.
        """
        self.until(lambda: not any(map(_is_busy, self.jobs)), timeout_s)

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until something is so, with real time for processes and virtual time for the rest.

        Raises:
            TimeoutError: It did not become so.
        """
        end = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > end:
                told = ", ".join(f"{job.native_id} {job.shown}" for job in self.jobs)
                raise TimeoutError(f"not within {timeout_s:g} s; jobs: {told}")
            time.sleep(POLL_S)
            self.pass_time(POLL_S)


def _is_task(job: Job) -> bool:
    return job.array is not None and job.array.task is not None


def _is_busy(job: Job) -> bool:
    return uses_nodes(job) or job.state is State.SUSPENDED or bool(job.flags - {Flag.REQUEUE_HOLD})
