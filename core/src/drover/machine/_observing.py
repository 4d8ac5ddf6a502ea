"""What follows from an observation. Late, repeated and foreign rows move nothing."""

from typing import Final

from drover import events as e
from drover.machine._judging import judge, may_have_run, retry_at
from drover.models import JobRecord, Observation, Outcome, Phase, Reason, Source, Started
from drover.states import State

CLOCK_SLACK_S: Final = 2.0
"""How far two readings of one submit time may lie apart: Slurm and Grid Engine print whole
seconds, and a reply may round the other way."""

_BEFORE_START: Final = frozenset({State.SUBMITTING, State.QUEUED, State.LOST, State.STAGING_IN})
_OPEN: Final = frozenset(
    {
        State.SUBMITTING,
        State.QUEUED,
        State.RUNNING,
        State.SUSPENDED,
        State.COMPLETING,
        State.LOST,
    }
)
_MOVING: Final = frozenset({State.STAGING_IN, State.STAGING_OUT})
"""Of a transfer a backend tells how far it is, and nothing else."""


def is_about(job: JobRecord, seen: Observation) -> bool:
    """Tell whether a row is about the job's current attempt.

    A native id is not an identity: batch systems hand ids out again. Token, id and submit
    time must agree as far as both sides know them; the submit time may be later after a restart.
    """
    if seen.token != job.token or not job.token:
        return False
    if job.native_id is not None and seen.native_id not in (None, job.native_id):
        return False
    if job.native_submitted_at is None or seen.submitted_at is None:
        return True
    later = seen.submitted_at - job.native_submitted_at
    if (seen.restart or 0) > job.restart:
        return later >= -CLOCK_SLACK_S
    return abs(later) <= CLOCK_SLACK_S or (bool(seen.restart) and later > 0)


def events_of(job: JobRecord, seen: Observation, *, settle_s: float) -> tuple[e.Event, ...]:
    """Turn a row into facts.

    Args:
        job: The record as it is now.
        seen: The row.
        settle_s: How long the second channel may take once one has told the end.

    Returns:
        Facts in order, each legal after the one before. Empty if the row says nothing new.
    """
    if job.state in _MOVING:
        # Before its submission an attempt bears no token that could be compared.
        return _progress(job, seen) if seen.token == (job.token or seen.token) else ()
    if job.state not in _OPEN or not is_about(job, seen):
        return ()
    restart = job.restart if seen.restart is None else seen.restart
    if restart < job.restart:
        return ()
    moves = _moves(job, seen, restart, settle_s)
    return moves + _notes(job, seen, moves)


def _moves(job: JobRecord, seen: Observation, restart: int, settle_s: float) -> tuple[e.Event, ...]:
    match seen.phase:
        case Phase.QUEUED:
            return _seen_queued(job, seen, restart)
        case Phase.RUNNING:
            return _seen_running(job, seen, restart)
        case Phase.SUSPENDED:
            return _seen_suspended(job, seen, restart)
        case Phase.ENDED:
            return _seen_ended(job, seen, restart, settle_s)
        case Phase.UNRUN:
            return _seen_unrun(job, seen, restart)
        case Phase.UNKNOWN:
            return ()


def _notes(job: JobRecord, seen: Observation, moves: tuple[e.Event, ...]) -> tuple[e.Event, ...]:
    if any(isinstance(move, e.Ended | e.Withdrawn) for move in moves):
        return ()
    notes: list[e.Event] = []
    told = any(isinstance(move, e.Started) for move in moves)
    if seen.native_state and seen.native_state != job.native_state and not told:
        notes.append(
            e.NativeStateSeen(
                at=seen.at,
                attempt=job.attempt,
                native_state=seen.native_state,
                source=seen.source,
            )
        )
    if seen.hold is not None and seen.hold != job.hold:
        notes.append(e.HoldsSeen(at=seen.at, hold=seen.hold))
    return (*notes, *_progress(job, seen))


def _progress(job: JobRecord, seen: Observation) -> tuple[e.Event, ...]:
    new = seen.progress
    if new is None or (job.progress is not None and new.at <= job.progress.at):
        return ()
    return (e.ProgressMade(at=seen.at, attempt=job.attempt, progress=new),)


def _accepted(job: JobRecord, seen: Observation) -> tuple[e.Event, ...]:
    if job.state not in (State.SUBMITTING, State.LOST) or seen.native_id is None:
        return ()
    return (
        e.Accepted(
            at=seen.at,
            attempt=job.attempt,
            native_id=seen.native_id,
            submitted_at=seen.submitted_at,
            source=seen.source,
        ),
    )


def _restarted(job: JobRecord, seen: Observation, restart: int) -> tuple[e.Event, ...]:
    if restart == job.restart or job.state in (State.SUBMITTING, State.LOST):
        return ()
    return (e.Restarted(at=seen.at, attempt=job.attempt, restart=restart, source=seen.source),)


def _started(job: JobRecord, seen: Observation, restart: int) -> e.Started:
    return e.Started(
        at=seen.at if seen.started_at is None else seen.started_at,
        attempt=job.attempt,
        source=seen.source,
        restart=restart,
        native_id=seen.native_id,
        native_state=seen.native_state,
    )


def _is_news(job: JobRecord, seen: Observation) -> bool:
    return job.observed_at is None or seen.at > job.observed_at


def _is_old(job: JobRecord, seen: Observation) -> bool:
    return job.observed_at is not None and seen.at < job.observed_at


def _seen_queued(job: JobRecord, seen: Observation, restart: int) -> tuple[e.Event, ...]:
    return _accepted(job, seen) or _restarted(job, seen, restart)


def _seen_running(job: JobRecord, seen: Observation, restart: int) -> tuple[e.Event, ...]:
    if _is_known_start(job, seen, restart):
        return ()
    if job.state in _BEFORE_START:
        return (
            *_accepted(job, seen),
            *_restarted(job, seen, restart),
            _started(job, seen, restart),
        )
    again = _restarted(job, seen, restart)
    if again:
        return (*again, _started(job, seen, restart))
    if job.state is State.SUSPENDED and _is_news(job, seen):
        return (e.Resumed(at=seen.at, attempt=job.attempt),)
    return ()


def _is_known_start(job: JobRecord, seen: Observation, restart: int) -> bool:
    """Tell whether it is the record of a start that was known before the job was lost.

    It lies in the folder for good, and says nothing of what became of the job.
    """
    lost = job.state is State.LOST and job.started_at is not None
    return lost and seen.source is Source.EXIT_RECORD and restart == job.restart


def _seen_suspended(job: JobRecord, seen: Observation, restart: int) -> tuple[e.Event, ...]:
    running = () if job.state is State.SUSPENDED else _seen_running(job, seen, restart)
    # Of one instant, in whatever order it is told, the stop counts: a job runs before it is
    # stopped, and servers tell whole seconds.
    if not running and (job.state is not State.RUNNING or _is_old(job, seen)):
        return ()
    by = seen.suspended_by or frozenset()
    return (*running, e.Suspended(at=seen.at, attempt=job.attempt, by=by))


def _seen_ended(
    job: JobRecord, seen: Observation, restart: int, settle_s: float
) -> tuple[e.Event, ...]:
    report = seen.end
    if report is None or report in job.reports:
        return ()
    if job.state is State.LOST and report.reason is Reason.LOST:
        return ()
    before: tuple[e.Event, ...] = _accepted(job, seen) + _restarted(job, seen, restart)
    never_started = job.state in _BEFORE_START or bool(_restarted(job, seen, restart))
    if never_started and report.started is Started.YES and seen.started_at is not None:
        before += (_started(job, seen, restart),)
    fresh = restart > job.restart
    kept = tuple(r for r in job.reports if r.source is not report.source and not fresh)
    outcome = judge(job, (*kept, report))
    if outcome is None:
        if job.state is State.COMPLETING and any(r.source is report.source for r in job.reports):
            return ()
        return (
            *before,
            e.EndReported(
                at=seen.at,
                attempt=job.attempt,
                report=report,
                settle_at=seen.at + settle_s,
                restart=restart,
            ),
        )
    # The wrapper saw it end; a scheduler tells whole seconds, some time later.
    at = next((r.at for r in (*kept, report) if r.source is Source.EXIT_RECORD), report.at)
    return (*before, end_of(job, outcome, at))


def _seen_unrun(job: JobRecord, seen: Observation, restart: int) -> tuple[e.Event, ...]:
    waits = job.state in (State.SUBMITTING, State.QUEUED, State.COMPLETING)
    runs = job.state in (State.RUNNING, State.SUSPENDED) and restart > job.restart
    if not waits and not runs:
        return ()
    if any(request.verb.ends_job for request in job.pending):
        return (end_of(job, unrun_outcome(job, Reason.CANCELLED), seen.at),)
    if restart > 0:
        # It is the restart that did not run. What ran before it was taken off its node.
        outcome = Outcome(
            reason=Reason.PREEMPTED,
            started=Started.UNKNOWN,
            message="it was to be run again, and its attempt had been closed",
            evidence=job.reports,
        )
        return (end_of(job, outcome, seen.at),)
    why = "its wrapper left without running it"
    # Most reasons pass. One that stays would have it handed over again and again.
    ready_at = seen.at + 2.0 ** min(job.uncounted, 9) if job.uncounted else None
    return (
        e.Withdrawn(
            at=seen.at,
            attempt=job.attempt,
            why=f"{why}: {seen.native_state}" if seen.native_state else why,
            ready_at=ready_at,
        ),
    )


def unrun_outcome(job: JobRecord, reason: Reason, message: str = "") -> Outcome:
    """Make the outcome of an attempt that does not run: as far as one knows, it never did."""
    if reason is Reason.CANCELLED and job.ending is not None:
        reason = job.ending
    started = Started.UNKNOWN if may_have_run(job) else Started.NO
    return Outcome(reason=reason, started=started, message=message, evidence=job.reports)


def end_of(job: JobRecord, outcome: Outcome, at: float) -> e.Ended | e.StagingOutStarted:
    """Make the fact that ends an attempt: by a retry, by fetching its outputs, or for good."""
    again = retry_at(job, outcome, at)
    ran = outcome.started is Started.YES and outcome.reason in (Reason.EXITED, Reason.SIGNALLED)
    if again is None and ran and job.spec.outputs and job.state is not State.STAGING_OUT:
        return e.StagingOutStarted(at=at, attempt=job.attempt, outcome=outcome)
    return e.Ended(at=at, attempt=job.attempt, outcome=outcome, retry_at=again)


__all__ = ["Source", "end_of", "events_of", "is_about", "unrun_outcome"]
