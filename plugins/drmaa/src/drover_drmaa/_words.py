"""Grid Engine's letters and numbers, and what each means here.

Source: qstat(1), "state"; sge_status(5) and accounting(5), "failed"; tried with 8.1.9.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from drover.models import SYSTEM, USER, Phase, Reason


@frozen(kw_only=True)
class State:
    """What the letters of a state say."""

    phase: Phase
    suspended_by: frozenset[str] | None = None
    is_held: bool = False
    is_failed: bool = False
    """It could not be begun, and waits for somebody to clear that."""
    is_leaving: bool = False
    """It was deleted, and its processes are ending."""


LETTERS: Final[Mapping[str, str]] = {
    "d": "deleted",
    "e": "leaving",
    "E": "error",
    "h": "held",
    "n": "not enrolled yet",
    "N": "suspended to make room",
    "P": "preempted",
    "q": "queued",
    "r": "running",
    "R": "run again",
    "s": "suspended by hand",
    "S": "suspended with its queue",
    "t": "on its way to a node",
    "T": "suspended over a threshold",
    "w": "waiting",
    "x": "ended",
    "z": "ended",
}
_BY_SYSTEM: Final = frozenset("STPN")


def state_of(letters: str) -> State:
    """Say what the letters of a state mean. Whatever they are, they mean something or UNKNOWN."""
    there = frozenset(letters)
    if not there or there - LETTERS.keys():
        return State(phase=Phase.UNKNOWN)
    if there & frozenset("zx"):
        return State(phase=Phase.ENDED)
    held = "h" in there
    if there & frozenset("de"):
        return State(phase=Phase.RUNNING, is_held=held, is_leaving=True)
    if "E" in there:
        return State(phase=Phase.QUEUED, is_held=held, is_failed=True)
    if there & frozenset("qwn") or there <= frozenset("hR"):
        return State(phase=Phase.QUEUED, is_held=held)
    by = frozenset({USER} if "s" in there else ()) | frozenset(
        {SYSTEM} if there & _BY_SYSTEM else ()
    )
    if by:
        return State(phase=Phase.SUSPENDED, suspended_by=by, is_held=held)
    return State(phase=Phase.RUNNING, is_held=held)


@frozen(kw_only=True)
class Failure:
    """What a number in the field `failed` of accounting says."""

    reason: Reason | None
    """`None`: the exit status tells."""
    is_end: bool = True
    """Whether the job has ended with it; else it is run again."""


_TOLD: Final = Failure(reason=None)
_UNBEGUN: Final = Failure(reason=Reason.LAUNCH_FAILED)
_AGAIN: Final = Failure(reason=None, is_end=False)

FAILURES: Final[Mapping[int, Failure]] = {
    0: _TOLD,
    1: _UNBEGUN,  # assumedly before job
    3: _UNBEGUN,  # before writing config
    4: _UNBEGUN,  # before writing pid
    5: _UNBEGUN,  # on reading config file
    6: _UNBEGUN,  # setting processor set
    7: _UNBEGUN,  # before prolog
    8: _UNBEGUN,  # in prolog
    9: _UNBEGUN,  # before pestart
    10: _UNBEGUN,  # in pestart
    11: _UNBEGUN,  # before job
    12: _TOLD,  # before pestop
    13: _TOLD,  # in pestop
    14: _TOLD,  # before epilog
    15: _TOLD,  # in epilog
    16: _TOLD,  # releasing processor set
    17: _TOLD,  # through signal
    18: _TOLD,  # shepherd returned error
    19: Failure(reason=Reason.NODE_LOST),  # before writing exit_status: the shepherd died
    20: _UNBEGUN,  # found unexpected error file
    21: _UNBEGUN,  # in recognizing job
    22: Failure(reason=Reason.NODE_LOST),  # the host of the job is gone
    24: _AGAIN,  # migrating
    25: _AGAIN,  # rescheduling
    26: _UNBEGUN,  # opening input/output file
    27: _UNBEGUN,  # searching requested shell
    28: _UNBEGUN,  # changing into working directory
    29: _UNBEGUN,  # AFS setup
    30: _UNBEGUN,  # application error returned: exit code 100, which no wrapper gives
    31: _UNBEGUN,  # accessing sgepasswd file
    32: _UNBEGUN,  # entry is missing in password file
    33: _UNBEGUN,  # wrong password
    34: _UNBEGUN,  # communicating with Grid Engine Helper Service
    35: _UNBEGUN,  # before job in Grid Engine Helper Service
    36: _UNBEGUN,  # checking configured daemons
    37: Failure(reason=Reason.WALL_TIME),  # master enforced h_rt, h_cpu or h_vmem limit
    38: _UNBEGUN,  # adding supplementary group
    100: _TOLD,  # assumedly after job: a signal ended it
}
"""By number. One that is not in here says nothing beside the exit status."""


def failure_of(number: int) -> Failure:
    """Say what a number in the field `failed` means."""
    return FAILURES.get(number, _TOLD)
