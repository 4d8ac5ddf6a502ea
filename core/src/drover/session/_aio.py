"""Twins of the blocking calls that can be awaited. Each runs its twin in a thread; all
waits share one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from drover.models import CancelVerdict, Diagnosis, JobSpec, Outcome, Plan, Verb
from drover.session._job import Job, JobArray, outcome_after
from drover.session._status import EngineStatus
from drover.session._waiting import JobLike, Waiter, listed

if TYPE_CHECKING:
    from drover.session._session import Session
    from drover.session._submission import SpecLike

Jobs = Iterable[JobLike] | JobLike


class AsyncSession:
    """A session for asyncio."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    async def submit(
        self,
        given: "SpecLike",
        *,
        backend: str | None = None,
        key: str | None = None,
        allow: Sequence[str] = (),
        **fields: Any,
    ) -> Job | JobArray:
        """Do as `Session.submit`."""
        return await asyncio.to_thread(
            self._session.submit, given, backend=backend, key=key, allow=allow, **fields
        )

    async def submit_many(
        self,
        specs: Iterable[JobSpec],
        *,
        backend: str | None = None,
        keys: Sequence[str | None] | None = None,
        allow: Sequence[str] = (),
    ) -> list[Job | JobArray]:
        """Do as `Session.submit_many`."""
        return await asyncio.to_thread(
            self._session.submit_many, specs, backend=backend, keys=keys, allow=allow
        )

    async def plan(self, given: "SpecLike", backend: str | None = None, **fields: Any) -> Plan:
        """Do as `Session.plan`."""
        return await asyncio.to_thread(self._session.plan, given, backend, **fields)

    async def wait(
        self, jobs: Jobs, timeout: float | None = None, when: Literal["all", "any"] = "all"
    ) -> tuple[list[Job], list[Job]]:
        """Do as `Session.wait`. A cancelled task leaves the jobs as they are."""
        waiter = await self._waiter(jobs)
        ended = await self._session.waits.ended(waiter, timeout, until_any=when == "any")
        return waiter.sorted(set(ended))

    async def _waiter(self, jobs: Jobs) -> Waiter:
        return await asyncio.to_thread(Waiter, self._session, listed(jobs))

    async def as_completed(self, jobs: Jobs, timeout: float | None = None) -> AsyncIterator[Job]:
        """Do as `Session.as_completed`."""
        waiter = await self._waiter(jobs)
        now = asyncio.get_running_loop().time
        deadline = None if timeout is None else now() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - now())
            ids = await self._session.waits.ended(waiter, left, until_any=True)
            for job_id in ids:
                yield Job(self._session, job_id)
            if not ids or not waiter.pending:
                return

    async def cancel(
        self, jobs: Jobs, *, grace_s: float | None = None, timeout: float = 30.0
    ) -> list[CancelVerdict]:
        """Do as `Session.cancel`."""
        return await asyncio.to_thread(self._session.cancel, jobs, grace_s=grace_s, timeout=timeout)

    async def ask(self, jobs: Jobs, verb: Verb, **options: Any) -> list[CancelVerdict]:
        """Do as `Session.ask`."""
        return await asyncio.to_thread(self._session.ask, jobs, verb, **options)

    async def retry(self, jobs: Jobs, *, may_run_twice: bool = False) -> list[Job]:
        """Do as `Session.retry`."""
        return await asyncio.to_thread(self._session.retry, jobs, may_run_twice=may_run_twice)

    async def purge(self, *, jobs: Jobs | None = None, ended_before: float | None = None) -> int:
        """Do as `Session.purge`."""
        return await asyncio.to_thread(self._session.purge, jobs=jobs, ended_before=ended_before)

    async def engine_start(self) -> EngineStatus:
        """Do as `Session.engine_start`."""
        return await asyncio.to_thread(self._session.engine_start)

    async def engine_stop(self, timeout: float = 10.0) -> bool:
        """Do as `Session.engine_stop`."""
        return await asyncio.to_thread(self._session.engine_stop, timeout)

    async def doctor(self, backend: str | None = None) -> list[Diagnosis]:
        """Do as `Session.doctor`."""
        return await asyncio.to_thread(self._session.doctor, backend)


class AsyncJob:
    """A job for asyncio."""

    def __init__(self, job: Job) -> None:
        self._job = job

    async def wait(self, timeout: float | None = None, *, check: bool = False) -> Outcome:
        """Do as `Job.wait`."""
        await self._job.session.aio.wait([self._job], timeout)
        return await asyncio.to_thread(outcome_after, self._job, timeout, check=check)

    async def cancel(self, *, grace_s: float | None = None, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.cancel`."""
        return await asyncio.to_thread(self._job.cancel, grace_s=grace_s, timeout=timeout)

    async def hold(self, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.hold`."""
        return await asyncio.to_thread(self._job.hold, timeout)

    async def release(self, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.release`."""
        return await asyncio.to_thread(self._job.release, timeout)

    async def suspend(self, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.suspend`."""
        return await asyncio.to_thread(self._job.suspend, timeout)

    async def resume(self, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.resume`."""
        return await asyncio.to_thread(self._job.resume, timeout)

    async def requeue(self, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.requeue`."""
        return await asyncio.to_thread(self._job.requeue, timeout)

    async def signal(self, number: int, timeout: float = 30.0) -> CancelVerdict:
        """Do as `Job.signal`."""
        return await asyncio.to_thread(self._job.signal, number, timeout)

    async def retry(self, *, may_run_twice: bool = False) -> Job:
        """Do as `Job.retry`."""
        return await asyncio.to_thread(self._job.retry, may_run_twice=may_run_twice)

    async def read_stdout(self) -> str:
        """Do as `Job.stdout.read`."""
        return await asyncio.to_thread(self._job.stdout.read)

    async def read_stderr(self) -> str:
        """Do as `Job.stderr.read`."""
        return await asyncio.to_thread(self._job.stderr.read)
