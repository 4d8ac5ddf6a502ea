"""What a job owes the world, read off its record."""

from collections.abc import Callable
from typing import Final

from drover import instructions as i
from drover.models import USER, JobRecord, Reason, Request, Verb, Verdict
from drover.states import ENDED, UNPLACED, State

OVERDUE_S: Final = 60.0
"""Seconds after the grace in which a request must show its effect. A batch system's KILL
comes with its own delay: Slurm's KillWait is 30 s, Grid Engine's notice 60 s."""
DEFAULT_GRACE_S: Final = 10.0

_UNPLACED_VERBS: Final = {Verb.HOLD: i.PlaceHold, Verb.RELEASE: i.LiftHold}
_NOTHING: Final[tuple[i.Instruction, ...]] = ()
_SUBMIT_NOW: Final = (i.SubmitJob(),)
_WATCH: Final = (i.WatchJob(),)
_SETTLE: Final = (i.SettleSubmission(),)


def owed(job: JobRecord) -> tuple[i.Instruction, ...]:
    """List all that is to be done about a job, now or later.

    Returns:
        Distinct instructions, empty for a job that owes nothing. What is under way already
        is listed too: the engine knows what it has begun.
    """
    duty = _DUTIES[job.state](job)
    if job.pending:
        duty += tuple(_answer(job, request) for request in job.pending)
    deadline = job.spec.deadline
    if deadline is not None and job.ending is not Reason.DEADLINE and job.state not in ENDED:
        duty += (i.EndAt(at=deadline, reason=Reason.DEADLINE),)
    return duty


def _on_arrival(job: JobRecord) -> tuple[i.Instruction, ...]:
    spec = job.spec
    if spec.after or job.hold or spec.inputs or spec.not_before is not None:
        return (i.AdmitJob(),)
    return _SUBMIT_NOW


def _its_turn(job: JobRecord) -> tuple[i.Instruction, ...]:
    if job.spec.after and not job.dependencies_met:
        return (i.AwaitDependencies(),)
    if job.hold:
        return _NOTHING
    if job.spec.inputs and not job.staged_in:
        return (i.StageIn(at=job.ready_at),)
    return _SUBMIT_NOW if job.ready_at is None else (i.SubmitJob(at=job.ready_at),)


def _settle_submission(_job: JobRecord) -> tuple[i.Instruction, ...]:
    return _SETTLE


def _watch(_job: JobRecord) -> tuple[i.Instruction, ...]:
    return _WATCH


def _decide(job: JobRecord) -> tuple[i.Instruction, ...]:
    return (*_WATCH, i.DecideEnd(at=job.settle_at or 0.0))


def _wake(job: JobRecord) -> tuple[i.Instruction, ...]:
    return (*_WATCH, i.WakeJob(at=job.ready_at or 0.0))


def _stage_in(_job: JobRecord) -> tuple[i.Instruction, ...]:
    return (i.StageIn(),)


def _stage_out(_job: JobRecord) -> tuple[i.Instruction, ...]:
    return (i.StageOut(),)


def _nothing(_job: JobRecord) -> tuple[i.Instruction, ...]:
    return _NOTHING


def _forget(job: JobRecord) -> tuple[i.Instruction, ...]:
    span = job.spec.expires_after
    return _NOTHING if span is None else (i.ForgetJob(at=(job.ended_at or 0.0) + span),)


# A look-up: this is asked several times per fact of every job.
_DUTIES: Final[dict[State, Callable[[JobRecord], tuple[i.Instruction, ...]]]] = {
    State.NEW: _on_arrival,
    State.VALIDATING: _nothing,
    State.AWAITING_APPROVAL: _nothing,
    State.WAITING: _its_turn,
    State.STAGING_IN: _stage_in,
    State.SUBMITTING: _settle_submission,
    State.QUEUED: _watch,
    State.RUNNING: _watch,
    State.SUSPENDED: _watch,
    State.COMPLETING: _decide,
    State.SLEEPING: _wake,
    State.STAGING_OUT: _stage_out,
    State.SUCCEEDED: _forget,
    State.FAILED: _forget,
    State.CANCELLED: _forget,
    State.LOST: _forget,
}


def _answer(job: JobRecord, request: Request) -> i.Instruction:
    if job.state is State.LOST and request.verb is Verb.RETRY:
        if job.token_closed or not job.token or request.may_run_twice:
            return i.OpenRetry(request=request)
        return i.CloseAttempt(request=request)
    if job.state in ENDED or job.state is State.STAGING_OUT:
        return _too_late(job, request)
    if job.state in UNPLACED:
        if request.verb.ends_job:
            return i.EndUnplaced(request=request)
        make = _UNPLACED_VERBS.get(request.verb)
        if make is not None:
            return make(request=request)
        return i.SettleRequest(
            request=request, verdict=Verdict.REFUSED, why="it has not been handed to a backend"
        )
    if request.verb is Verb.REQUEUE and not job.spec.requeue:
        return i.SettleRequest(
            request=request, verdict=Verdict.REFUSED, why="it was submitted without `requeue`"
        )
    if request.verdict is Verdict.SIGNALLED:
        if _has_effect(job, request):
            return i.SettleRequest(request=request, verdict=Verdict.DONE)
        grace_s = DEFAULT_GRACE_S if request.grace_s is None else request.grace_s
        return i.SettleRequest(
            request=request,
            verdict=Verdict.OVERDUE,
            why="the backend passed it on, no effect was seen",
            at=request.at + grace_s + OVERDUE_S,
        )
    return i.CarryOut(request=request)


def _has_effect(job: JobRecord, request: Request) -> bool:
    match request.verb:
        case Verb.HOLD:
            return USER in job.hold
        case Verb.RELEASE:
            return USER not in job.hold
        case Verb.SUSPEND:
            return job.state is State.SUSPENDED
        case Verb.RESUME:
            return job.state is State.RUNNING
        case Verb.REQUEUE:
            return job.state is State.QUEUED
        case Verb.SIGNAL:
            return True
        case Verb.CANCEL | Verb.TERMINATE | Verb.KILL | Verb.RETRY:
            return False


def _too_late(job: JobRecord, request: Request) -> i.Instruction:
    if not request.verb.ends_job:
        return i.SettleRequest(
            request=request, verdict=Verdict.TOO_LATE, why=f"the job is {job.state}"
        )
    if job.state is State.LOST:
        return i.SettleRequest(
            request=request,
            verdict=Verdict.OVERDUE,
            why="the job is LOST: nobody can say whether it is gone",
        )
    ended_by_it = job.state is State.CANCELLED or (
        job.ending is not None and job.outcome is not None and job.outcome.reason is job.ending
    )
    return i.SettleRequest(
        request=request, verdict=Verdict.DONE if ended_by_it else Verdict.TOO_LATE
    )
