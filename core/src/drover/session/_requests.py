"""Ask something of jobs that are there, and wait for what comes of it."""

from collections.abc import Sequence
from contextlib import suppress
from types import UnionType
from typing import TYPE_CHECKING, Final, TypeGuard

from attrs import evolve

from drover._store import new_id
from drover.commandline import claims
from drover.commandline.tokens import attempt_path
from drover.errors import DroverError, IllegalRequestError, InvalidSpecError
from drover.events import (
    Approved,
    AttemptClosed,
    ControlAsked,
    ControlSettled,
    Event,
    Resolved,
    RetryAsked,
)
from drover.models import CancelVerdict, Claim, Closing, JobRecord, Request, Verb, Verdict
from drover.session._purging import no_attempt_opened
from drover.session._submission import user_name
from drover.session._watch import Watch
from drover.states import FINAL, State

if TYPE_CHECKING:
    from drover.session._session import Session

MAX_SIGNAL: Final = 64
"""Linux's last real-time signal, and more than any other system has."""
PIECE = 1000
"""Requests in one transaction: others may write in between."""


def check(grace_s: object, signal: object, why: object) -> None:
    """Refuse what cannot be read back once it is stored: every engine would stumble over it.

    Raises:
        InvalidSpecError: It names the value.
    """
    if grace_s is not None and not (_is_number(grace_s, int | float) and 0 <= grace_s < 10**9):
        raise InvalidSpecError("grace_s", grace_s, "give seconds, 0 or more")
    if signal is not None and not (_is_number(signal, int) and 1 <= signal <= MAX_SIGNAL):
        raise InvalidSpecError("signal", signal, f"give a signal's number, 1 to {MAX_SIGNAL}")
    if not isinstance(why, str):
        raise InvalidSpecError("why", why, "give text")


def _is_number(value: object, kind: type | UnionType) -> TypeGuard[float]:
    return isinstance(value, kind) and not isinstance(value, bool)


def ask(
    session: "Session", ids: Sequence[str], template: Request, timeout_s: float
) -> list[CancelVerdict]:
    """Record a request for each job, and wait for its verdict.

    Returns:
        One verdict per id, in order.
    """
    asked: dict[int, tuple[str, str]] = {}
    verdicts: dict[str, CancelVerdict] = {}
    with session.store.read() as reader:
        seq = reader.last_seq()
    for start in range(0, len(ids), PIECE):
        _record(session, ids[start : start + PIECE], template, asked, verdicts)
    if asked:
        session.wake_engine()
        _await_verdicts(session, asked, verdicts, seq, timeout_s)
    return [verdicts[job_id] for job_id in ids]


def _record(
    session: "Session",
    ids: Sequence[str],
    template: Request,
    asked: dict[int, tuple[str, str]],
    verdicts: dict[str, CancelVerdict],
) -> None:
    now = session.store.clock.time()
    with session.store.write() as (writer, reader):
        for job_id in dict.fromkeys(ids):
            job = reader.job(job_id)
            if job.state in FINAL or (job.state is State.LOST and template.verb is not Verb.RETRY):
                verdicts[job_id] = _too_late(job, template.verb)
                continue
            request = evolve(template, id=new_id(), at=now)
            writer.ask(job, ControlAsked(at=now, request=request), now)
            asked[job.n] = (job_id, request.id)
            verdicts[job_id] = CancelVerdict(job=job_id, verdict=Verdict.ASKED, verb=template.verb)


def _too_late(job: JobRecord, verb: Verb) -> CancelVerdict:
    if job.state is State.LOST:
        return CancelVerdict(
            job=job.id,
            verdict=Verdict.REFUSED,
            verb=verb,
            outcome=job.outcome,
            message=f"nobody can say whether it runs; drover resolve {job.id} --as STATE",
        )
    return CancelVerdict(job=job.id, verdict=Verdict.TOO_LATE, verb=verb, outcome=job.outcome)


def _await_verdicts(
    session: "Session",
    asked: dict[int, tuple[str, str]],
    verdicts: dict[str, CancelVerdict],
    seq: int,
    timeout_s: float,
) -> None:
    store = session.store
    deadline = store.clock.monotonic() + timeout_s
    watch = Watch(store, session.care)
    open_ones = dict(asked)
    try:
        while open_ones:
            with store.read() as reader:
                seq, facts = reader.settlements_since(seq)
                for n, fact in facts:
                    if (
                        n in open_ones
                        and isinstance(fact, ControlSettled)
                        and fact.request_id == open_ones[n][1]
                    ):
                        job = reader.job(open_ones.pop(n)[0])
                        verdicts[job.id] = evolve(
                            verdicts[job.id],
                            verdict=fact.verdict,
                            outcome=job.outcome if job.state.ends_wait else None,
                            message=fact.message,
                            survivors=fact.survivors,
                        )
            if not open_ones or store.clock.monotonic() >= deadline:
                break
            watch.wait(deadline)
    finally:
        watch.close()
    with store.read() as reader:
        for job_id, request_id in open_ones.values():
            pending = {request.id: request for request in reader.job(job_id).pending}
            if request_id in pending:
                verdicts[job_id] = evolve(verdicts[job_id], verdict=pending[request_id].verdict)


def retry(session: "Session", ids: Sequence[str], *, may_run_twice: bool) -> None:
    """Open another attempt of each job.

    Raises:
        IllegalRequestError: A job has not ended, or is LOST and may still run.
    """
    now = session.store.clock.time()
    lost: list[str] = []
    session.store.refuse_if_read_only()
    with no_attempt_opened(session.home), session.store.write() as (writer, reader):
        for job_id in dict.fromkeys(ids):
            job = reader.job(job_id)
            if job.state is State.LOST:
                lost.append(job_id)
            elif job.state in FINAL:
                writer.record(job, RetryAsked(at=now, by=user_name()), now=now)
            else:
                raise IllegalRequestError(job_id, "retry", job.state, "it has not ended")
    session.wake_engine()
    if not lost:
        return
    template = Request(id="", verb=Verb.RETRY, by=user_name(), at=now, may_run_twice=may_run_twice)
    for verdict in ask(session, lost, template, 60.0):
        if verdict.verdict is not Verdict.DONE:
            raise IllegalRequestError(verdict.job, "retry", State.LOST, str(verdict))


def approve(session: "Session", ids: Sequence[str]) -> None:
    """Say yes to jobs that wait for it.

    Raises:
        IllegalRequestError: One does not wait for it; then none was approved.
    """
    now = session.store.clock.time()
    with session.store.write() as (writer, reader):
        for job_id in dict.fromkeys(ids):
            job = reader.job(job_id)
            if job.state is not State.AWAITING_APPROVAL:
                why = "it does not wait for an approval"
                raise IllegalRequestError(job_id, "approve", job.state, why)
            writer.record(job, Approved(at=now, by=user_name()), now=now)
    session.wake_engine()


def resolve(session: "Session", ids: Sequence[str], state: State, why: str) -> None:
    """Say how LOST jobs ended.

    Raises:
        IllegalRequestError: One is not LOST, or the state is not an end; then none was changed.
    """
    now = session.store.clock.time()
    with session.store.write() as (writer, reader):
        jobs = [reader.job(job_id) for job_id in dict.fromkeys(ids)]
        for job in jobs:
            if job.state is not State.LOST:
                raise IllegalRequestError(job.id, "resolve", job.state, "only LOST jobs can be")
            if state not in FINAL:
                ends = "SUCCEEDED, FAILED or CANCELLED"
                raise IllegalRequestError(job.id, "resolve", job.state, f"give {ends}")
        # Not before all are known to be right: what is closed stays so.
        for job in jobs:
            events: list[Event] = [Resolved(at=now, state=state, by=user_name(), why=why)]
            if _close(session, job):
                why_closed = f"resolved as {state}"
                writer.watch_token(job.token, job.backend, job.n, now)
                events.append(
                    AttemptClosed(at=now, attempt=job.attempt, token=job.token, why=why_closed)
                )
            writer.record(job, *events, now=now)
    session.wake_engine()


def _close(session: "Session", job: JobRecord) -> bool:
    """Shut a LOST attempt whose claim is a folder: its submission may still lie in a queue.

    Returns:
        Whether it has never started, and cannot any more.
    """
    # Without its backend nobody can say what its claim is, nor while a file server is away; the
    # user's word stands all the same.
    with suppress(DroverError, OSError):
        if session.load_backend(job.backend).capabilities.claim is Claim.DIRECTORY and job.token:
            folder = attempt_path(session.home, job.id, job.attempt)
            return claims.close(folder, f"resolved by {user_name()}").closing is Closing.CLOSED
    return False
