"""Checks that every backend must pass: a cancel has a verdict, and the verdict is true."""

import os
import time
from typing import Any

import pytest

from drover import Job
from drover.errors import UserError
from drover.models import JobSpec, Reason, Resources, Started, Support, Verb, Verdict, fields_set
from drover.states import State
from drover.testing._checks import POLL_S, Checks
from drover.testing._witness import shell


class SteerChecks(Checks):
    """Requests, and what becomes of them."""

    def test_cancel_running(self) -> None:
        """A cancel that says "gone" means that nothing runs any more."""
        job, name = self.sleeper("cancel")
        verdict = job.cancel(grace_s=5.0, timeout=self.timeout_s)

        assert verdict.gone, f"{verdict}\n{self.story(job)}"
        assert verdict.verdict is Verdict.DONE, self.story(job)
        assert self.native_state(name) == "gone", self.story(job)
        assert job.state is State.CANCELLED, self.story(job)
        assert self.end(job).reason is Reason.CANCELLED, self.story(job)

    def test_cancel_stubborn(self) -> None:
        """A job that ignores TERM is killed after its grace."""
        job, name = self.witnessed("stubborn", shell("trap '' TERM; while :; do sleep 0.05; done"))
        self.running(job, name)
        verdict = job.cancel(grace_s=0.3)

        assert verdict.gone, f"{verdict}\n{self.story(job)}"
        assert self.native_state(name) == "gone", self.story(job)
        assert job.state is State.CANCELLED, self.story(job)

    def test_cancel_grace(self) -> None:
        """A job that obeys TERM gets the time to clean up."""
        done = self.stage.path(self.unique("cleaned"))
        script = 'trap "sleep 0.3; : >\\"$1\\"; exit 0" TERM; echo up; while :; do sleep 0.02; done'
        job, name = self.witnessed("grace", shell(script, str(done)))
        self.running(job, name)
        self.until(job, "ready for TERM", lambda: job.stdout.read_bytes() == b"up\n")
        verdict = job.cancel(grace_s=20.0)

        assert verdict.gone, f"{verdict}\n{self.story(job)}"
        assert done.exists(), self.story(job)
        assert job.state is State.CANCELLED, self.story(job)

    def test_cancel_tree(self) -> None:
        """A cancelled job leaves no children behind."""
        child = self.unique("child")
        script = 'sleep 600 & echo $! >"$1"; wait'
        job, name = self.witnessed("tree", shell(script, str(self.stage.witness.file(child))))
        self.running(job, name)
        self.until(job, "a parent", lambda: self.stage.witness.starts(child))

        assert self.native_state(child) == "alive"
        assert job.cancel(grace_s=1.0).gone, self.story(job)
        self.until(job, "without children", lambda: self.native_state(child) == "gone")

    def test_cancel_held(self) -> None:
        """A job that was cancelled before it was placed has never run."""
        job, name = self.witnessed("held", shell("true"), hold=True)
        verdict = job.cancel()

        assert verdict.gone, f"{verdict}\n{self.story(job)}"
        assert job.state is State.CANCELLED, self.story(job)
        assert self.end(job).started is Started.NO, self.story(job)
        assert self.stage.witness.starts(name) == []

    def test_cancel_queued(self) -> None:
        """Cancelling before the start must not wait for a start that will never come."""
        crowd = self.crowd()
        job, name = crowd[-1]
        try:
            verdict = job.cancel()
            assert verdict.gone, f"{verdict}\n{self.story(job)}"
            assert job.state is State.CANCELLED, self.story(job)
            assert self.end(job).started is Started.NO, self.story(job)
            assert self.stage.witness.starts(name) == []
        finally:
            self.stage.session.cancel([job for job, _ in crowd], grace_s=0.5)

    def test_cancel_after_the_end(self) -> None:
        """A cancel that comes too late says so, and changes nothing."""
        job = self.run(shell("exit 3"))
        verdict = job.cancel()

        assert verdict.verdict is Verdict.TOO_LATE, verdict
        assert job.state is State.FAILED, self.story(job)
        assert self.end(job).exit_code == 3, self.story(job)

    def test_cancel_twice(self) -> None:
        """The second of two cancels does no harm."""
        job, _ = self.sleeper("twice")
        first, second = job.cancel(grace_s=2.0), job.cancel(grace_s=2.0)

        assert first.verdict is Verdict.DONE, first
        assert second.verdict is Verdict.TOO_LATE, second

    def test_undeclared_verb(self) -> None:
        """What a backend does not declare is refused, and the job goes on."""
        asked = {Verb.HOLD, Verb.SUSPEND, Verb.SIGNAL} - self.capabilities.verbs
        if not asked:
            pytest.skip(f"{self.backend_name} declares hold, suspend and signal")
        job, name = self.sleeper("undeclared")
        for verb in sorted(asked):
            number = 10 if verb is Verb.SIGNAL else None
            assert self.refused(job, verb, signal=number), self.story(job)

        assert self.native_state(name) == "alive", self.story(job)
        assert job.cancel(grace_s=2.0).gone, self.story(job)

    def refused(self, job: Job, verb: Verb, **fields: Any) -> bool:
        """Tell whether a request is refused, at once or by its verdict."""
        try:
            (verdict,) = self.stage.session.ask([job], verb, **fields)
        except UserError:
            return True
        return verdict.verdict is Verdict.REFUSED

    def crowd(self) -> list[tuple[Job, str]]:
        """Start more jobs than the backend has room for; skip the check if it has no limit.

        Returns:
            The jobs and their names; the last one has not been started.
        """
        count = (os.cpu_count() or 1) + 2
        begun = time.monotonic()
        jobs = [self.witnessed("crowd", ("/bin/sleep", "600")) for _ in range(count)]
        self.running(*jobs[0])
        # Long enough for a backend without a queue to start them all, also on a busy machine.
        end = time.monotonic() + max(1.0, 2 * (time.monotonic() - begun))
        while time.monotonic() < end:
            if self.stage.witness.starts(jobs[-1][1]):
                self.stage.session.cancel([job for job, _ in jobs], grace_s=0.5)
                pytest.skip(f"{self.backend_name} started {count} jobs at once, it queues none")
            time.sleep(POLL_S)
        return jobs

    # --- plans ---------------------------------------------------------------------------------

    def test_plan_covers_every_field(self) -> None:
        """Nothing is ignored silently."""
        spec = JobSpec(
            argv=["true"],
            name="planned",
            env={"A": "1"},
            tags=["t"],
            launcher="mpirun",
            container="image",
            requeue=True,
            resources=Resources(cpus=2, memory=2**30, nodes=2, queue="q", account="a"),
        )
        # The session's own plan would refuse what the backend does not mention.
        plan = self.stage.harness.backend.call("drover_plan", spec=spec)

        assert set(fields_set(spec)) <= {entry.field for entry in plan.fields}
        assert all(entry.note for entry in plan.fields if entry.support is not Support.HONOURED)

    def test_refused_fields_refuse_the_job(self) -> None:
        """A job must not run without what its plan refuses."""
        spec = JobSpec(argv=["true"], resources=Resources(nodes=1_000_000, queue="no such queue"))
        plan = self.stage.session.plan(spec, backend=self.backend_name)
        if not plan.refused():
            pytest.skip(f"{self.backend_name} honours nodes and queue")
        before = len(self.stage.session.jobs(newest=None))

        with pytest.raises(UserError):
            self.stage.session.submit(spec, backend=self.backend_name)
        assert len(self.stage.session.jobs(newest=None)) == before

    def test_unknown_native_option(self) -> None:
        """A misspelt option must not be passed over."""
        assert self.refuses(native={self.backend_name: {"no_such_option": 1}})
