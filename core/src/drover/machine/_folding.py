"""What each fact changes in a record."""

from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from drover import events as e
from drover.models import (
    ENGINE,
    USER,
    EndReport,
    JobRecord,
    Outcome,
    Reason,
    Request,
    Source,
    Started,
    Verdict,
)
from drover.states import State

Changes = dict[str, Any]


def state_of(outcome: Outcome) -> State:
    """Give the state that an outcome puts a job in."""
    if outcome.succeeded:
        return State.SUCCEEDED
    if outcome.reason is Reason.CANCELLED:
        return State.CANCELLED
    if outcome.reason is Reason.LOST:
        return State.LOST
    return State.FAILED


# What belongs to one attempt and must not leak into the next.
_FRESH: Final[Changes] = {
    "state": State.WAITING,
    "restart": 0,
    "token": "",
    "batch": "",
    "native_id": None,
    "native_state": "",
    "native_submitted_at": None,
    "suspended_by": frozenset(),
    "started_at": None,
    "ended_at": None,
    "staged_in": False,
    "unknown_since": None,
    "token_closed": False,
    "settle_at": None,
    "ending": None,
    "progress": None,
    "reports": (),
    "observed_source": None,
    "observed_at": None,
    "hold_asked": False,
}


_OWN: Final = frozenset({USER})


def _next_attempt(job: JobRecord, ready_at: float | None, *, counted: bool) -> Changes:
    return {
        **_FRESH,
        # What was seen at the scheduler was of its job, which is no more.
        "hold": job.hold & _OWN if job.hold_asked or not job.token else frozenset[str](),
        "attempt": job.attempt + 1,
        "uncounted": job.uncounted + (not counted),
        "ready_at": ready_at,
    }


def _deferred(_job: JobRecord, event: e.Deferred) -> Changes:
    return {"state": State.WAITING, "ready_at": event.until}


def _submit_intended(_job: JobRecord, event: e.SubmitIntended) -> Changes:
    return {"state": State.SUBMITTING, "token": event.token, "batch": event.batch}


def _accepted(_job: JobRecord, event: e.Accepted) -> Changes:
    return {
        "state": State.QUEUED,
        "native_id": event.native_id,
        "native_submitted_at": event.submitted_at,
        "unknown_since": None,
        "outcome": None,
        "ended_at": None,
    }


def _answer_lost(job: JobRecord, event: e.AnswerLost) -> Changes:
    if job.state is not State.SUBMITTING or job.unknown_since is not None:
        return {}
    return {"unknown_since": event.at}


def _withdrawn(job: JobRecord, event: e.Withdrawn) -> Changes:
    changes = _next_attempt(job, event.ready_at, counted=False)
    if job.predecessors:
        # The backend saw to them, and nothing is known of how they ended: look at them again.
        changes.update(dependencies_met=False, predecessors=())
    return changes


def _attempt_closed(job: JobRecord, event: e.AttemptClosed) -> Changes:
    return {"token_closed": True} if event.token == job.token else {}


def _started(_job: JobRecord, event: e.Started) -> Changes:
    changes: Changes = {
        "state": State.RUNNING,
        "started_at": event.at,
        "restart": event.restart,
        "unknown_since": None,
        "observed_source": event.source,
        "observed_at": event.at,
        "outcome": None,
        "ended_at": None,
    }
    if event.native_id is not None:
        changes["native_id"] = event.native_id
    if event.native_state:
        changes["native_state"] = event.native_state
    return changes


def _suspended(_job: JobRecord, event: e.Suspended) -> Changes:
    return {"state": State.SUSPENDED, "suspended_by": event.by, "observed_at": event.at}


def _resumed(_job: JobRecord, event: e.Resumed) -> Changes:
    return {"state": State.RUNNING, "suspended_by": frozenset(), "observed_at": event.at}


def _restarted(_job: JobRecord, event: e.Restarted) -> Changes:
    return {
        "state": State.QUEUED,
        "restart": event.restart,
        "started_at": None,
        "reports": (),
        "settle_at": None,
        "suspended_by": frozenset(),
        "observed_source": event.source,
        "observed_at": event.at,
    }


def _end_reported(job: JobRecord, event: e.EndReported) -> Changes:
    others = tuple(report for report in job.reports if report.source is not event.report.source)
    return {
        "state": State.COMPLETING,
        "reports": (*others, event.report),
        "settle_at": job.settle_at if job.settle_at is not None else event.settle_at,
        "unknown_since": None,
        "observed_source": event.report.source,
        "observed_at": event.at,
        "outcome": None,
    }


def _staging_out_started(_job: JobRecord, event: e.StagingOutStarted) -> Changes:
    return {
        "state": State.STAGING_OUT,
        "outcome": event.outcome,
        "reports": event.outcome.evidence,
        "settle_at": None,
        "unknown_since": None,
    }


def _run_ended(_job: JobRecord, event: e.RunEnded) -> Changes:
    return {"state": State.SLEEPING, "outcome": event.outcome, "ready_at": event.next_at}


def _ended(job: JobRecord, event: e.Ended) -> Changes:
    if event.retry_at is not None:
        return {
            **_next_attempt(job, event.retry_at, counted=True),
            "outcome": event.outcome,
        }
    return {
        "state": state_of(event.outcome),
        "outcome": event.outcome,
        "reports": (),
        "ended_at": event.at,
        "settle_at": None,
        "unknown_since": None,
        "suspended_by": frozenset(),
        "ready_at": None,
    }


def _holds_seen(_job: JobRecord, event: e.HoldsSeen) -> Changes:
    if not event.asked:
        return {"hold": event.hold}
    return {"hold": event.hold, "hold_asked": USER in event.hold}


def _control_asked(job: JobRecord, event: e.ControlAsked) -> Changes:
    request = event.request
    changes: Changes = {"pending": (*job.pending, request)}
    if request.verb.ends_job and request.by == ENGINE and request.why in Reason.__members__:
        changes["ending"] = Reason(request.why)
    return changes


def _control_signalled(job: JobRecord, event: e.ControlSignalled) -> Changes:
    def passed_on(request: Request) -> Request:
        if request.id != event.request_id:
            return request
        return Request(
            id=request.id,
            verb=request.verb,
            by=request.by,
            at=request.at,
            why=request.why,
            grace_s=request.grace_s,
            signal=request.signal,
            may_run_twice=request.may_run_twice,
            verdict=Verdict.SIGNALLED,
        )

    return {"pending": tuple(map(passed_on, job.pending))}


def _control_settled(job: JobRecord, event: e.ControlSettled) -> Changes:
    changes: Changes = {"pending": tuple(r for r in job.pending if r.id != event.request_id)}
    is_overdue = event.verdict is Verdict.OVERDUE and job.ending is None
    if is_overdue and any(r.id == event.request_id and r.verb.ends_job for r in job.pending):
        # It was passed on, and may have its effect yet.
        changes["ending"] = Reason.CANCELLED
    return changes


def _retry_asked(job: JobRecord, _event: e.RetryAsked) -> Changes:
    # A retry that a person asks for is on top of those that the specification allows.
    return _next_attempt(job, job.spec.not_before, counted=False)


def _resolved(job: JobRecord, event: e.Resolved) -> Changes:
    reason = Reason.CANCELLED if event.state is State.CANCELLED else Reason.EXITED
    report = EndReport(
        source=Source.USER,
        at=event.at,
        reason=reason,
        started=Started.UNKNOWN,
        message=f"resolved as {event.state} by {event.by}: {event.why}".rstrip(": "),
    )
    evidence = (*(job.outcome.evidence if job.outcome else ()), report)
    return {
        "state": event.state,
        "outcome": Outcome(reason=reason, message=report.message, evidence=evidence),
        "ended_at": event.at,
    }


_FRESH_S: Final = 5.0
"""A request that is younger was written down by a client that read the new time: an engine looks
at the clock at least every three seconds."""


def _clock_set(job: JobRecord, event: e.ClockSet) -> Changes:
    """Move what stands for a duration. `not_before` and `deadline` are instants and stay."""
    changes: Changes = {}
    moved = ["settle_at", "unknown_since"]
    delayed = job.attempt > 1 and job.ready_at != job.spec.not_before
    if job.state is State.WAITING and delayed:
        moved.append("ready_at")
    for name in moved:
        at = getattr(job, name)
        if at is not None:
            changes[name] = at + event.seconds
    # After a step back what is seen next would pass for old news.
    if job.observed_at is not None and job.observed_at > event.at:
        changes["observed_at"] = event.at
    if job.progress is not None and job.progress.at > event.at:
        changes["progress"] = evolve(job.progress, at=event.at)
    if any(_is_moved(request, event) for request in job.pending):
        changes["pending"] = tuple(
            evolve(request, at=request.at + event.seconds) if _is_moved(request, event) else request
            for request in job.pending
        )
    return changes


def _is_moved(request: Request, event: e.ClockSet) -> bool:
    return not event.at - _FRESH_S <= request.at <= event.at


def _to(state: State, **changes: Any) -> Callable[[JobRecord, Any], Changes]:
    fixed = {"state": state, **changes}
    return lambda _job, _event: fixed


def _staged_in(job: JobRecord, _event: e.StagedIn) -> Changes:
    state = State.WAITING if job.native_id is None else State.QUEUED
    return {"state": state, "staged_in": True}


FOLDS: Final[dict[str, Callable[[JobRecord, Any], Changes]]] = {
    "ValidationStarted": _to(State.VALIDATING),
    "Validated": _to(State.WAITING),
    "ApprovalNeeded": _to(State.AWAITING_APPROVAL),
    "Approved": lambda _job, event: {"state": State.WAITING, "approved_by": event.by},
    "Deferred": _deferred,
    "DependenciesMet": lambda _job, event: {
        "dependencies_met": True,
        "predecessors": event.predecessors,
    },
    "StagingInStarted": _to(State.STAGING_IN),
    "StagedIn": _staged_in,
    "SubmitIntended": _submit_intended,
    "Accepted": _accepted,
    "AnswerLost": _answer_lost,
    "Withdrawn": _withdrawn,
    "AttemptClosed": _attempt_closed,
    "Started": _started,
    "Suspended": _suspended,
    "Resumed": _resumed,
    "Restarted": _restarted,
    "HoldsSeen": _holds_seen,
    "NativeStateSeen": lambda _job, event: {"native_state": event.native_state},
    "ProgressMade": lambda _job, event: {"progress": event.progress},
    "EvidenceNoted": lambda _job, _event: {},
    "EndReported": _end_reported,
    "StagingOutStarted": _staging_out_started,
    "RunEnded": _run_ended,
    "Woken": _to(State.QUEUED),
    "Ended": _ended,
    "ControlAsked": _control_asked,
    "ControlSignalled": _control_signalled,
    "ControlSettled": _control_settled,
    "RetryAsked": _retry_asked,
    "Resolved": _resolved,
    "ClockSet": _clock_set,
}
"""What a fact changes, by its name. Every fact but `Submitted` has an entry."""
