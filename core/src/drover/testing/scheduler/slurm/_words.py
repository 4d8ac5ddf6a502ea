"""Slurm's words: states, flags and their short forms.

Source: squeue(1) and sacct(1) of Slurm 22.05, "JOB STATE CODES".
"""

import signal
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The base state of a job: one at a time."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"

    @property
    def has_ended(self) -> bool:
        """Tell whether the job is over."""
        return self not in (State.PENDING, State.RUNNING, State.SUSPENDED)


class Flag(StrEnum):
    """What is shown in place of the base state, the first that is set."""

    COMPLETING = "COMPLETING"
    STAGE_OUT = "STAGE_OUT"
    CONFIGURING = "CONFIGURING"
    RESIZING = "RESIZING"
    REQUEUED = "REQUEUED"
    REQUEUE_FED = "REQUEUE_FED"
    REQUEUE_HOLD = "REQUEUE_HOLD"
    SPECIAL_EXIT = "SPECIAL_EXIT"
    STOPPED = "STOPPED"
    REVOKED = "REVOKED"
    RESV_DEL_HOLD = "RESV_DEL_HOLD"
    SIGNALING = "SIGNALING"


SHORT: Final = {
    "PENDING": "PD",
    "RUNNING": "R",
    "SUSPENDED": "S",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "PREEMPTED": "PR",
    "BOOT_FAIL": "BF",
    "DEADLINE": "DL",
    "OUT_OF_MEMORY": "OOM",
    "COMPLETING": "CG",
    "STAGE_OUT": "SO",
    "CONFIGURING": "CF",
    "RESIZING": "RS",
    "REQUEUED": "RQ",
    "REQUEUE_FED": "RF",
    "REQUEUE_HOLD": "RH",
    "SPECIAL_EXIT": "SE",
    "STOPPED": "ST",
    "REVOKED": "RV",
    "RESV_DEL_HOLD": "RD",
    "SIGNALING": "SI",
}
"""Every word with its short form."""

PRIORITY: Final = 4294901759
"""Of a job that nobody has held."""

LONG: Final = {short: word for word, short in SHORT.items()}


def state_word(text: str) -> str | None:
    """Read a state as users write it, long or short; `None` if there is none such."""
    upper = text.upper()
    return LONG.get(upper, upper if upper in SHORT else None)


def signal_number(text: str) -> int:
    """Read a signal by number or name, with or without SIG; 0 if there is none such."""
    if text.isdigit():
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else 0
