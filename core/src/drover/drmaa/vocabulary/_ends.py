"""How a job ended, as `wait` tells it."""

import signal
from typing import Final, NamedTuple

from drover.drmaa.vocabulary._faults import DrmaaException
from drover.models import JobRecord, Outcome, Reason

UNKNOWN_SIGNAL: Final = "unknown signal"
"""What GFD.133 has for a signal that has no name."""
_LIMITS: Final = frozenset({Reason.WALL_TIME, Reason.OUT_OF_MEMORY})


class UsageUnknown(DrmaaException):
    """A job has ended and nobody can say how: DRMAA's error 24, which has no class of its own.

    drmaa-python raises a plain `Exception` here and drops the job's id.
    """

    def __init__(self, job_id: str, why: str) -> None:
        self.jobId, self.why = job_id, why
        super().__init__(f"code 24: no usage information was returned for job {job_id!r}: {why}")

    def __reduce__(self) -> tuple[type["UsageUnknown"], tuple[str, str]]:
        # By default it would be made again from its message.
        return UsageUnknown, (self.jobId, self.why)


class JobInfo(NamedTuple):
    """How a job ended. Look at `hasExited` before `exitStatus`: it is 0 for all other ends."""

    jobId: str
    """Which; of several waited for the one that ended."""
    hasExited: bool
    """The command ended by itself, with `exitStatus`."""
    hasSignal: bool
    """A signal ended it, `terminatedSignal`."""
    terminatedSignal: str
    """`SIGKILL`...; empty where none did."""
    hasCoreDump: bool
    """The signal left a core."""
    wasAborted: bool
    """It never ran, or was ended from outside."""
    exitStatus: int
    """The exit code; 0 where it did not exit."""
    resourceUsage: dict[str, str]
    """Numbers as text with four decimals: seconds, seconds since 1970 UTC, kilobytes."""


def signal_name(number: int) -> str:
    """Name a signal as POSIX does."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return UNKNOWN_SIGNAL


def job_info(job: JobRecord) -> JobInfo:
    """Tell how a job ended.

    Args:
        job: One that ends a `wait()`.

    Raises:
        UsageUnknown: It is LOST.
    """
    outcome = job.outcome
    if outcome is None or outcome.reason is Reason.LOST:
        why = "it is LOST" if outcome is None else outcome.message or "it is LOST"
        raise UsageUnknown(job.id, why)
    exited, killed = _how(outcome)
    number = outcome.signal
    name = "" if not killed else UNKNOWN_SIGNAL if number is None else signal_name(number)
    return JobInfo(
        jobId=job.id,
        hasExited=exited,
        hasSignal=killed,
        terminatedSignal=name,
        hasCoreDump=killed and outcome.core_dumped,
        wasAborted=not exited and not killed,
        exitStatus=(outcome.exit_code or 0) if exited else 0,
        resourceUsage=_usage(job, outcome),
    )


def _how(outcome: Outcome) -> tuple[bool, bool]:
    """Tell whether a job exited by itself, and whether a signal ended it."""
    match outcome.reason:
        case Reason.EXITED:
            return outcome.exit_code is not None, outcome.exit_code is None
        case Reason.SIGNALLED:
            return False, True
        case reason if reason in _LIMITS:
            # One that was asked to go by a limit and went with 0 has not done its work.
            return bool(outcome.exit_code), not outcome.exit_code
        case _:
            return False, False


def _usage(job: JobRecord, outcome: Outcome) -> dict[str, str]:
    usage = outcome.usage
    status = outcome.exit_code
    if status is None and outcome.signal is not None:
        status = 128 + outcome.signal
    memory = usage.max_rss_bytes
    known: dict[str, float | None] = {
        "submission_time": job.submitted_at,
        "start_time": job.started_at,
        "end_time": job.ended_at,
        "exit_status": status,
        "signal": outcome.signal,
        "ru_wallclock": usage.wall_s,
        "ru_utime": usage.cpu_user_s,
        "ru_stime": usage.cpu_system_s,
        "ru_maxrss": None if memory is None else memory / 1024,
        "cpu": usage.cpu_s,
        "acct_cpu": usage.cpu_s,
        "energy_j": usage.energy_j,
    }
    return {name: f"{value:.4f}" for name, value in known.items() if value is not None}
