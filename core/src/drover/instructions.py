"""What a job owes the world: orders from the machine to the engine, in the imperative.

They are derived from the job's record alone, so an engine that starts after a crash knows
from the store what is to be done. `at` is the instant before which it is not due,
seconds since 1970 UTC; `None` is now.
"""

from attrs import frozen

from drover.models import Reason, Request, Verdict


@frozen(kw_only=True)
class Instruction:
    """Be an order. Never made itself."""


@frozen(kw_only=True)
class AdmitJob(Instruction):
    """Look at a new job: ask policies, and let it wait for what it has to wait for."""


@frozen(kw_only=True)
class AwaitDependencies(Instruction):
    """Watch the jobs in `after`."""


@frozen(kw_only=True)
class StageIn(Instruction):
    """Bring its inputs."""

    at: float | None = None


@frozen(kw_only=True)
class SubmitJob(Instruction):
    """Hand it to the backend."""

    at: float | None = None


@frozen(kw_only=True)
class SettleSubmission(Instruction):
    """Find out whether the backend has it."""


@frozen(kw_only=True)
class WatchJob(Instruction):
    """Observe it."""


@frozen(kw_only=True)
class DecideEnd(Instruction):
    """Stop waiting for the second channel."""

    at: float


@frozen(kw_only=True)
class StageOut(Instruction):
    """Bring its outputs back."""


@frozen(kw_only=True)
class CarryOut(Instruction):
    """Pass a request on to the backend."""

    request: Request


@frozen(kw_only=True)
class EndUnplaced(Instruction):
    """End a job that no backend has."""

    request: Request


@frozen(kw_only=True)
class PlaceHold(Instruction):
    """Hold a job that no backend has."""

    request: Request


@frozen(kw_only=True)
class LiftHold(Instruction):
    """Release a job that no backend has."""

    request: Request


@frozen(kw_only=True)
class SettleRequest(Instruction):
    """Record that nothing more will come of a request."""

    request: Request
    verdict: Verdict
    why: str = ""
    at: float | None = None


@frozen(kw_only=True)
class CloseAttempt(Instruction):
    """Make it impossible that the current attempt ever starts."""

    request: Request | None = None


@frozen(kw_only=True)
class OpenRetry(Instruction):
    """Open the next attempt of a LOST job, as asked."""

    request: Request


@frozen(kw_only=True)
class EndAt(Instruction):
    """End it at an instant, for this reason."""

    at: float
    reason: Reason


@frozen(kw_only=True)
class WakeJob(Instruction):
    """Begin the next run of a periodic job."""

    at: float


@frozen(kw_only=True)
class ForgetJob(Instruction):
    """Delete it and what it left."""

    at: float
