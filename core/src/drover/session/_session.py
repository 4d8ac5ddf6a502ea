"""The public API: a session on one store."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from drover import _engine
from drover._plugins import Backend, BackendContext
from drover._store import (
    JobFilter,
    JournalEntry,
    Store,
    default_home,
)
from drover.config import Config, load
from drover.errors import InvalidSpecError, StoreUnusableError
from drover.models import (
    CancelVerdict,
    Diagnosis,
    JobRecord,
    JobSpec,
    Plan,
    Request,
    Verb,
)
from drover.session import _doctor, _purging, _requests
from drover.session._engines import InlineEngine
from drover.session._job import Job, JobArray
from drover.session._plugged import Plugged
from drover.session._status import BackendInfo, EngineStatus, status_of
from drover.session._storing import keys_for, store_all
from drover.session._submission import (
    SpecLike,
    Submission,
    as_spec,
    check_key,
    fields_list,
    plan_of,
    same_as_before,
    user_name,
    with_full_ids,
)
from drover.session._subscription import Subscription
from drover.session._waiting import JobLike, Waiter, blockers_of, listed
from drover.session._waits import Waits
from drover.session._watch import CARE_S, Watch
from drover.states import State

if TYPE_CHECKING:
    from drover.session._aio import AsyncSession

EngineMode = Literal["auto", "inline", "none"]


class Session:
    """Work on one store. May be used from several threads."""

    def __init__(self, store: Store, config: Config, engine: EngineMode, backend: str) -> None:
        self.store: Final = store
        self.home: Final = store.home
        self.store_id: Final = store.store_id
        self.read_only: Final = store.read_only
        self.config: Final = config
        self.default_backend: Final = backend
        self._mode: Final = engine
        self._plugged: Final = Plugged(store, config)
        self._lock = threading.Lock()
        self._rope = _engine.BellRope(_engine.socket_path(store.home, store.store_id))
        self._cared_at = float("-inf")
        self.waits: Final = Waits(lambda: Watch(store, self.care))
        self._inline = InlineEngine(store.home, config) if engine == "inline" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store. Jobs go on: an inline engine with work left hands over."""
        if self._inline is not None:
            left = self._inline.close()
            self._inline = None
            if left:
                _engine.ensure(self.store, self.config.project)
        self._rope.close()
        self.store.close()

    @property
    def aio(self) -> "AsyncSession":
        """Give the twin whose blocking calls can be awaited."""
        from drover.session._aio import AsyncSession

        return AsyncSession(self)

    # Submission

    def submit(
        self,
        given: SpecLike,
        *,
        backend: str | None = None,
        key: str | None = None,
        allow: Sequence[str] = (),
        **fields: Any,
    ) -> Job | JobArray:
        """Store a job and see to it that it runs.

        Args:
            given: An argv, or a specification.
            backend: `None`: the session's default.
            key: Unique in the store: a second call with it returns the job of the first. 1 to
                1,024 characters.
            allow: Fields that the backend may ignore.
            fields: Fields of JobSpec.

        Returns:
            A JobArray if the specification has `array`, else a Job.

        Raises:
            UserError: Something about the specification cannot be; nothing was stored.
            StoreError: The store cannot be written; nothing was stored.
        """
        spec = as_spec(given, fields)
        check_key(key)
        submission = Submission(self, self._backend_name(backend), fields_list(allow))
        now = self.store.clock.time()
        with self.store.read() as reader:
            draft = submission.draft(submission.check(with_full_ids(spec, reader)), key, now)
        batch = self.store.prepare([draft], now)
        with self.store.write() as (writer, reader):
            job_id = None if key is None else same_as_before(reader, key, draft)
            if job_id is None:
                (job_id,) = batch.ids
                writer.insert(batch)
        self.wake_engine()
        return JobArray(self, job_id) if spec.array is not None else Job(self, job_id)

    def submit_many(
        self,
        specs: Iterable[JobSpec],
        *,
        backend: str | None = None,
        keys: Sequence[str | None] | None = None,
        allow: Sequence[str] = (),
    ) -> list[Job | JobArray]:
        """Store many jobs. All specifications are checked before the first is stored.

        The first few are stored by themselves, and may run while the others are stored. Who is
        killed meanwhile has stored some: give each a key if the call may be repeated.

        Args:
            specs: The specifications.
            backend: `None`: the session's default.
            keys: One for each, as `submit` takes it, or `None`.
            allow: Fields that the backend may ignore.

        Returns:
            Handles in the order of *specs*.

        Raises:
            UserError: A specification cannot be; nothing was stored.
            StoreUnusableError: The store cannot be written; a note tells how many were stored.
        """
        submission = Submission(self, self._backend_name(backend), fields_list(allow))
        specs = [as_spec(spec, {}) for spec in specs]
        names = keys_for(keys, len(specs))
        with self.store.read() as reader:
            checked = [submission.check(with_full_ids(spec, reader)) for spec in specs]
        ids = store_all(self, submission, checked, names)
        if ids:
            self.wake_engine()
        return [
            Job(self, job_id) if spec.array is None else JobArray(self, job_id)
            for job_id, spec in zip(ids, checked, strict=True)
        ]

    def plan(self, given: SpecLike, backend: str | None = None, **fields: Any) -> Plan:
        """Say what a backend would do with a specification. Nothing is stored.

        Raises:
            UserError: The specification itself cannot be.
        """
        name = self._backend_name(backend)
        return plan_of(self, self.prepare(as_spec(given, fields), name), name)

    def _backend_name(self, given: object) -> str:
        if given is None:
            return self.default_backend
        if not isinstance(given, str) or not given:
            raise InvalidSpecError("backend", given, "give a backend's name, or None")
        return given

    def prepare(self, spec: JobSpec, backend: str) -> JobSpec:
        """Let plugins change a specification.

        Raises:
            PluginError: One failed.
        """
        return self._plugged.prepare(spec, backend)

    # Reading

    def job(self, job_id: str) -> Job | JobArray:
        """Find a job or an array by its id, which may be shortened.

        Raises:
            UnknownJobError: There is none.
            AmbiguousJobError: Several begin so.
        """
        if not isinstance(cast("object", job_id), str):
            raise InvalidSpecError("id", job_id, "give the id of a job as text")
        with self.store.read() as reader:
            full, is_array = reader.resolve(job_id)
        return JobArray(self, full) if is_array else Job(self, full)

    def jobs(
        self,
        *,
        state: State | str | Iterable[State | str] | None = None,
        tag: str | None = None,
        name: str | None = None,
        backend: str | None = None,
        array: str | None = None,
        newest: int | None = 100,
    ) -> list[Job]:
        """List jobs, newest first; an array by its elements.

        Args:
            state: One or several, also as words.
            tag: Jobs that have it.
            name: The exact name.
            backend: Where they run.
            array: The full id of their array.
            newest: How many at most; `None` lists all.
        """
        which = _filter(state, tag, name, backend, array)
        with self.store.read() as reader:
            return [Job(self, record.id, record) for record in reader.listing(which, newest)]

    def counts(
        self,
        *,
        tag: str | None = None,
        name: str | None = None,
        backend: str | None = None,
        array: str | None = None,
    ) -> dict[State, int]:
        """Count jobs by state; states without a job are left out."""
        with self.store.read() as reader:
            return reader.counts(_filter(None, tag, name, backend, array))

    def events(
        self, since: int = 0, *, job: JobLike | None = None, limit: int | None = None
    ) -> Iterator[JournalEntry]:
        """Read the journal, in order.

        Args:
            since: The sequence number after which to begin.
            job: Only of this job.
            limit: How many at most.
        """
        if job is not None:
            handle = self.job(job) if isinstance(job, str) else job
            jobs = [handle] if isinstance(handle, Job) else list(handle)
            rows = [row for one in jobs for row in one.history() if row.seq > since]
            yield from rows[:limit]
            return
        left = limit
        while left is None or left > 0:
            with self.store.read() as reader:
                page = reader.entries(since, 1000 if left is None else min(left, 1000))
            yield from page
            if len(page) < 1000:
                return
            since = page[-1].seq
            left = None if left is None else left - len(page)

    def subscribe(self, callback: Callable[[JournalEntry], None]) -> Subscription:
        """Call *callback* with every new line of the journal, in order, from a thread.

        Returns:
            A handle whose `close` ends it.
        """
        return Subscription(self, callback)

    # Waiting

    def wait(
        self,
        jobs: Iterable[JobLike] | JobLike,
        timeout: float | None = None,
        when: Literal["all", "any"] = "all",
    ) -> tuple[list[Job], list[Job]]:
        """Wait for jobs to end.

        Returns early if every job that is left waits behind a LOST one: it cannot end before
        somebody resolves that, see `Job.blockers`.

        Args:
            jobs: Jobs, arrays or ids; an array stands for its elements.
            timeout: In seconds; `None` waits as long as it takes.
            when: Whether to wait for all, or for the first.

        Returns:
            Jobs that have ended (LOST ones too) and jobs that have not, each in the order given.
        """
        waiter = Waiter(self, listed(jobs))
        deadline = None if timeout is None else self.store.clock.monotonic() + timeout
        ended: set[str] = set()
        for ids in waiter.run(deadline, until_any=when == "any"):
            ended.update(ids)
        return waiter.sorted(ended)

    def as_completed(
        self, jobs: Iterable[JobLike] | JobLike, timeout: float | None = None
    ) -> Iterator[Job]:
        """Give jobs as they end, until all have, none can any more, or the time is over."""
        waiter = Waiter(self, listed(jobs))
        deadline = None if timeout is None else self.store.clock.monotonic() + timeout
        for ids in waiter.run(deadline, until_any=False):
            for job_id in ids:
                yield Job(self, job_id)

    def blockers_of(self, job_id: str) -> list[str]:
        """List the ids of LOST jobs behind which a job waits."""
        with self.store.read() as reader:
            return blockers_of(reader, job_id)

    # Requests

    def cancel(
        self,
        jobs: Iterable[JobLike] | JobLike,
        *,
        grace_s: float | None = None,
        timeout: float = 30.0,
    ) -> list[CancelVerdict]:
        """End jobs: TERM, then after a grace KILL, the whole process tree.

        Args:
            jobs: Jobs, arrays or ids.
            grace_s: Seconds between TERM and KILL; `None`: the backend's default.
            timeout: How long to wait for the verdicts, in seconds. What is asked for stays so.

        Returns:
            One verdict per job, in order.
        """
        return self.ask(jobs, Verb.CANCEL, grace_s=grace_s, timeout=timeout)

    def ask(
        self,
        jobs: Iterable[JobLike] | JobLike,
        verb: Verb,
        *,
        grace_s: float | None = None,
        signal: int | None = None,
        may_run_twice: bool = False,
        why: str = "",
        timeout: float = 30.0,
    ) -> list[CancelVerdict]:
        """Ask something of jobs. The request is durable before this waits for its verdict.

        Returns:
            One verdict per job, in order; `asked` or `signalled` where the time ran out.

        Raises:
            InvalidSpecError: A value cannot be used, or a signal is needed and not given;
                nothing was asked.
        """
        if (verb is Verb.SIGNAL) != (signal is not None):
            raise InvalidSpecError("signal", signal, "it goes with the verb `signal`")
        _requests.check(grace_s, signal, why)
        template = Request(
            id="",
            verb=verb,
            by=user_name(),
            at=0.0,
            why=why,
            grace_s=grace_s,
            signal=signal,
            may_run_twice=may_run_twice,
        )
        return _requests.ask(self, self.ids_of(jobs), template, timeout)

    def retry(self, jobs: Iterable[JobLike] | JobLike, *, may_run_twice: bool = False) -> list[Job]:
        """Open another attempt of jobs that have ended.

        Args:
            jobs: Jobs, arrays or ids.
            may_run_twice: Also of a LOST job that may still run somewhere.

        Raises:
            IllegalRequestError: A job has not ended, or may still run.
        """
        given = list(listed(jobs))
        ids = self.ids_of(given)
        _requests.retry(self, ids, may_run_twice=may_run_twice)
        for job in given:
            if isinstance(job, Job):
                job.refresh()  # It had ended, and was read for the last time.
        return [Job(self, job_id) for job_id in ids]

    def approve(self, jobs: Iterable[JobLike] | JobLike) -> None:
        """Say yes to jobs that wait for an approval.

        Raises:
            IllegalRequestError: One does not; then none was approved.
        """
        _requests.approve(self, self.ids_of(jobs))

    def resolve(self, jobs: Iterable[JobLike] | JobLike, state: State, why: str = "") -> None:
        """Say how LOST jobs ended.

        Raises:
            InvalidSpecError: *why* is no text; nothing was changed.
            IllegalRequestError: One is not LOST; then none was changed.
        """
        _requests.check(None, None, why)
        _requests.resolve(self, self.ids_of(jobs), state, why)

    def purge(
        self,
        *,
        jobs: Iterable[JobLike] | JobLike | None = None,
        ended_before: float | None = None,
    ) -> int:
        """Forget jobs that have ended, with their output and their journal.

        Args:
            jobs: These; `None`: all.
            ended_before: Only those that ended before this instant, seconds since 1970 UTC.

        Returns:
            How many were forgotten.

        Raises:
            IllegalRequestError: One that was named has not ended; then none was forgotten.
        """
        ids = None if jobs is None else self.ids_of(jobs)
        return _purging.purge(self, ids, ended_before)

    def ids_of(self, jobs: Iterable[JobLike] | JobLike) -> list[str]:
        """Write out jobs, arrays and shortened ids as full ids of jobs."""
        return Waiter(self, listed(jobs)).order

    # Engine and backends

    def wake_engine(self) -> None:
        """Tell the engine that there is something new; start one if none works.

        Raises:
            EngineUnavailableError: None could be started. What was stored stays stored.
        """
        heard = self.ring()
        # One that has given its lease back may hear the bell, and do nothing more.
        if self._mode == "auto" and not (heard and self.store.lease().live):
            _engine.ensure(self.store, self.config.project)
            self.ring()

    def ring(self) -> bool:
        """Tell the engine that there is something new, if one works."""
        with self._lock:
            return self._rope.ring()

    def care(self) -> None:
        """See to it that an engine works while somebody waits.

        Raises:
            EngineUnavailableError: The inline engine has failed, or none could be started.
        """
        if self._inline is not None:
            self._inline.check()
        now = self.store.clock.monotonic()
        if self._mode != "auto" or self.read_only or now - self._cared_at < CARE_S:
            return
        self._cared_at = now
        if self.store.lease().live:
            return
        with self.store.read() as reader:
            needed = reader.has_unfinished()
        # On a full disk none can be started, nor does one renew its lease: who waits waits on.
        with suppress(StoreUnusableError):
            if needed:
                self.wake_engine()
                if not self.store.lease().live:
                    _engine.ensure(self.store, self.config.project)

    def engine_status(self) -> EngineStatus:
        """Tell who works on the store, since when, with which backends."""
        return status_of(self.store)

    def engine_start(self) -> EngineStatus:
        """See to it that an engine works.

        Raises:
            EngineUnavailableError: None could be started.
        """
        _engine.ensure(self.store, self.config.project)
        return self.engine_status()

    def engine_stop(self, timeout: float = 10.0) -> bool:
        """Ask the engine to leave. Jobs go on; the next client that submits starts another.

        Returns:
            Whether none works any more.
        """
        if self._inline is not None:
            # It is a thread of this process, which a signal would end.
            self._inline.close()
            self._inline = None
        return _engine.stop(self.store, timeout)

    def load_backend(self, name: str) -> Backend:
        """Load a backend into this process, for plans, output and diagnoses.

        Raises:
            UnknownBackendError: Not installed.
            BrokenPluginError: It cannot be loaded.
        """
        return self._plugged.backend(name)

    def plugin_context(self) -> BackendContext:
        """Give what plugins that are no backends are made with."""
        return self._plugged.context("")

    def token_of(self, record: JobRecord) -> str:
        """Give the token of a job's present attempt, also before it has one."""
        return record.token or f"{self.store_id}-{record.id}-{record.attempt}"

    def backends(self) -> list[BackendInfo]:
        """List the backends that are installed or configured, broken ones too."""
        return self._plugged.backends()

    def doctor(self, backend: str | None = None) -> list[Diagnosis]:
        """Find out what is wrong: with the store, the engine, the plugins, the backends."""
        return _doctor.diagnose(self, backend)


def _filter(
    state: State | str | Iterable[State | str] | None,
    tag: str | None,
    name: str | None,
    backend: str | None,
    array: str | None,
) -> JobFilter:
    states = (
        None if state is None else tuple(map(_state, [state] if isinstance(state, str) else state))
    )
    return JobFilter(states=states, tag=tag, name=name, backend=backend, array=array)


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError:
        raise InvalidSpecError("state", word, f"give one of {', '.join(State)}") from None


def open_session(
    home: str | os.PathLike[str] | None = None,
    *,
    engine: EngineMode = "auto",
    backend: str | None = None,
) -> Session:
    """Open a store; make it if it is not there.

    Args:
        home: Its folder. `None`: `DROVER_HOME`, the configuration's `home`, or the user's
            data folder.
        engine: `auto`: a detached engine is started when there is work and none works.
            `inline`: an engine in a thread of this process, which hands over when it leaves
            unfinished work. `none`: none is started.
        backend: The default backend. `None`: the configuration's `backend`, or `local`.

    Raises:
        StoreError: The store cannot be opened.
        ConfigError: The configuration cannot be used.
    """
    config = load()
    folder = Path(home) if home is not None else None
    if folder is None and "DROVER_HOME" not in os.environ:
        folder = config.path("home")
    store = Store.open(folder or default_home())
    return Session(store, config, engine, backend or str(config.get("backend", "local")))
