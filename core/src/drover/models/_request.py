"""What people ask of a job that is there already, and what came of it."""

from enum import StrEnum

from attrs import frozen

from drover.models._outcome import Outcome


class Verb(StrEnum):
    """A request that a backend may have to carry out."""

    CANCEL = "cancel"
    """End it: TERM, then after a grace KILL, the whole process tree."""
    TERMINATE = "terminate"
    """TERM alone."""
    KILL = "kill"
    """KILL at once."""
    HOLD = "hold"
    RELEASE = "release"
    SUSPEND = "suspend"
    RESUME = "resume"
    REQUEUE = "requeue"
    """Let the scheduler run it again from its beginning, a restart of the same attempt. Only for
    jobs with `JobSpec.requeue`."""
    SIGNAL = "signal"
    RETRY = "retry"
    """Open another attempt of a LOST job, once its last attempt is closed."""

    @property
    def ends_job(self) -> bool:
        """Tell whether the request is settled by the job's end."""
        return self in (Verb.CANCEL, Verb.TERMINATE, Verb.KILL)


class Verdict(StrEnum):
    """How far a request has come."""

    ASKED = "asked"
    SIGNALLED = "signalled"
    """The backend has passed it on; the end is not seen yet."""
    DONE = "done"
    """It is so: for a cancel, the job is gone."""
    TOO_LATE = "too_late"
    """The job had ended by itself."""
    REFUSED = "refused"
    OVERDUE = "overdue"
    """Passed on, but no effect was seen in time."""

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing more will come of the request."""
        return self not in (Verdict.ASKED, Verdict.SIGNALLED)


@frozen(kw_only=True)
class Request:
    """One request for one job, durable until it is settled."""

    id: str
    verb: Verb
    by: str
    """Who asked: a user's name, or `engine` with the reason in `why`."""
    at: float
    """Seconds since 1970 UTC."""
    why: str = ""
    grace_s: float | None = None
    """Seconds between TERM and KILL. `None`: the backend's default."""
    signal: int | None = None
    may_run_twice: bool = False
    verdict: Verdict = Verdict.ASKED


@frozen(kw_only=True)
class CancelVerdict:
    """What a cancel, or another request, came to."""

    job: str
    verdict: Verdict
    verb: Verb = Verb.CANCEL
    outcome: Outcome | None = None
    """The outcome, once the job has ended."""
    message: str = ""
    survivors: tuple[int, ...] = ()
    """Process ids that are still there."""

    @property
    def gone(self) -> bool:
        """Tell whether the job no longer runs, by whatever cause."""
        return self.verdict in (Verdict.DONE, Verdict.TOO_LATE) and not self.survivors

    def __str__(self) -> str:
        text = {
            Verdict.ASKED: "asked, no answer yet",
            Verdict.SIGNALLED: "signalled, not gone yet",
            Verdict.DONE: "gone" if self.verb.ends_job else "done",
            Verdict.TOO_LATE: "too late, it had ended"
            + (f" with {self.outcome.describe()}" if self.outcome else ""),
            Verdict.REFUSED: "refused",
            Verdict.OVERDUE: "signalled, but not gone in time",
        }[self.verdict]
        if self.message:
            text += f": {self.message}"
        if self.survivors:
            text += f"; still there: {', '.join(map(str, self.survivors))}"
        return text
