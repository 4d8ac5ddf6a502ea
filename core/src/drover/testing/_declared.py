"""Checks of what a backend declares. What it does not declare is skipped, with the reason."""

import signal
import sys
from typing import Final

import pytest

from drover import Job, JobArray
from drover.commandline import read_exit_record
from drover.errors import DroverError
from drover.models import Array, JobSpec, Phase, Reason, Resources, Retry, Transfer, Verb, Verdict
from drover.states import State
from drover.testing._must_claim import ClaimChecks
from drover.testing._must_steer import SteerChecks
from drover.testing._witness import shell, state_of

_BURN: Final = "import time\nwhile time.process_time() < 0.3: pass\nx = bytearray(60_000_000)"
_STANDING: Final = ("stopped", "disk-sleep")
"""The second is what a process in a frozen control group shows."""
_TICK: Final = 'while :; do echo . >>"$1"; sleep 0.02; done'


class DeclaredChecks(ClaimChecks, SteerChecks):
    """What `Capabilities` says and `plan` promises."""

    # --- requests ------------------------------------------------------------------------------

    def test_suspend_and_resume(self) -> None:
        """A suspended job does nothing, and goes on as if nothing had been."""
        self.need_verb(Verb.SUSPEND, Verb.RESUME)
        ticks = self.stage.path(self.unique("ticks"))
        job, name = self.witnessed("suspend", shell(_TICK, str(ticks)))
        self.running(job, name)
        assert self.ask(job, Verb.SUSPEND), self.story(job)
        self.until(job, "SUSPENDED", lambda: job.state is State.SUSPENDED)
        pid = self.stage.witness.starts(name)[-1]
        # A backend may say so before the kernel has stopped the last process.
        self.until(job, "stopped", lambda: state_of(pid) in _STANDING)

        before = ticks.stat().st_size
        assert self.ask(job, Verb.RESUME), self.story(job)
        self.until(job, "RUNNING again", lambda: job.state is State.RUNNING)
        self.until(job, "at work", lambda: ticks.stat().st_size > before)
        assert job.cancel(grace_s=2.0).gone, self.story(job)

    def test_cancel_suspended(self) -> None:
        """A suspended job can be ended."""
        self.need_verb(Verb.SUSPEND)
        job, name = self.sleeper("suspended")
        assert self.ask(job, Verb.SUSPEND), self.story(job)
        verdict = job.cancel(grace_s=2.0)

        assert verdict.gone, f"{verdict}\n{self.story(job)}"
        assert self.native_state(name) == "gone"

    def test_signal(self) -> None:
        """A signal reaches the command itself."""
        self.need_verb(Verb.SIGNAL)
        job, name = self.witnessed(
            "signal", shell("trap 'echo got' USR1; echo up; while :; do sleep 0.02; done")
        )
        self.running(job, name)
        self.until(job, "ready", lambda: job.stdout.read_bytes() == b"up\n")
        assert self.ask(job, Verb.SIGNAL, signal=int(signal.SIGUSR1)), self.story(job)
        self.until(job, "signalled", lambda: job.stdout.read_bytes() == b"up\ngot\n")

        assert job.cancel(grace_s=2.0).gone, self.story(job)

    @pytest.mark.parametrize(
        ("verb", "number"), [(Verb.TERMINATE, signal.SIGTERM), (Verb.KILL, signal.SIGKILL)]
    )
    def test_terminate_and_kill(self, verb: Verb, number: int) -> None:
        """TERM and KILL alone end a job, and it counts as cancelled."""
        self.need_verb(verb)
        job, name = self.sleeper(verb.value)
        self.stage.session.ask([job], verb)
        outcome = self.end(job)

        assert outcome.signal == number, self.story(job)
        assert job.state is State.CANCELLED, self.story(job)
        assert self.native_state(name) == "gone"

    def test_hold_and_release_queued(self) -> None:
        """A held job does not start, however much room there is."""
        self.need_verb(Verb.HOLD, Verb.RELEASE)
        crowd = self.crowd()
        job, name = crowd.pop()
        assert self.ask(job, Verb.HOLD), self.story(job)
        others = [other for other, _ in crowd]
        self.stage.session.cancel(others, grace_s=0.5)
        probe = self.run(shell("true"))

        assert probe.state is State.SUCCEEDED, self.story(probe)
        assert self.stage.witness.starts(name) == [], self.story(job)
        assert "user" in job.record.hold, self.story(job)
        assert self.ask(job, Verb.RELEASE), self.story(job)
        self.running(job, name)
        assert job.cancel(grace_s=2.0).gone, self.story(job)

    def ask(self, job: Job, verb: Verb, signal: int | None = None) -> bool:
        """Ask something of a job; tell whether it was done or passed on."""
        (verdict,) = self.stage.session.ask([job], verb, signal=signal)
        return verdict.verdict in (Verdict.DONE, Verdict.SIGNALLED)

    # --- what the engine gives every backend -----------------------------------------------------

    def test_hold_and_release(self) -> None:
        """A job that is held from the beginning starts when it is released."""
        job, name = self.witnessed("hold", shell("exit 6"), hold=True)
        assert self.stage.witness.starts(name) == []
        job.release()

        assert self.end(job).exit_code == 6, self.story(job)

    def test_array(self) -> None:
        """Each element is a job with its own index, end and output."""
        spec = JobSpec(
            argv=shell('echo "$DROVER_ARRAY_INDEX"; exit "$DROVER_ARRAY_INDEX"'),
            array=Array(indices=(0, 3, 5)),
            cwd=str(self.stage.folder),
        )
        array = self.stage.session.submit(spec, backend=self.backend_name)
        assert isinstance(array, JobArray)
        array.wait(self.timeout_s)

        told = {
            job.array_index: (job.outcome.exit_code if job.outcome else None, job.stdout.read())
            for job in array
        }
        assert told == {
            0: (0, "0\n"),
            3: (3, "3\n"),
            5: (5, "5\n"),
        }

    def test_retry(self) -> None:
        """A retry is another attempt, with its own run and its own output."""
        job, name = self.witnessed("retry", shell("echo x; exit 9"), retry=Retry(attempts=2))
        self.end(job)

        assert len(self.stage.witness.starts(name)) == 2, self.story(job)
        assert job.attempt == 2, self.story(job)
        assert job.stdout.read() == "x\n", self.story(job)

        self.stage.session.purge(jobs=[job])
        left = [str(path) for path in (self.stage.folder / "home").rglob(f"*{job.id}*")]
        assert not left, "a job that was purged left files behind"

    # --- resources -------------------------------------------------------------------------------

    def test_wall_time(self) -> None:
        """A job over its time is ended, and says why."""
        resources = Resources(wall_time=1.0)
        self.need_field(resources=resources)
        job, name = self.witnessed("wall", ("/bin/sleep", "600"), resources=resources)

        assert self.end(job).reason is Reason.WALL_TIME, self.story(job)
        assert job.state is State.FAILED, self.story(job)
        assert self.native_state(name) == "gone"

    def test_memory_limit(self) -> None:
        """A job over its memory is ended, and says why."""
        resources = Resources(memory=100 * 2**20)
        self.need_field(resources=resources)
        script = "import time; x = bytearray(400_000_000); x[::4096] = b'1' * len(x[::4096])"
        job = self.run([sys.executable, "-c", script + "; time.sleep(60)"], resources=resources)

        assert self.end(job).reason is Reason.OUT_OF_MEMORY, self.story(job)

    def test_never_fits(self) -> None:
        """A job that can never run says so instead of waiting for ever."""
        resources = Resources(cpus=100_000)
        self.need_field(resources=Resources(cpus=1, tasks=1))
        try:
            job = self.submit(shell("true"), resources=resources)
        except DroverError:
            return
        assert self.end(job).reason is Reason.REFUSED, self.story(job)
        assert self.end(job).message, self.story(job)

    # --- the rest of Capabilities ----------------------------------------------------------------

    def test_usage(self) -> None:
        """What a job used is told in seconds and bytes."""
        self.need(self.capabilities.usage, "usage")
        usage = self.end(self.run([sys.executable, "-c", _BURN])).usage

        assert usage.cpu_s is not None
        assert 0.25 <= usage.cpu_s < self.timeout_s
        assert usage.max_rss_bytes is not None
        assert 50_000_000 < usage.max_rss_bytes < 2_000_000_000
        assert usage.wall_s is not None
        assert 0.25 <= usage.wall_s < self.timeout_s

    def test_push(self) -> None:
        """A backend that pushes tells the start and the end without being asked."""
        self.need(self.capabilities.push, "push")
        attempt, _ = self.marked("push", *shell("exit 8"))
        self.accept(attempt)
        row = self.harness.until(attempt, Phase.ENDED, self.timeout_s)

        assert row.end is not None
        assert row.end.exit_code == 8

    def test_exit_record(self) -> None:
        """The wrapper's record tells the end, whatever becomes of the scheduler."""
        self.need(self.capabilities.exit_record, "exit_record")
        attempt, _ = self.marked("record", *shell("exit 8"))
        self.accept(attempt)
        self.phase(attempt, Phase.ENDED)
        record = read_exit_record(self.harness.context.attempt_dir(attempt), token=attempt.token)

        assert record is not None
        assert record.exit_code == 8

    def test_staging(self) -> None:
        """Inputs are there before the start, outputs are back before the end."""
        self.need(self.capabilities.stage_in, "stage_in")
        self.need(self.capabilities.stage_out, "stage_out")
        source, target = self.stage.path(self.unique("source")), self.stage.path(self.unique("t"))
        source.write_bytes(bytes(range(256)))
        job = self.run(
            shell("cat in.bin in.bin >out.bin"),
            inputs=[Transfer(source=str(source), target="in.bin")],
            outputs=[Transfer(source="out.bin", target=str(target))],
        )

        assert job.state is State.SUCCEEDED, self.story(job)
        assert target.read_bytes() == bytes(range(256)) * 2

    def test_restart(self) -> None:
        """A requeue by the scheduler is a restart of the same attempt."""
        self.need(self.capabilities.restart, "restart")
        job, name = self.witnessed("restart", ("/bin/sleep", "600"), requeue=True)
        self.running(job, name)
        self.requeue_outside(name)
        self.until(job, "restarted", lambda: job.restart == 1)

        assert job.attempt == 1, self.story(job)
        assert job.cancel(grace_s=2.0).gone, self.story(job)

    def requeue_outside(self, name: str) -> None:
        """Make the scheduler run *name* again, behind the backend's back; to be overridden."""
        pytest.skip(f"{self.backend_name}: no way is given to requeue {name} from outside")
