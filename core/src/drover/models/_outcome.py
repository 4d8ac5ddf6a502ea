"""How a job ended, who says so, and what it used."""

from enum import StrEnum
from typing import Final

from attrs import field, frozen


class Started(StrEnum):
    """Tell whether the user's command was ever started."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a job ended: the same words on every backend."""

    EXITED = "EXITED"
    """The command came to its own end; `exit_code` says how."""
    SIGNALLED = "SIGNALLED"
    """A signal ended it, and nobody had asked drover for that."""
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    """It used more memory than it had asked for, or than there was."""
    WALL_TIME = "WALL_TIME"
    """It ran longer than `resources.wall_time`, or than the backend lets it."""
    PREEMPTED = "PREEMPTED"
    """The scheduler took its place for another job."""
    NODE_LOST = "NODE_LOST"
    """Its machine failed or was restarted; the command has run in part."""
    LAUNCH_FAILED = "LAUNCH_FAILED"
    """The command never ran: it is not there, or something that it needs is not."""
    REFUSED = "REFUSED"
    """The backend did not take it."""
    STAGING_FAILED = "STAGING_FAILED"
    """A file could not be brought to it, or back; `exit_code` stays the command's."""
    DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
    """A job in `after` did not come to what it had to."""
    REJECTED = "REJECTED"
    """A policy or a person said no."""
    DEADLINE = "DEADLINE"
    """Its `deadline` was over."""
    EXPIRED = "EXPIRED"
    """Nobody said yes in time."""
    CANCELLED = "CANCELLED"
    """Somebody asked for its end."""
    LOST = "LOST"
    """Nobody can say how it ended, or whether it has."""


class Source(StrEnum):
    """Who told a fact about a job."""

    QUEUE = "queue"
    ACCOUNTING = "accounting"
    EXIT_RECORD = "exit_record"
    AGENT = "agent"
    SERVER = "server"
    ENGINE = "engine"
    USER = "user"


CONCLUSIVE: Final = frozenset({Source.AGENT, Source.SERVER, Source.ENGINE, Source.USER})
"""Sources whose word on an end needs no second channel: they reaped the job themselves."""

RETRYABLE: Final = frozenset(
    {
        Reason.EXITED,
        Reason.SIGNALLED,
        Reason.OUT_OF_MEMORY,
        Reason.WALL_TIME,
        Reason.PREEMPTED,
        Reason.NODE_LOST,
        Reason.LAUNCH_FAILED,
        Reason.STAGING_FAILED,
    }
)
"""Reasons after which another attempt may be asked for in advance. LOST is not one:
nobody can say that it does not run."""


@frozen(kw_only=True)
class Usage:
    """What a job used. `None`: the backend does not tell.

    Times in seconds, memory in bytes.
    """

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_bytes: int | None = None
    wall_s: float | None = None
    host: str | None = None
    nodes: tuple[str, ...] = ()
    energy_j: float | None = None

    @property
    def cpu_s(self) -> float | None:
        """Sum user and system CPU seconds, or `None` if neither is known."""
        known = [part for part in (self.cpu_user_s, self.cpu_system_s) if part is not None]
        return sum(known) if known else None


@frozen(kw_only=True)
class EndReport:
    """What one channel says about the end of an attempt."""

    source: Source
    at: float
    """When it ended by this source's word, seconds since 1970 UTC."""
    exit_code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    reason: Reason | None = None
    """`None`: plainly exited or signalled, as `exit_code` and `signal` say."""
    started: Started = Started.YES
    native_id: str = ""
    usage: Usage | None = None
    message: str = ""
    survivors: tuple[int, ...] = ()
    """Process ids that outlived the job."""

    @property
    def is_conclusive(self) -> bool:
        """Tell whether this word alone decides the outcome."""
        return self.source in CONCLUSIVE


@frozen(kw_only=True)
class Outcome:
    """How an attempt ended. The same on every backend.

    `exit_code` and `signal` are never both set; both are `None` where the command did not
    run or nobody knows.
    """

    reason: Reason
    started: Started = Started.UNKNOWN
    exit_code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    message: str = ""
    evidence: tuple[EndReport, ...] = ()
    usage: Usage = field(factory=Usage)

    @property
    def succeeded(self) -> bool:
        """Tell whether the command exited with 0 and nothing around it failed."""
        return self.reason is Reason.EXITED and self.exit_code == 0

    @property
    def retryable(self) -> bool:
        """Tell whether another attempt could end otherwise and would run nothing twice."""
        unrun = self.started is Started.NO and self.reason is Reason.REFUSED
        return not self.succeeded and (self.reason in RETRYABLE or unrun)

    def describe(self) -> str:
        """Say in one line how it ended."""
        if self.reason is Reason.EXITED:
            text = f"exit code {self.exit_code}"
        elif self.reason is Reason.SIGNALLED:
            text = f"signal {self.signal}{' (core dumped)' if self.core_dumped else ''}"
        else:
            text = self.reason.value
            if self.exit_code is not None:
                text += f", exit code {self.exit_code}"
            if self.signal is not None:
                text += f", signal {self.signal}"
        return f"{text}: {self.message}" if self.message else text
