"""Slurm's words, and what each means here.

Source: squeue(1), "JOB STATE CODES", and job_state_string in src/common/slurm_protocol_defs.c,
22.05 to 24.11; job_state_flags are printed like states.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from drover.models import SYSTEM, USER, Phase, Reason


@frozen(kw_only=True)
class Meaning:
    """What a word for a state says."""

    phase: Phase
    reason: Reason | None = None
    """Of an end that the scheduler itself brought about."""
    is_leaving: bool = False
    """Its processes end or have ended, and how is not said yet."""


_QUEUED: Final = Meaning(phase=Phase.QUEUED)
_RUNNING: Final = Meaning(phase=Phase.RUNNING)
_SUSPENDED: Final = Meaning(phase=Phase.SUSPENDED)
_EXITED: Final = Meaning(phase=Phase.ENDED)
_UNKNOWN: Final = Meaning(phase=Phase.UNKNOWN)


def _ended(reason: Reason) -> Meaning:
    return Meaning(phase=Phase.ENDED, reason=reason)


MEANINGS: Final[Mapping[str, Meaning]] = {
    "PENDING": _QUEUED,
    "CONFIGURING": _QUEUED,
    "POWER_UP_NODE": _QUEUED,
    "REQUEUED": _QUEUED,
    "REQUEUE_HOLD": _QUEUED,
    "REQUEUE_FED": _QUEUED,
    "RESV_DEL_HOLD": _QUEUED,
    "SPECIAL_EXIT": _QUEUED,
    "RUNNING": _RUNNING,
    "RESIZING": _RUNNING,
    "SIGNALING": _RUNNING,
    "EXPEDITING": _QUEUED,
    "UPDATE_DB": _RUNNING,
    "STAGE_OUT": Meaning(phase=Phase.RUNNING, is_leaving=True),
    "COMPLETING": Meaning(phase=Phase.RUNNING, is_leaving=True),
    "SUSPENDED": _SUSPENDED,
    "STOPPED": _SUSPENDED,
    "COMPLETED": _EXITED,
    "FAILED": _EXITED,
    "LAUNCH_FAILED": _ended(Reason.LAUNCH_FAILED),
    "RECONFIG_FAIL": _ended(Reason.LAUNCH_FAILED),
    "CANCELLED": _ended(Reason.CANCELLED),
    "TIMEOUT": _ended(Reason.WALL_TIME),
    "DEADLINE": _ended(Reason.DEADLINE),
    "OUT_OF_MEMORY": _ended(Reason.OUT_OF_MEMORY),
    "NODE_FAIL": _ended(Reason.NODE_LOST),
    "BOOT_FAIL": _ended(Reason.NODE_LOST),
    "PREEMPTED": _ended(Reason.PREEMPTED),
    # Of a federation: it lives on in another cluster, of which nothing is known here.
    "REVOKED": _UNKNOWN,
}


def meaning(word: str) -> Meaning:
    """Say what a state's word means; `CANCELLED by 1000` is what accounting writes."""
    return MEANINGS.get(word.partition(" ")[0].rstrip("+"), _UNKNOWN)


_HOLDS: Final[Mapping[str, frozenset[str]]] = {
    "JobHeldUser": frozenset({USER}),
    "JobHeldAdmin": frozenset({SYSTEM}),
}
NEVER: Final[Mapping[str, str]] = {
    "PartitionConfig": "no node of the partition can ever hold what it asks for",
    "BadConstraints": "no node has what it asks for",
    "PartitionNodeLimit": "it asks for more nodes or time than the partition gives",
    "PartitionTimeLimit": "it asks for more time than the partition gives",
    "AssocMaxJobsLimit": "the account's limit of running jobs",
    "DependencyNeverSatisfied": "what it depends on ended otherwise",
    "AccountNotAllowed": "its account may not use the partition",
    "QOSNotAllowed": "its quality of service may not use the partition",
}
"""Reasons with which a job may wait for ever, in words for people."""


def holds(reason: str) -> frozenset[str]:
    """Say who holds a pending job, by the reason that it waits."""
    if "held" in reason and reason not in _HOLDS:
        return frozenset({SYSTEM})  # "launch failed requeued held", "job requeued in held state"
    return _HOLDS.get(reason, frozenset())
