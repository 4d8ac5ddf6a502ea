"""The session: what drmaa-python's `Session` does, over any backend."""

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import ClassVar, Final, Self, cast

from drover.drmaa._attached import GATE, Attached
from drover.drmaa._contact import read_contact
from drover.drmaa._specification import Specifier
from drover.drmaa._systems import drmaa_implementation, drms_info, known_contacts
from drover.drmaa._template import JobTemplate
from drover.drmaa.vocabulary import (
    ALLOWED,
    JOB_IDS_SESSION_ALL,
    JOB_IDS_SESSION_ANY,
    TIMEOUT_NO_WAIT,
    TIMEOUT_WAIT_FOREVER,
    VERB_OF,
    DeniedByDrmException,
    DrmaaException,
    DrmCommunicationException,
    HoldInconsistentStateException,
    InvalidArgumentException,
    InvalidJobException,
    InvalidJobTemplateException,
    JobControlAction,
    JobInfo,
    ReleaseInconsistentStateException,
    ResumeInconsistentStateException,
    SuspendInconsistentStateException,
    Version,
    fault,
    job_info,
    job_status,
)
from drover.drmaa.vocabulary import string_to_control_action as _number_of
from drover.models import USER, Array, CancelVerdict, JobRecord, JobSpec, Verb, Verdict

__all__ = ["JobInfo", "JobTemplate", "Session"]

VERDICT_S: Final = 30.0
"""How long `control` waits for the backend's word on anything but an end."""
_INCONSISTENT: Final[dict[str, type[DrmaaException]]] = {
    JobControlAction.SUSPEND: SuspendInconsistentStateException,
    JobControlAction.RESUME: ResumeInconsistentStateException,
    JobControlAction.HOLD: HoldInconsistentStateException,
    JobControlAction.RELEASE: ReleaseInconsistentStateException,
    JobControlAction.TERMINATE: InvalidJobException,
}


class Told:
    """A fact that both the class and its objects tell, before and in a session."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask

    def __get__(self, instance: "Session | None", owner: type | None = None) -> str:
        return self._ask()


class Session:
    """The one session of this process. Its methods may be called from several threads.

    `with Session("slurm") as session:` initializes and exits it.
    """

    TIMEOUT_WAIT_FOREVER: ClassVar[int] = TIMEOUT_WAIT_FOREVER
    TIMEOUT_NO_WAIT: ClassVar[int] = TIMEOUT_NO_WAIT
    JOB_IDS_SESSION_ANY: ClassVar[str] = JOB_IDS_SESSION_ANY
    JOB_IDS_SESSION_ALL: ClassVar[str] = JOB_IDS_SESSION_ALL

    contact = Told(known_contacts)
    """In a session: the string by which it can be opened again, from any process, after a crash
    too. Before: the names of the backends, with commas between."""
    drmsInfo = Told(drms_info)
    """The backend and what brings it; before a session all of them."""
    drmaaImplementation = Told(drmaa_implementation)
    """Drover and its version, with the backend in a session."""
    version: ClassVar[Version] = Version(1, 0)
    """The version of DRMAA."""

    def __init__(self, contactString: str | None = None) -> None:
        self.contactString = contactString

    def __enter__(self) -> Self:
        self.initialize(self.contactString)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.exit()

    @staticmethod
    def initialize(contactString: str | None = None) -> None:
        """Open the session.

        Args:
            contactString: `[BACKEND][;session=KEY][;home=FOLDER]`: a backend's name, a whole
                string that `contact` told, or any part of it. What is left out is the default
                backend, a new session, the default store. A key that was never used begins a
                session of that name; one that was finds its jobs again.

        Raises:
            AlreadyActiveSessionException: There is one in this process.
            InvalidContactStringException: It names no backend and no session that there can be.
            DefaultContactStringException: The default backend is not installed.
            DrmsInitException: The store or the backend cannot be used.
        """
        GATE.initialize(read_contact(contactString))

    @staticmethod
    def exit() -> None:
        """Leave the session. Jobs go on.

        Threads that wait in it get an ExitTimeoutException first.

        Raises:
            NoActiveSessionException: There is none.
        """
        GATE.exit()

    @staticmethod
    def createJobTemplate() -> JobTemplate:
        """Make a job template.

        Raises:
            NoActiveSessionException: There is no session.
        """
        return JobTemplate()

    @staticmethod
    def deleteJobTemplate(jobTemplate: JobTemplate) -> None:
        """Let go of a job template. Its jobs are not touched; a second call does nothing.

        Raises:
            InvalidJobTemplateException: It is none.
        """
        if not isinstance(cast("object", jobTemplate), JobTemplate):
            raise fault(InvalidJobTemplateException, f"{jobTemplate!r} is no job template")
        jobTemplate.delete()

    @staticmethod
    def runJob(jobTemplate: JobTemplate) -> str:
        """Submit a job. It is stored when this returns, and runs whatever becomes of the caller.

        Returns:
            Its id, which is Drover's: `drover show ID` tells the backend's own.

        Raises:
            DeniedByDrmException: The backend cannot do what the template asks; nothing was stored.
            InvalidAttributeValueException: A value cannot be used; nothing was stored.
        """
        with GATE.entered() as attached:
            specifier = _specifier(attached, jobTemplate)
            return _submit(attached, [specifier.spec(tag=attached.roll.tag)])[0]

    @staticmethod
    def runBulkJobs(
        jobTemplate: JobTemplate, beginIndex: int, endIndex: int, step: int
    ) -> list[str]:
        """Submit a job per index, as one array where the backend has arrays.

        Args:
            jobTemplate: What they have in common; `JobTemplate.PARAMETRIC_INDEX` in its paths
                stands for the index. A job finds its index in `DROVER_ARRAY_INDEX`.
            beginIndex: The first index, 0 or more.
            endIndex: The last index, if the steps meet it.
            step: From one index to the next; negative if the last is below the first.

        Returns:
            Their ids, in the order of the indices.

        Raises:
            InvalidArgumentException: There is no such index.
            DeniedByDrmException: As for `runJob`; nothing was stored.
        """
        indices = _indices(beginIndex, endIndex, step)
        with GATE.entered() as attached:
            specifier, tag = _specifier(attached, jobTemplate), attached.roll.tag
            if specifier.is_uniform:
                spec = specifier.spec(tag=tag, index="%a")
                return _submit_array(attached, spec, indices)
            specs = [specifier.spec(tag=tag, index=str(index)) for index in indices]
            return _submit(attached, specs)

    @staticmethod
    def control(jobId: str | bytes, operation: str) -> None:
        """Ask something of a job, or of all jobs of the session that have not ended.

        A termination is durable when this returns: TERM, after a grace KILL, to the whole tree of
        processes. For the rest this waits for the backend's word.

        Args:
            jobId: Any job of the store, or `JOB_IDS_SESSION_ALL`, which passes over jobs whose
                state does not allow it.
            operation: One of JobControlAction.

        Raises:
            ValueError: There is no such operation.
            InvalidJobException: There is no such job, or it has ended.
            SuspendInconsistentStateException: It does not run.
            ResumeInconsistentStateException: It is not suspended.
            HoldInconsistentStateException: It cannot be held, as when it runs already.
            ReleaseInconsistentStateException: It cannot be released. What is not held is released
                without a word.
            DrmCommunicationException: Nobody has answered in time; the request stands.
        """
        _number_of(operation)
        with GATE.entered() as attached:
            if _id_of(jobId) == JOB_IDS_SESSION_ALL:
                records = _records(attached, attached.roll.open_ids())
                _ask(attached, [one for one in records if one.state in ALLOWED[operation]],
                     operation)  # fmt: skip
                return
            job = _record(attached, jobId)
            if job.state.ends_wait:
                raise fault(InvalidJobException, f"job {job.id!r} has ended")
            if job.state not in ALLOWED[operation]:
                text = f"cannot {operation} job {job.id!r}, which is {_status(attached, job)}"
                raise fault(_INCONSISTENT[operation], text)
            if operation == JobControlAction.RELEASE and not _is_held(job):
                return
            for verdict in _ask(attached, [job], operation):
                _refuse(verdict, operation)

    @staticmethod
    def synchronize(
        jobIds: Iterable[str | bytes] | str | bytes, timeout: float = -1, dispose: bool = False
    ) -> None:
        """Wait for jobs to end.

        Args:
            jobIds: Their ids; one alone need not be in a list, which drmaa-python takes for
                letters. Unknown jobs, and those of other sessions, count as ended.
                `JOB_IDS_SESSION_ALL` among them: all that the session has now.
            timeout: In seconds; -1 waits for ever, 0 only looks.
            dispose: Whether to reap them, so that `wait` finds them no more.

        Raises:
            ExitTimeoutException: Not all have ended in time; none was reaped.
        """
        _check_timeout(timeout)
        given = [jobIds] if isinstance(jobIds, str | bytes) else list(jobIds)
        with GATE.entered() as attached:
            ids = list(map(_id_of, given))
            if JOB_IDS_SESSION_ALL in ids:
                ids = attached.roll.ids()
            for _ in attached.turns(timeout):
                if attached.roll.all_ended(ids):
                    break
            if dispose:
                attached.roll.dispose(ids)

    @staticmethod
    def wait(jobId: str | bytes, timeout: float = -1) -> JobInfo:
        """Wait for a job to end, and reap it: it can be waited for once, by one thread.

        Args:
            jobId: One of this session, or `JOB_IDS_SESSION_ANY` for the first that has ended.
            timeout: In seconds; -1 waits for ever, 0 only looks.

        Raises:
            ExitTimeoutException: None has ended in time.
            InvalidJobException: The session has no such job, or it was reaped.
            DrmaaException: Its message begins `code 24`: it has ended and nobody can say how.
                It is reaped; the exception has its id as `jobId`.
        """
        _check_timeout(timeout)
        with GATE.entered() as attached:
            wanted = _id_of(jobId)
            for _ in attached.turns(timeout):
                job = attached.roll.reap(None if wanted == JOB_IDS_SESSION_ANY else wanted)
                if job is not None:
                    return job_info(job)
        raise AssertionError  # `turns` ends by an exception.

    @staticmethod
    def jobStatus(jobId: str | bytes) -> str:
        """Tell where a job is, as one of JobState.

        Args:
            jobId: Any job of the store that this session has not reaped.

        Raises:
            InvalidJobException: There is none.
        """
        with GATE.entered() as attached:
            attached.roll.refuse_reaped(_id_of(jobId))
            return _status(attached, _record(attached, jobId))


def _specifier(attached: Attached, template: object) -> Specifier:
    session = attached.session
    return Specifier(template, attached.backend, session.config, session.store.clock.time())


def _submit(attached: Attached, specs: Sequence[JobSpec]) -> list[str]:
    ids = [job.id for job in attached.session.submit_many(specs)]
    attached.roll.add(ids)
    return ids


def _submit_array(attached: Attached, spec: JobSpec, indices: range) -> list[str]:
    array = attached.session.submit(spec, array=Array(indices=indices))
    ids = [f"{array.id}.{index}" for index in indices]
    attached.roll.add(ids)
    return ids


def _indices(begin: object, end: object, step: object) -> range:
    if not (isinstance(begin, int) and isinstance(end, int) and isinstance(step, int)):
        raise fault(InvalidArgumentException, "indices and their step are whole numbers")
    indices = range(begin, end + (1 if step > 0 else -1), step) if step else range(0)
    if not indices or min(begin, end) < 0:
        text = f"there is no index of 0 or more from {begin} to {end} by {step}"
        raise fault(InvalidArgumentException, text)
    return indices


def _id_of(given: object) -> str:
    if isinstance(given, bytes):
        return given.decode("ascii", "replace")
    if not isinstance(given, str):
        raise fault(InvalidArgumentException, f"{given!r} is no job id; give text")
    return given


def _check_timeout(timeout: object) -> None:
    if isinstance(timeout, int | float) and (timeout >= 0 or timeout == TIMEOUT_WAIT_FOREVER):
        return
    text = f"timeout={timeout!r}: give seconds, 0 to look only, or -1 to wait for ever"
    raise fault(InvalidArgumentException, text)


def _records(attached: Attached, ids: Sequence[str]) -> list[JobRecord]:
    with attached.session.store.read() as reader:
        return list(reader.jobs_by_id(ids).values())


def _record(attached: Attached, given: str | bytes) -> JobRecord:
    """Read a job by its full id: a shortened one may become another's."""
    job_id = _id_of(given)
    for record in _records(attached, [job_id]):
        return record
    raise fault(InvalidJobException, f"there is no job {job_id!r}")


def _status(attached: Attached, job: JobRecord) -> str:
    return job_status(job, attached.session.store.clock.time())


def _ask(attached: Attached, jobs: Sequence[JobRecord], operation: str) -> list[CancelVerdict]:
    verb = VERB_OF[operation]
    timeout = 0.0 if verb is Verb.CANCEL else VERDICT_S
    return attached.session.ask([job.id for job in jobs], verb, timeout=timeout) if jobs else []


def _is_held(job: JobRecord) -> bool:
    return USER in job.hold or any(request.verb is Verb.HOLD for request in job.pending)


def _refuse(verdict: CancelVerdict, operation: str) -> None:
    """Raise if a request came to nothing."""
    text = f"{operation} of job {verdict.job!r}: {verdict}"
    match verdict.verdict:
        case Verdict.REFUSED:
            is_end = operation == JobControlAction.TERMINATE
            raise fault(DeniedByDrmException if is_end else _INCONSISTENT[operation], text)
        case Verdict.TOO_LATE:
            raise fault(InvalidJobException, text)
        case Verdict.ASKED if operation != JobControlAction.TERMINATE:
            raise fault(DrmCommunicationException, text)
        case _:
            return
