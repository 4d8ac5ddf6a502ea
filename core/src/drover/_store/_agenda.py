"""When a job wants to be looked at."""

from typing import Final

from drover import machine
from drover.instructions import (
    AdmitJob,
    DecideEnd,
    EndAt,
    ForgetJob,
    SettleRequest,
    StageIn,
    SubmitJob,
    WakeJob,
)
from drover.models import JobRecord
from drover.states import State

_TIMED: Final = (DecideEnd, EndAt, ForgetJob, SettleRequest, WakeJob)
_UNTIMED: Final = frozenset({State.SUBMITTING, State.QUEUED, State.RUNNING, State.SUSPENDED})
"""States in which nothing but a request or a deadline has its time."""
LOOK_AGAIN_S: Final = 1.0


def agenda(job: JobRecord, now: float) -> tuple[int | None, float | None]:
    """Say whether it is the job's turn to be looked at, and when it wants to be woken.

    Returns:
        1 or `None`; the earliest instant at which something falls due, or `None`.
    """
    if job.state in _UNTIMED and not job.pending and job.spec.deadline is None:
        return None, None
    turn: int | None = None
    wakes: list[float] = []
    for order in machine.owed(job):
        if isinstance(order, SubmitJob | StageIn):
            if order.at is not None and order.at > now:
                wakes.append(order.at)
            elif job.state is not State.STAGING_IN:
                turn = 1
        elif isinstance(order, AdmitJob):
            turn = 1
        elif isinstance(order, _TIMED) and order.at is not None:
            # What is due and still owed could not be done now: look again soon, not at once.
            wakes.append(order.at if order.at > now else now + LOOK_AGAIN_S)
    return turn, min(wakes, default=None)
