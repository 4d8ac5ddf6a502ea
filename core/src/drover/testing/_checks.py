"""What every group of checks stands on."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from drover import Job, Outcome
from drover.errors import UnsupportedFieldError, UserError, WaitTimeoutError
from drover.models import Capabilities, JobSpec, Verb
from drover.session import EngineMode
from drover.states import State
from drover.testing._stage import Stage

POLL_S: Final = 0.02
_serial: Final = itertools.count(1)


class Checks:
    """Give the checks their stage. What stands in capitals below may be set by a subclass."""

    backend_name: ClassVar[str] = ""
    """The backend to check, as installed. The one thing that must be set."""
    backend_config: ClassVar[Mapping[str, Any]] = {}
    """The table `[backends.NAME]` to check it with."""
    engine: ClassVar[EngineMode] = "inline"
    timeout_s: ClassVar[float] = 60.0
    """How long a small job may take from its submission to its known end, in seconds."""
    shared_folder: ClassVar[Path | None] = None
    """Where the jobs can read and write; `None` is the system's folder for temporary files."""
    extra_environment: ClassVar[tuple[str, ...]] = ("DROVER_",)
    """Beginnings of names of variables that jobs may find beyond those asked for."""
    stage: ClassVar[Stage]

    @classmethod
    def setup_class(cls) -> None:
        """Set the stage."""
        if not cls.backend_name:
            pytest.fail(
                f"set backend_name in {cls.__name__} to the backend to be checked, or from the "
                "shell give --drover-backend NAME"
            )
        cls.stage = Stage(
            cls.backend_name, cls.backend_config, cls.engine, cls.shared_folder, cls.timeout_s
        )

    @classmethod
    def teardown_class(cls) -> None:
        """Clear the stage, and see that no job is left on it."""
        cls.stage.close()

    @pytest.fixture(autouse=True)
    def _declared_failures_must_fail(self, request: pytest.FixtureRequest) -> None:
        name = getattr(request.node, "originalname", request.node.name)
        if name in self.capabilities.known_bad:
            request.applymarker(
                pytest.mark.xfail(strict=True, reason=f"{self.backend_name} declares known_bad")
            )

    # --- may be overridden: the back door ------------------------------------------------------

    def native_state(self, name: str) -> str:
        """Say without the backend whether what was started under *name* runs.

        Returns:
            `alive` or `gone`. Looks at this host; override it where jobs run elsewhere.
        """
        return "alive" if self.stage.witness.alive(name) else "gone"

    def kill_outside(self, name: str) -> None:
        """Kill what was started under *name* with SIGKILL, behind the backend's back."""
        self.stage.witness.kill(name)

    # --- for the checks ------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """Say what the backend declares."""
        return self.stage.harness.capabilities

    def need_verb(self, *verbs: Verb) -> None:
        """Skip the check unless the backend declares these requests."""
        for verb in verbs:
            self.need(verb in self.capabilities.verbs, f"verb {verb}")

    def need(self, declared: bool, what: str) -> None:
        """Skip the check unless the backend declares *what*."""
        if not declared:
            pytest.skip(f"{self.backend_name} does not declare {what}")

    def need_field(self, **fields: Any) -> None:
        """Skip the check unless the backend honours these fields of a specification."""
        try:
            plan = self.stage.session.plan(["true"], backend=self.backend_name, **fields)
        except UnsupportedFieldError as error:
            pytest.skip(str(error))
        for entry in plan.refused():
            pytest.skip(f"{self.backend_name}: {entry.field}: {entry.note or entry.support}")

    def unique(self, stem: str) -> str:
        """Make a name that no other check uses."""
        return f"{stem}-{next(_serial)}"

    def submit(self, argv: Sequence[str | bytes], **fields: Any) -> Job:
        """Hand in one job."""
        given: dict[str, Any] = {"argv": argv, "cwd": self.stage.folder, **fields}
        spec = JobSpec(**given)
        job = self.stage.session.submit(spec, backend=self.backend_name)
        assert isinstance(job, Job)
        return job

    def run(self, argv: Sequence[str | bytes], **fields: Any) -> Job:
        """Hand in one job and wait for its end."""
        job = self.submit(argv, **fields)
        self.end(job)
        return job

    def end(self, job: Job) -> Outcome:
        """Wait for the end of a job; fail with its story if it does not come."""
        try:
            return job.wait(self.timeout_s)
        except WaitTimeoutError as error:
            pytest.fail(f"{error}\n{self.story(job)}")

    def witnessed(
        self, stem: str, command: Sequence[str | bytes], **fields: Any
    ) -> tuple[Job, str]:
        """Hand in one job whose starts are marked; gives the job and its name in the marks."""
        name = self.unique(stem)
        return self.submit(self.stage.witness.argv(name, command), **fields), name

    def sleeper(self, stem: str, **fields: Any) -> tuple[Job, str]:
        """Start one job that runs until it is ended, and wait until it does."""
        job, name = self.witnessed(stem, ("/bin/sleep", "600"), **fields)
        self.running(job, name)
        return job, name

    def running(self, job: Job, name: str) -> None:
        """Wait until the job is seen running, by the backend and by the witness."""
        self.until(job, "RUNNING and marked", lambda: self._runs(job, name))

    def _runs(self, job: Job, name: str) -> bool:
        return job.state is State.RUNNING and bool(self.stage.witness.starts(name))

    def until(self, job: Job, what: str, condition: Callable[[], object]) -> None:
        """Poll until *condition* holds; fail with the job's story if it does not in time."""
        end = time.monotonic() + self.timeout_s
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"not {what} within {self.timeout_s:g} s\n{self.story(job)}")
            time.sleep(POLL_S)

    def story(self, job: Job) -> str:
        """Tell a job's history, for people."""
        job.refresh()
        lines = [f"job {job.id} on {job.backend}: {job.state}, native id {job.native_id}"]
        lines += [f"  {entry.seq}: {entry.event}" for entry in job.history()]
        if job.outcome is not None:
            lines.append(f"  outcome: {job.outcome}")
        return "\n".join(lines)

    def refuses(self, **fields: Any) -> bool:
        """Tell whether a submission with these fields is refused before anything is stored."""
        try:
            self.stage.session.plan(["true"], backend=self.backend_name, **fields)
            self.submit(["true"], **fields)
        except UserError:
            return True
        return False
