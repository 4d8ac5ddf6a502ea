"""Jobs and arrays as users hold them: handles, the truth is in the store."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drover._store import JobFilter, JournalEntry
from drover.errors import JobFailed, WaitTimeoutError
from drover.models import (
    CancelVerdict,
    JobRecord,
    JobSpec,
    Outcome,
    Progress,
    Request,
    Stream,
    Verb,
)
from drover.session._output import Output
from drover.states import State

if TYPE_CHECKING:
    from drover.session._aio import AsyncJob
    from drover.session._session import Session


class Job:
    """One job of a store."""

    def __init__(self, session: "Session", job_id: str, record: JobRecord | None = None) -> None:
        self.session = session
        self.id = job_id
        self._record = record

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Job)
            and other.id == self.id
            and other.session.store_id == self.session.store_id
        )

    def __hash__(self) -> int:
        return hash(self.id)

    # What is known of it

    def refresh(self) -> JobRecord:
        """Read the job's record from the store now."""
        with self.session.store.read() as reader:
            self._record = reader.job(self.id)
        return self._record

    @property
    def record(self) -> JobRecord:
        """Give all that is known: read anew unless the job has ended."""
        if self._record is None or not self._record.state.is_final:
            return self.refresh()
        return self._record

    @property
    def _fixed(self) -> JobRecord:
        return self._record or self.refresh()

    @property
    def n(self) -> int:
        """Give its position in the store: a larger one was submitted later."""
        return self._fixed.n

    @property
    def spec(self) -> JobSpec:
        """Give what was asked for."""
        return self._fixed.spec

    @property
    def name(self) -> str:
        """Give its name, or its command's."""
        return self._fixed.spec.label

    @property
    def backend(self) -> str:
        """Name the backend."""
        return self._fixed.backend

    @property
    def tags(self) -> tuple[str, ...]:
        """Give its tags."""
        return self._fixed.spec.tags

    @property
    def array_id(self) -> str | None:
        """Give the id of the array that it is an element of."""
        return self._fixed.array_id

    @property
    def array_index(self) -> int | None:
        """Give its index in its array."""
        return self._fixed.array_index

    @property
    def submitted_at(self) -> float:
        """Tell when it was submitted, seconds since 1970 UTC."""
        return self._fixed.submitted_at

    @property
    def state(self) -> State:
        """Tell where it is in its life, now."""
        return self.record.state

    @property
    def outcome(self) -> Outcome | None:
        """Tell how it ended; of a job that is tried again, how the last attempt did."""
        return self.record.outcome

    @property
    def native_id(self) -> str | None:
        """Give the backend's own id."""
        return self.record.native_id

    @property
    def native_state(self) -> str:
        """Give the backend's own word for its state."""
        return self.record.native_state

    @property
    def attempt(self) -> int:
        """Number the present attempt, from 1."""
        return self.record.attempt

    @property
    def restart(self) -> int:
        """Count how often the scheduler ran the present attempt again."""
        return self.record.restart

    @property
    def progress(self) -> Progress | None:
        """Tell how far it says it is."""
        return self.record.progress

    @property
    def started_at(self) -> float | None:
        """Tell when the present attempt started, seconds since 1970 UTC."""
        return self.record.started_at

    @property
    def ended_at(self) -> float | None:
        """Tell when it ended, seconds since 1970 UTC."""
        return self.record.ended_at

    @property
    def held_by(self) -> frozenset[str]:
        """Tell who holds it: `user`, `system`."""
        return self.record.hold

    @property
    def pending(self) -> tuple[Request, ...]:
        """List the requests that are not settled."""
        return self.record.pending

    @property
    def stdout(self) -> Output:
        """Read its output."""
        return Output(self, Stream.STDOUT)

    @property
    def stderr(self) -> Output:
        """Read its error output; where `join_output` was asked for there is none."""
        return Output(self, Stream.STDERR)

    def history(self) -> list[JournalEntry]:
        """Read all facts about it, in order."""
        with self.session.store.read() as reader:
            return reader.history(reader.job(self.id))

    def blockers(self) -> "list[Job]":
        """List the LOST jobs that keep it from being let go, directly or through others."""
        return [Job(self.session, job_id) for job_id in self.session.blockers_of(self.id)]

    # What can be done with it

    def wait(self, timeout: float | None = None, *, check: bool = False) -> Outcome:
        """Wait for its end.

        Args:
            timeout: In seconds; `None` waits as long as it takes.
            check: Whether to raise if it did not succeed.

        Raises:
            WaitTimeoutError: It has not ended in time, or cannot before a LOST job is resolved.
            JobFailed: It did not succeed, and *check* was set.
        """
        self.session.wait([self], timeout=timeout)
        return outcome_after(self, timeout, check=check)

    def cancel(self, *, grace_s: float | None = None, timeout: float = 30.0) -> CancelVerdict:
        """End it, and say what came of that. See `Session.cancel`."""
        return self.session.cancel([self], grace_s=grace_s, timeout=timeout)[0]

    def hold(self, timeout: float = 30.0) -> CancelVerdict:
        """Keep it from starting."""
        return self.session.ask([self], Verb.HOLD, timeout=timeout)[0]

    def release(self, timeout: float = 30.0) -> CancelVerdict:
        """Let it start."""
        return self.session.ask([self], Verb.RELEASE, timeout=timeout)[0]

    def suspend(self, timeout: float = 30.0) -> CancelVerdict:
        """Stop it while it runs."""
        return self.session.ask([self], Verb.SUSPEND, timeout=timeout)[0]

    def resume(self, timeout: float = 30.0) -> CancelVerdict:
        """Let it go on."""
        return self.session.ask([self], Verb.RESUME, timeout=timeout)[0]

    def requeue(self, timeout: float = 30.0) -> CancelVerdict:
        """Let the scheduler run it again, from its beginning. Only with `requeue` in its
        specification; what it has done so far is done twice.
        """
        return self.session.ask([self], Verb.REQUEUE, timeout=timeout)[0]

    def signal(self, number: int, timeout: float = 30.0) -> CancelVerdict:
        """Send a signal to its processes."""
        return self.session.ask([self], Verb.SIGNAL, signal=number, timeout=timeout)[0]

    def retry(self, *, may_run_twice: bool = False) -> "Job":
        """Open another attempt. See `Session.retry`."""
        self.session.retry([self], may_run_twice=may_run_twice)
        return self

    def approve(self) -> None:
        """Say yes to it."""
        self.session.approve([self])

    def resolve(self, state: State, why: str = "") -> None:
        """Say how it ended, if it is LOST."""
        self.session.resolve([self], state, why)

    @property
    def aio(self) -> "AsyncJob":
        """Give the twin whose blocking calls can be awaited."""
        from drover.session._aio import AsyncJob

        return AsyncJob(self)


def outcome_after(job: Job, timeout: float | None, *, check: bool) -> Outcome:
    """Give what `Job.wait` gives, once the waiting is over."""
    record = job.refresh()
    if not record.state.ends_wait or record.outcome is None:
        blockers = job.session.blockers_of(job.id)
        raise WaitTimeoutError(
            job.id, record.state, timeout or 0.0, blockers[0] if blockers else ""
        )
    if check and record.state is not State.SUCCEEDED:
        raise JobFailed(job.id, record.state, record.outcome.describe())
    return record.outcome


class JobArray:
    """Many jobs of one specification."""

    def __init__(self, session: "Session", array_id: str) -> None:
        self.session = session
        self.id = array_id
        with session.store.read() as reader:
            self.n, self._size, fact = reader.array(array_id)
        self.spec: JobSpec = fact.spec
        self.backend: str = fact.backend
        self.submitted_at: float = fact.at

    def __repr__(self) -> str:
        return f"<JobArray {self.id} of {self._size}>"

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Job:
        """Give the element with an array index."""
        array = self.spec.array
        if array is None or index not in array.indices:
            message = f"array {self.id} has no index {index}"
            raise IndexError(message)
        return Job(self.session, f"{self.id}.{index}")

    def __iter__(self) -> Iterator[Job]:
        array = self.spec.array
        for index in () if array is None else array.indices:
            yield Job(self.session, f"{self.id}.{index}")

    @property
    def name(self) -> str:
        """Give its name, or its command's."""
        return self.spec.label

    @property
    def tags(self) -> tuple[str, ...]:
        """Give its tags."""
        return self.spec.tags

    @property
    def counts(self) -> dict[State, int]:
        """Count its elements by state; states without one are left out."""
        with self.session.store.read() as reader:
            return reader.counts(JobFilter(array=self.id))

    def wait(self, timeout: float | None = None) -> tuple[list[Job], list[Job]]:
        """Wait for the end of all elements.

        Returns:
            Those that have ended, and those that have not.
        """
        return self.session.wait([self], timeout=timeout)

    def cancel(self, *, grace_s: float | None = None, timeout: float = 30.0) -> list[CancelVerdict]:
        """End all elements."""
        return self.session.cancel([self], grace_s=grace_s, timeout=timeout)
