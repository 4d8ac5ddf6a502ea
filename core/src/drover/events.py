"""The facts of a job's life. Each is frozen data in the past tense and carries its own time.

A fact about an attempt names it: what comes late about an older attempt, or an older restart
of the same attempt, is recorded and moves nothing.
"""

from typing import Final

from attrs import frozen

from drover.models import (
    EndReport,
    JobSpec,
    Outcome,
    Predecessor,
    Progress,
    Request,
    Source,
    Verdict,
)
from drover.states import State


@frozen(kw_only=True)
class Event:
    """Be a fact. Never made itself."""

    at: float
    """When it happened, seconds since 1970 UTC."""


@frozen(kw_only=True)
class AttemptEvent(Event):
    """Be a fact about one attempt. Never made itself."""

    attempt: int


@frozen(kw_only=True)
class Submitted(Event):
    """A user handed a job in, or a whole array (`spec.array`). Makes the record."""

    spec: JobSpec
    backend: str
    key: str | None = None
    allow: tuple[str, ...] = ()
    base_digest: str = ""


@frozen(kw_only=True)
class ValidationStarted(Event):
    """A policy or a server began to check the job."""

    by: str


@frozen(kw_only=True)
class Validated(Event):
    """The check went well."""

    by: str


@frozen(kw_only=True)
class ApprovalNeeded(Event):
    """A person must say yes."""

    message: str = ""


@frozen(kw_only=True)
class Approved(Event):
    """A person said yes."""

    by: str


@frozen(kw_only=True)
class Deferred(Event):
    """The engine looked at the job and it has to wait."""

    why: str
    until: float | None = None


@frozen(kw_only=True)
class DependenciesMet(Event):
    """All jobs in `after` have come to what was asked of them, or the backend sees to it."""

    predecessors: tuple[Predecessor, ...] = ()
    """Those that the backend sees to."""


@frozen(kw_only=True)
class StagingInStarted(AttemptEvent):
    """Inputs are on their way."""


@frozen(kw_only=True)
class StagedIn(AttemptEvent):
    """Inputs are there."""


@frozen(kw_only=True)
class SubmitIntended(AttemptEvent):
    """The backend is about to be called. `attempt` may open a new, uncounted one."""

    token: str
    batch: str


@frozen(kw_only=True)
class Accepted(AttemptEvent):
    """The backend has the attempt."""

    native_id: str
    submitted_at: float | None = None
    source: Source = Source.SERVER


@frozen(kw_only=True)
class AnswerLost(AttemptEvent):
    """Nobody knows whether the backend has the attempt."""

    message: str = ""


@frozen(kw_only=True)
class Withdrawn(AttemptEvent):
    """The attempt never ran and never will; the job waits again, for an uncounted attempt."""

    why: str
    ready_at: float | None = None


@frozen(kw_only=True)
class AttemptClosed(AttemptEvent):
    """The claim of the attempt is closed: what bears its token can never start."""

    token: str
    why: str = ""


@frozen(kw_only=True)
class Started(AttemptEvent):
    """The command runs."""

    source: Source
    restart: int = 0
    native_id: str | None = None
    native_state: str = ""


@frozen(kw_only=True)
class Suspended(AttemptEvent):
    """It was stopped while running."""

    by: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Resumed(AttemptEvent):
    """It goes on."""


@frozen(kw_only=True)
class Restarted(AttemptEvent):
    """The scheduler put the same attempt back into its queue."""

    restart: int
    source: Source


@frozen(kw_only=True)
class HoldsSeen(Event):
    """Who holds the job, as set by a request or told by the backend."""

    hold: frozenset[str]
    asked: bool = False
    """Whether somebody asked drover for it: then it is the job's, and not the attempt's alone."""


@frozen(kw_only=True)
class NativeStateSeen(AttemptEvent):
    """The backend uses another word for the job's state."""

    native_state: str
    source: Source


@frozen(kw_only=True)
class ProgressMade(AttemptEvent):
    """The job told how far it is."""

    progress: Progress


@frozen(kw_only=True)
class EvidenceNoted(AttemptEvent):
    """Something was told that moves nothing: late, foreign or contradicting."""

    what: str
    report: EndReport | None = None


@frozen(kw_only=True)
class EndReported(AttemptEvent):
    """One channel told the end; the other has not spoken."""

    report: EndReport
    settle_at: float
    restart: int = 0


@frozen(kw_only=True)
class StagingOutStarted(AttemptEvent):
    """The command ended; outputs are on their way back."""

    outcome: Outcome


@frozen(kw_only=True)
class RunEnded(AttemptEvent):
    """One run of a periodic job ended; the next begins at `next_at`."""

    outcome: Outcome
    next_at: float


@frozen(kw_only=True)
class Woken(AttemptEvent):
    """A periodic job begins its next run."""


@frozen(kw_only=True)
class Ended(AttemptEvent):
    """The attempt is over."""

    outcome: Outcome
    retry_at: float | None = None
    """Another attempt opens, to be placed at this instant. `None`: none does."""


@frozen(kw_only=True)
class ControlAsked(Event):
    """Somebody asked something of the job."""

    request: Request


@frozen(kw_only=True)
class ControlSignalled(Event):
    """The backend passed the request on; its effect is not seen yet."""

    request_id: str
    message: str = ""


@frozen(kw_only=True)
class ControlSettled(Event):
    """Nothing more will come of the request."""

    request_id: str
    verdict: Verdict
    message: str = ""
    survivors: tuple[int, ...] = ()


@frozen(kw_only=True)
class RetryAsked(Event):
    """Somebody wants another attempt of a job that has ended. Opens it."""

    by: str
    may_run_twice: bool = False


@frozen(kw_only=True)
class Resolved(Event):
    """Somebody says how a LOST job ended."""

    state: State
    by: str
    why: str = ""


@frozen(kw_only=True)
class ClockSet(Event):
    """The machine's clock was set: what is counted from an earlier reading moves along."""

    seconds: float
    """How far, forwards if positive."""


EVENTS: Final[dict[str, type[Event]]] = {
    kind.__name__: kind
    for kind in (
        Submitted,
        ValidationStarted,
        Validated,
        ApprovalNeeded,
        Approved,
        Deferred,
        DependenciesMet,
        StagingInStarted,
        StagedIn,
        SubmitIntended,
        Accepted,
        AnswerLost,
        Withdrawn,
        AttemptClosed,
        Started,
        Suspended,
        Resumed,
        Restarted,
        HoldsSeen,
        NativeStateSeen,
        ProgressMade,
        EvidenceNoted,
        EndReported,
        StagingOutStarted,
        RunEnded,
        Woken,
        Ended,
        ControlAsked,
        ControlSignalled,
        ControlSettled,
        RetryAsked,
        Resolved,
        ClockSet,
    )
}
"""Every fact by name, as the journal writes it."""
