"""How an attempt ended, decided from what the channels say. One table, no guess."""

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from drover.models import (
    EndReport,
    JobRecord,
    Outcome,
    Reason,
    Source,
    Started,
    Usage,
    Verdict,
)

_SCHEDULER: Final = (Source.ACCOUNTING, Source.QUEUE)
_SCHEDULER_KNOWS: Final = frozenset(
    {Reason.OUT_OF_MEMORY, Reason.WALL_TIME, Reason.PREEMPTED, Reason.NODE_LOST, Reason.CANCELLED}
)
"""Reasons on which the scheduler's word beats the exit record's code: it did it."""


def judge(
    job: JobRecord,
    reports: Sequence[EndReport],
    *,
    settled: bool = False,
    claimed: bool | None = None,
) -> Outcome | None:
    """Decide how an attempt ended.

    Args:
        job: The record; its requests tell a cancel from a signal by chance.
        reports: What the channels said about this attempt and restart.
        settled: Whether the wait for the second channel is over.
        claimed: Whether the job's wrapper took the claim; `None` if nobody can tell.

    Returns:
        The outcome, or `None` while a channel is still to be heard.
    """
    for report in reports:
        if report.is_conclusive:
            return _outcome(job, report, reports)
    record = next((r for r in reports if r.source is Source.EXIT_RECORD), None)
    scheduler = _scheduler_of(reports)
    if record and scheduler:
        return _outcome(job, _merge(record, scheduler), reports)
    if not settled:
        return None
    if record:
        return _outcome(job, record, reports)
    if scheduler:
        return _scheduler_alone(job, scheduler, reports, claimed=claimed)
    return lost("no channel told its end", reports)


def _scheduler_of(reports: Sequence[EndReport]) -> EndReport | None:
    """Make one word of the scheduler's two: accounting's, with what only the queue told."""
    told = [r for source in _SCHEDULER for r in reports if r.source is source]
    if not told:
        return None
    reason = next((r.reason for r in told if r.reason in _SCHEDULER_KNOWS), told[0].reason)
    usage = next((r.usage for r in told if r.usage is not None), None)
    return evolve(told[0], reason=reason, usage=usage)


def _merge(record: EndReport, scheduler: EndReport) -> EndReport:
    # What it says of an end that the record tells is no news, and may be less exact.
    reason, message = record.reason, record.message
    if scheduler.reason in _SCHEDULER_KNOWS:
        reason, message = scheduler.reason, message or scheduler.message
    return EndReport(
        source=record.source,
        at=record.at,
        exit_code=record.exit_code,
        signal=record.signal,
        core_dumped=record.core_dumped or scheduler.core_dumped,
        reason=reason,
        started=record.started,
        native_id=scheduler.native_id or record.native_id,
        usage=_merge_usage(record.usage, scheduler.usage),
        message=message,
        survivors=record.survivors or scheduler.survivors,
    )


def _merge_usage(first: Usage | None, second: Usage | None) -> Usage | None:
    """Take the scheduler's figures where it has some: it sees the whole process tree."""
    if first is None or second is None:
        return first or second
    return Usage(
        cpu_user_s=second.cpu_user_s if second.cpu_user_s is not None else first.cpu_user_s,
        cpu_system_s=second.cpu_system_s if second.cpu_system_s is not None else first.cpu_system_s,
        # Schedulers look now and then, and miss the peak of a short job.
        max_rss_bytes=max(first.max_rss_bytes or 0, second.max_rss_bytes or 0) or None,
        wall_s=first.wall_s if first.wall_s is not None else second.wall_s,
        host=first.host or second.host,
        nodes=second.nodes or first.nodes,
        energy_j=second.energy_j if second.energy_j is not None else first.energy_j,
    )


def _scheduler_alone(
    job: JobRecord, report: EndReport, reports: Sequence[EndReport], *, claimed: bool | None
) -> Outcome:
    outcome = _outcome(job, report, reports)
    if outcome.reason is Reason.EXITED and outcome.exit_code is None:
        return lost("the scheduler says that it ended, and not how", reports)
    if outcome.succeeded and not claimed:
        return lost(
            "the scheduler says that it ended well, but there is no sign that it ran", reports
        )
    if not outcome.succeeded and claimed is False and outcome.reason is Reason.EXITED:
        return Outcome(
            reason=Reason.LAUNCH_FAILED,
            started=Started.UNKNOWN if may_have_run(job) else Started.NO,
            exit_code=outcome.exit_code,
            message=report.message or "the job's wrapper never began",
            evidence=tuple(reports),
        )
    return outcome


def lost(why: str, reports: Sequence[EndReport] = ()) -> Outcome:
    """Make the outcome of a job of which nobody can say how it ended."""
    return Outcome(
        reason=Reason.LOST, started=Started.UNKNOWN, message=why, evidence=tuple(reports)
    )


def may_have_run(job: JobRecord) -> bool:
    """Tell whether an earlier restart of the attempt may have run, seen or not.

    Who sees a job in the queue sees the present restart, and a requeue between two looks is
    seen by nobody.
    """
    return job.restart > 0 or (job.spec.requeue and job.native_id is not None)


def _outcome(job: JobRecord, report: EndReport, reports: Sequence[EndReport]) -> Outcome:
    reason = report.reason
    if reason is None:
        reason = Reason.EXITED if report.signal is None else Reason.SIGNALLED
        if reason is Reason.SIGNALLED and _was_signalled(job):
            reason = Reason.CANCELLED
    if reason is Reason.CANCELLED and job.ending is not None:
        reason = job.ending
    unseen = report.started is Started.NO and may_have_run(job)
    return Outcome(
        reason=reason,
        started=Started.UNKNOWN if unseen else report.started,
        exit_code=report.exit_code,
        signal=report.signal,
        core_dumped=report.core_dumped,
        message=report.message,
        evidence=tuple(reports),
        usage=report.usage or Usage(),
    )


def _was_signalled(job: JobRecord) -> bool:
    return job.ending is Reason.CANCELLED or any(
        request.verb.ends_job and request.verdict is Verdict.SIGNALLED for request in job.pending
    )


def retry_at(job: JobRecord, outcome: Outcome, at: float) -> float | None:
    """Give the instant of the next attempt as the specification's `retry` has it.

    Returns:
        Seconds since 1970 UTC, or `None` if no attempt follows.
    """
    retry = job.spec.retry
    if (
        outcome.succeeded
        or retry.attempts <= job.counted_attempt
        or outcome.reason not in retry.on
        or job.ending is not None
        or any(request.verb.ends_job for request in job.pending)
    ):
        return None
    if retry.exit_codes and outcome.exit_code not in retry.exit_codes:
        return None
    return at + retry.delay_s(job.counted_attempt)
