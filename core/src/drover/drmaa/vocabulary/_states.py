"""States in both directions: Drover's as DRMAA words, and DRMAA words as a backend sees them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from drover.drmaa.vocabulary._words import JobControlAction, JobState
from drover.models import SYSTEM, USER, JobRecord, Phase, Reason, Verb
from drover.states import ENDED, State

STATUS_OF: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.NEW: JobState.QUEUED_ACTIVE,
        State.VALIDATING: JobState.QUEUED_ACTIVE,
        State.AWAITING_APPROVAL: JobState.SYSTEM_ON_HOLD,
        State.WAITING: JobState.QUEUED_ACTIVE,
        State.STAGING_IN: JobState.QUEUED_ACTIVE,
        State.SUBMITTING: JobState.QUEUED_ACTIVE,
        State.QUEUED: JobState.QUEUED_ACTIVE,
        State.RUNNING: JobState.RUNNING,
        State.SUSPENDED: JobState.USER_SUSPENDED,
        State.COMPLETING: JobState.RUNNING,
        State.SLEEPING: JobState.SYSTEM_ON_HOLD,
        State.STAGING_OUT: JobState.RUNNING,
        State.SUCCEEDED: JobState.DONE,
        State.FAILED: JobState.FAILED,
        State.CANCELLED: JobState.FAILED,
        State.LOST: JobState.UNDETERMINED,
    }
)
"""The word for each state where nothing else is known: no hold, no reason of its end."""

HELD_BY: Final[Mapping[frozenset[str], str]] = MappingProxyType(
    {
        frozenset(): JobState.QUEUED_ACTIVE,
        frozenset({USER}): JobState.USER_ON_HOLD,
        frozenset({SYSTEM}): JobState.SYSTEM_ON_HOLD,
        frozenset({USER, SYSTEM}): JobState.USER_SYSTEM_ON_HOLD,
    }
)
"""The word for a job that does not run, by who holds it."""

STOPPED_BY: Final[Mapping[frozenset[str], str]] = MappingProxyType(
    {
        frozenset(): JobState.USER_SUSPENDED,
        frozenset({USER}): JobState.USER_SUSPENDED,
        frozenset({SYSTEM}): JobState.SYSTEM_SUSPENDED,
        frozenset({USER, SYSTEM}): JobState.USER_SYSTEM_SUSPENDED,
    }
)
"""The word for a suspended job, by who stopped it."""

ENDED_AS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.EXITED: JobState.DONE,
        Reason.SIGNALLED: JobState.DONE,
        Reason.OUT_OF_MEMORY: JobState.DONE,
        Reason.WALL_TIME: JobState.DONE,
        Reason.PREEMPTED: JobState.FAILED,
        Reason.NODE_LOST: JobState.FAILED,
        Reason.LAUNCH_FAILED: JobState.FAILED,
        Reason.REFUSED: JobState.FAILED,
        Reason.STAGING_FAILED: JobState.FAILED,
        Reason.DEPENDENCY_FAILED: JobState.FAILED,
        Reason.REJECTED: JobState.FAILED,
        Reason.DEADLINE: JobState.FAILED,
        Reason.EXPIRED: JobState.FAILED,
        Reason.CANCELLED: JobState.FAILED,
        Reason.LOST: JobState.UNDETERMINED,
    }
)
"""The word for a job that has ended, by why.

`done` says that the command came to its own end, and nothing of its exit code, as on Grid Engine:
jobs that exit with 3, are killed by a signal or by a limit are `done`; `failed` are those that
never ran or were ended from outside. The exit code is what `wait` tells.
"""

VERB_OF: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        JobControlAction.SUSPEND: Verb.SUSPEND,
        JobControlAction.RESUME: Verb.RESUME,
        JobControlAction.HOLD: Verb.HOLD,
        JobControlAction.RELEASE: Verb.RELEASE,
        JobControlAction.TERMINATE: Verb.CANCEL,
    }
)
"""What a control action is in Drover."""

_OPEN: Final = frozenset(State) - ENDED
ALLOWED: Final[Mapping[str, frozenset[State]]] = MappingProxyType(
    {
        JobControlAction.SUSPEND: frozenset({State.RUNNING}),
        JobControlAction.RESUME: frozenset({State.SUSPENDED}),
        JobControlAction.HOLD: _OPEN,
        JobControlAction.RELEASE: _OPEN,
        JobControlAction.TERMINATE: _OPEN,
    }
)
"""The states in which a control action makes sense. In others it raises its own exception."""


@frozen(kw_only=True)
class Seen:
    """What a backend has seen of a job if DRMAA tells it one of its words."""

    phase: Phase
    hold: frozenset[str] | None = None
    """Who holds it; `None`: the word does not say."""
    suspended_by: frozenset[str] | None = None


_BOTH: Final = frozenset({USER, SYSTEM})
SEEN_AS: Final[Mapping[str, Seen]] = MappingProxyType(
    {
        JobState.UNDETERMINED: Seen(phase=Phase.UNKNOWN),
        JobState.QUEUED_ACTIVE: Seen(phase=Phase.QUEUED, hold=frozenset()),
        JobState.SYSTEM_ON_HOLD: Seen(phase=Phase.QUEUED, hold=frozenset({SYSTEM})),
        JobState.USER_ON_HOLD: Seen(phase=Phase.QUEUED, hold=frozenset({USER})),
        JobState.USER_SYSTEM_ON_HOLD: Seen(phase=Phase.QUEUED, hold=_BOTH),
        JobState.RUNNING: Seen(phase=Phase.RUNNING),
        JobState.SYSTEM_SUSPENDED: Seen(phase=Phase.SUSPENDED, suspended_by=frozenset({SYSTEM})),
        JobState.USER_SUSPENDED: Seen(phase=Phase.SUSPENDED, suspended_by=frozenset({USER})),
        JobState.USER_SYSTEM_SUSPENDED: Seen(phase=Phase.SUSPENDED, suspended_by=_BOTH),
        JobState.DONE: Seen(phase=Phase.ENDED),
        JobState.FAILED: Seen(phase=Phase.ENDED),
    }
)
"""DRMAA's words as a backend reads them. On Grid Engine a job that was held while it ran is told
as on hold and runs; `done` and `failed` say nothing of the exit code."""


def job_status(job: JobRecord, now: float) -> str:
    """Give DRMAA's word for where a job is.

    Args:
        job: Its record.
        now: Seconds since 1970 UTC. A job that waits for an instant is on hold by the system
            until then, as on Grid Engine.
    """
    if job.state is State.SUSPENDED:
        return STOPPED_BY[job.suspended_by & _BOTH]
    if job.state is State.FAILED and job.outcome is not None:
        word = ENDED_AS[job.outcome.reason]
        return JobState.FAILED if word == JobState.UNDETERMINED else word
    usual = STATUS_OF[job.state]
    if usual not in HELD_BY.values():
        return usual
    waits = (
        usual == JobState.SYSTEM_ON_HOLD
        or (job.ready_at or 0.0) > now
        or bool(job.spec.after and not job.dependencies_met)
    )
    return HELD_BY[(job.hold & _BOTH) | (frozenset({SYSTEM}) if waits else frozenset())]
