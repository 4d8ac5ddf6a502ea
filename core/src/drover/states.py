"""The states of a job and the one table of moves between them.

Rules of this file:

1. Everything about which state may follow which lives here, and nowhere else.
2. The table is data. `drover.machine` computes a move and checks it here; the
   reference page and its diagram are drawn from here.
3. A row names the facts that may move a job out of that state. A fact that is
   not in the row and not in `NOTES` is refused, and a refused fact changes nothing.
4. Facts about an older attempt are journalled and move nothing, whatever they say.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a job is in its life. Each member says who leaves it, and what if nobody does."""

    # A member is its text; Enum's own hash is a Python function, 150 ns at each look into a set.
    __hash__ = str.__hash__

    NEW = "NEW"
    """Accepted into the store. The engine leaves it; with no engine it stays, durable."""

    VALIDATING = "VALIDATING"
    """A policy plugin or a server checks it. Its answer leaves it, or the deadline."""

    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    """A person must say yes. The approval leaves it, or its time limit (EXPIRED)."""

    WAITING = "WAITING"
    """For other jobs, a start time, a retry delay, a release, or its turn.
    The engine leaves it; a job behind a LOST one stays, and `wait()` names the blocker."""

    STAGING_IN = "STAGING_IN"
    """Inputs are on their way. The transfer leaves it; overdue it fails (STAGING_FAILED)."""

    SUBMITTING = "SUBMITTING"
    """The intent is durable, the backend is being called. Its answer leaves it; an
    unknown answer is settled by searching, by closing the attempt, or as LOST."""

    QUEUED = "QUEUED"
    """The backend has it. The backend leaves it; unlisted everywhere it ends as LOST."""

    RUNNING = "RUNNING"
    """It runs. The backend leaves it; unlisted everywhere it ends as LOST."""

    SUSPENDED = "SUSPENDED"
    """Stopped while running, by the user, the system or both. A resume leaves it."""

    COMPLETING = "COMPLETING"
    """One channel has told the end, the other not yet. The second channel leaves it,
    a settle time, or a restart."""

    SLEEPING = "SLEEPING"
    """A periodic job between two runs. Its timer leaves it."""

    STAGING_OUT = "STAGING_OUT"
    """Outputs are on their way back. The transfer leaves it; overdue it fails."""

    SUCCEEDED = "SUCCEEDED"
    """It ended with exit code 0 and its outputs are there. Final for this attempt."""

    FAILED = "FAILED"
    """It ended otherwise, and the outcome says how. Final for this attempt."""

    CANCELLED = "CANCELLED"
    """It ended because somebody asked for it. Final for this attempt."""

    LOST = "LOST"
    """Nobody can say how it ended. Ends `wait()`. Positive evidence on the current
    attempt leaves it, `drover resolve`, or a retry that was asked for."""

    @property
    def is_final(self) -> bool:
        """Tell whether the attempt is over for good (LOST is not: evidence may come)."""
        return self in FINAL

    @property
    def ends_wait(self) -> bool:
        """Tell whether `wait()` returns a job in this state."""
        return self in ENDED

    @property
    def is_placed(self) -> bool:
        """Tell whether a backend has, or may have, this job."""
        return self in PLACED


BY_WORD: Final[Mapping[str, State]] = MappingProxyType({state.value: state for state in State})
"""A state by its text, ten times faster than the call."""
FINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
ENDED: Final = FINAL | {State.LOST}
PLACED: Final = frozenset(
    {
        State.SUBMITTING,
        State.QUEUED,
        State.RUNNING,
        State.SUSPENDED,
        State.COMPLETING,
        State.SLEEPING,
    }
)
UNPLACED: Final = frozenset(
    {
        State.NEW,
        State.VALIDATING,
        State.AWAITING_APPROVAL,
        State.WAITING,
        State.STAGING_IN,
    }
)
"""States in which no backend has the job, unless it stages in by itself."""

_OVER = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
# An end that opens the next attempt goes to WAITING without passing FAILED.
_END = (*_OVER, State.WAITING, State.LOST)
_UNRUN_END = (State.FAILED, State.CANCELLED, State.WAITING)

TRANSITIONS: Final[Mapping[State, Mapping[str, tuple[State, ...]]]] = MappingProxyType(
    {
        State.NEW: {
            "ValidationStarted": (State.VALIDATING,),
            "ApprovalNeeded": (State.AWAITING_APPROVAL,),
            "Deferred": (State.WAITING,),
            "StagingInStarted": (State.STAGING_IN,),
            "SubmitIntended": (State.SUBMITTING,),
            "Ended": _UNRUN_END,
        },
        State.VALIDATING: {
            "Validated": (State.WAITING,),
            "ApprovalNeeded": (State.AWAITING_APPROVAL,),
            "Ended": _UNRUN_END,
        },
        State.AWAITING_APPROVAL: {
            "Approved": (State.WAITING,),
            "Ended": _UNRUN_END,
        },
        State.WAITING: {
            "StagingInStarted": (State.STAGING_IN,),
            "SubmitIntended": (State.SUBMITTING,),
            "Ended": _UNRUN_END,
        },
        State.STAGING_IN: {
            "StagedIn": (State.WAITING, State.QUEUED),
            "Started": (State.RUNNING,),
            "Ended": _END,
        },
        State.SUBMITTING: {
            "Accepted": (State.QUEUED,),
            "Withdrawn": (State.WAITING,),
            "Started": (State.RUNNING,),
            "EndReported": (State.COMPLETING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "Ended": _END,
        },
        State.QUEUED: {
            "StagingInStarted": (State.STAGING_IN,),
            "Started": (State.RUNNING,),
            "Restarted": (State.QUEUED,),
            "Withdrawn": (State.WAITING,),
            "EndReported": (State.COMPLETING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "Ended": _END,
        },
        State.RUNNING: {
            "Suspended": (State.SUSPENDED,),
            "Restarted": (State.QUEUED,),
            "EndReported": (State.COMPLETING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "RunEnded": (State.SLEEPING,),
            "Ended": _END,
        },
        State.SUSPENDED: {
            "Resumed": (State.RUNNING,),
            "Restarted": (State.QUEUED,),
            "EndReported": (State.COMPLETING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "Ended": _END,
        },
        State.COMPLETING: {
            "EndReported": (State.COMPLETING,),
            "Restarted": (State.QUEUED,),
            "Withdrawn": (State.WAITING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "RunEnded": (State.SLEEPING,),
            "Ended": _END,
        },
        State.SLEEPING: {
            "Woken": (State.QUEUED,),
            "Started": (State.RUNNING,),
            "Ended": _END,
        },
        State.STAGING_OUT: {
            "Ended": _END,
        },
        State.SUCCEEDED: {"RetryAsked": (State.WAITING,)},
        State.FAILED: {"RetryAsked": (State.WAITING,)},
        State.CANCELLED: {"RetryAsked": (State.WAITING,)},
        State.LOST: {
            "Accepted": (State.QUEUED,),
            "Started": (State.RUNNING,),
            "EndReported": (State.COMPLETING,),
            "StagingOutStarted": (State.STAGING_OUT,),
            "Ended": (*_OVER, State.WAITING),
            "Resolved": _OVER,
            "RetryAsked": (State.WAITING,),
        },
    }
)

NOTES: Final = frozenset(
    {
        "AnswerLost",
        "AttemptClosed",
        "ClockSet",
        "ControlAsked",
        "ControlSignalled",
        "ControlSettled",
        "DependenciesMet",
        "EvidenceNoted",
        "HoldsSeen",
        "NativeStateSeen",
        "ProgressMade",
    }
)
"""Facts that are recorded in any state and never move a job."""

CREATION: Final = "Submitted"
"""The one fact that makes a job; it has no state to leave."""
