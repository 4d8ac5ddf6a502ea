"""What the engine does about a job by itself, without a backend: facts follow at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from drover import events as e
from drover import instructions as i
from drover import machine
from drover._engine._runtime import Runtime
from drover.commandline import claims
from drover.models import (
    ENGINE,
    USER,
    Claim,
    Closing,
    JobRecord,
    Outcome,
    Reason,
    Request,
    Started,
    Verb,
    Verdict,
)
from drover.states import State

if TYPE_CHECKING:
    from drover._engine._engine import Engine

LEAVING_S: Final = 3600.0
"""A node that is not cleaned up by then needs somebody who looks at it."""
MOST_STEPS: Final = 50
"""Facts in a row about one job in one round. More is a loop of ours."""


def do_duties(this: "Engine", n: int) -> None:
    """Do all that is due about a job until nothing more is."""
    for _ in range(MOST_STEPS):
        job = this.desk.jobs.get(n)
        if job is None:
            return
        for order in machine.owed(job):
            duty = _DUTIES.get(type(order))
            if duty is not None and _is_due(this, order) and duty(this, job, order):
                break
        else:
            return
    message = f"job {n} takes no rest"
    raise AssertionError(message)


def _is_due(this: "Engine", order: i.Instruction) -> bool:
    at: float | None = getattr(order, "at", None)
    return at is None or at <= this.now


def _admit(this: "Engine", job: JobRecord, _order: i.AdmitJob) -> bool:
    spec = job.spec
    why = [
        word
        for word, holds in (
            ("other jobs", bool(spec.after)),
            ("a release", bool(job.hold)),
            ("its start time", spec.not_before is not None and spec.not_before > this.now),
            ("its inputs", bool(spec.inputs)),
        )
        if holds
    ]
    until = spec.not_before
    this.desk.tell(job.n, e.Deferred(at=this.now, why=" and ".join(why) or "its turn", until=until))
    if spec.after:
        this.check_dependencies(job.n)
    return True


def _end_unplaced(this: "Engine", job: JobRecord, order: i.EndUnplaced) -> bool:
    outcome = machine.unrun_outcome(job, Reason.CANCELLED, order.request.why)
    this.desk.tell(job.n, e.Ended(at=this.now, attempt=job.attempt, outcome=outcome))
    return True


def _place_hold(this: "Engine", job: JobRecord, order: i.PlaceHold) -> bool:
    return _held(this, job, order.request, job.hold | {USER})


def _lift_hold(this: "Engine", job: JobRecord, order: i.LiftHold) -> bool:
    return _held(this, job, order.request, job.hold - {USER})


def _held(this: "Engine", job: JobRecord, request: Request, hold: frozenset[str]) -> bool:
    facts: list[e.Event] = []
    if job.state is State.NEW:
        facts.append(e.Deferred(at=this.now, why="a request", until=job.spec.not_before))
    facts += [
        e.HoldsSeen(at=this.now, hold=hold),
        e.ControlSettled(at=this.now, request_id=request.id, verdict=Verdict.DONE),
    ]
    this.desk.tell(job.n, *facts)
    return True


def _settle_request(this: "Engine", job: JobRecord, order: i.SettleRequest) -> bool:
    survivors = job.outcome.evidence[-1].survivors if job.outcome and job.outcome.evidence else ()
    facts: list[e.Event] = []
    if order.request.verb in (Verb.HOLD, Verb.RELEASE) and order.verdict is Verdict.DONE:
        facts.append(e.HoldsSeen(at=this.now, hold=job.hold, asked=True))
    facts.append(
        e.ControlSettled(
            at=this.now,
            request_id=order.request.id,
            verdict=order.verdict,
            message=order.why,
            survivors=survivors if order.request.verb.ends_job else (),
        )
    )
    this.desk.tell(job.n, *facts)
    return True


def _open_retry(this: "Engine", job: JobRecord, order: i.OpenRetry) -> bool:
    request = order.request
    this.desk.tell(
        job.n,
        e.RetryAsked(at=this.now, by=request.by, may_run_twice=request.may_run_twice),
        e.ControlSettled(at=this.now, request_id=request.id, verdict=Verdict.DONE),
    )
    return True


def _end_at(this: "Engine", job: JobRecord, order: i.EndAt) -> bool:
    if job.state is State.STAGING_OUT:
        return False
    request = Request(
        id=this.new_id(),
        verb=Verb.CANCEL,
        by=ENGINE,
        at=this.now,
        why=order.reason.value,
    )
    this.desk.tell(job.n, e.ControlAsked(at=this.now, request=request))
    return True


def _decide_end(this: "Engine", job: JobRecord, _order: i.DecideEnd) -> bool:
    runtime = this.runtime_of(job)
    if runtime is not None and runtime.failures:
        return False  # The settle time runs only while queries succeed.
    if runtime is not None and _may_come_again(this, runtime, job):
        return False
    claimed: bool | None = None
    try:
        claimed = this.is_claimed(job)
    except OSError:
        patience_s = runtime.capabilities.missing_grace_s if runtime is not None else 0.0
        if this.now < (job.settle_at or 0.0) + patience_s:
            return False  # A file server may be away. After that nobody can tell.
    outcome = machine.judge(job, job.reports, settled=True, claimed=claimed)
    assert outcome is not None
    if _waited_in_vain(job, outcome):
        this.withdraw(job, "what it depends on came to something else")
        return True
    if not may_end(this, job, job.restart):
        return False
    at = max((report.at for report in job.reports), default=this.now)
    this.desk.tell(job.n, machine.end_of(job, outcome, at))
    return True


def _may_come_again(this: "Engine", runtime: Runtime, job: JobRecord) -> bool:
    """Tell whether a scheduler that may run a job again is not done with the run that has ended.

    What is preempted leaves its nodes for as long as they are cleaned up, and waits to be run
    again only then.
    """
    return (
        job.spec.requeue
        and job.token in runtime.in_queue
        and not any(request.verb.ends_job for request in job.pending)
        and this.now < (job.settle_at or 0.0) + LEAVING_S
    )


def may_end(this: "Engine", job: JobRecord, restart: int) -> bool:
    """Shut an attempt that the scheduler may run again, before its end is taken for the last.

    Returns:
        Whether no later start came first, in which case it has not ended.
    """
    runtime = this.runtime_of(job)
    if not job.spec.requeue or runtime is None or runtime.capabilities.claim is not Claim.DIRECTORY:
        return True
    closed = claims.close(this.attempt_dir(job), "it has ended")
    if closed.closing is Closing.UNKNOWN:
        return False
    return closed.owner is None or closed.owner.restart <= restart


def _waited_in_vain(job: JobRecord, outcome: Outcome) -> bool:
    """Tell whether the backend gave a job up for what it depends on: the engine knows the rest."""
    return (
        bool(job.predecessors)
        and outcome.reason is Reason.CANCELLED
        and outcome.started is Started.NO
        and not any(request.verb.ends_job for request in job.pending)
        and job.ending is None
    )


def _close_attempt(this: "Engine", job: JobRecord, order: i.CloseAttempt) -> bool:
    """Close a LOST attempt whose retry was asked for, where the claim is a folder or nothing."""
    runtime = this.runtime_of(job)
    if runtime is None or runtime.capabilities.claim is Claim.SERVER_KEY or order.request is None:
        return False
    if runtime.capabilities.claim is Claim.NONE:
        why = "nobody can say that its last attempt does not run; ask with may_run_twice"
        return _refuse(this, job, order.request, why)
    closed = claims.close(this.attempt_dir(job), f"retry asked by {order.request.by}")
    if closed.closing is Closing.CLOSED:
        this.close_token(job, "a retry was asked for")
        return True
    owner = f" by {closed.owner.native_id}" if closed.owner else ""
    why = f"its last attempt was started{owner} and may still run; ask with may_run_twice"
    return _refuse(this, job, order.request, why)


def _refuse(this: "Engine", job: JobRecord, request: Request, why: str) -> bool:
    this.desk.tell(
        job.n,
        e.ControlSettled(at=this.now, request_id=request.id, verdict=Verdict.REFUSED, message=why),
    )
    return True


def _settle_submission(this: "Engine", job: JobRecord, _order: i.SettleSubmission) -> bool:
    """Give up an attempt whose submission got no answer for too long."""
    runtime = this.runtime_of(job)
    if runtime is None or job.unknown_since is None or runtime.key_is_claim:
        return False
    if this.now - job.unknown_since < runtime.capabilities.unknown_after_s:
        return False
    if runtime.capabilities.claim is Claim.NONE:
        if not runtime.is_unfound(job.token):
            return False  # Nobody could be asked yet, and nothing runs twice by waiting.
        runtime.settled(job.token)
        outcome = machine.lost("its submission got no answer and was not found")
        this.desk.tell(job.n, e.Ended(at=this.now, attempt=job.attempt, outcome=outcome))
        return True
    closed = claims.close(this.attempt_dir(job), "the submission got no answer")
    if closed.closing is Closing.CLOSED:
        runtime.settled(job.token)
        this.close_token(job, "its submission got no answer")
        this.withdraw(job, "its submission got no answer")
        return True
    if closed.closing is Closing.TAKEN and closed.owner is not None:
        runtime.settled(job.token)
        this.desk.tell(
            job.n,
            e.Accepted(at=this.now, attempt=job.attempt, native_id=closed.owner.native_id),
        )
        return True
    return False


# Each does one thing, if that can be done here, and tells whether a fact followed.
_DUTIES: Final[dict[type[i.Instruction], Callable[..., bool]]] = {
    i.AdmitJob: _admit,
    i.EndUnplaced: _end_unplaced,
    i.PlaceHold: _place_hold,
    i.LiftHold: _lift_hold,
    i.SettleRequest: _settle_request,
    i.OpenRetry: _open_retry,
    i.EndAt: _end_at,
    i.DecideEnd: _decide_end,
    i.CloseAttempt: _close_attempt,
    i.SettleSubmission: _settle_submission,
}
