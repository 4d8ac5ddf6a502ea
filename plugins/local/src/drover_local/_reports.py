"""Make observations of what the agent tells."""

import os
from typing import Any, Final

from drover.models import (
    USER,
    EndReport,
    Observation,
    Phase,
    Reason,
    Source,
    Started,
    Usage,
)
from drover_local._job import CANCEL, MEMORY, NO_CAUSE, TERMINATE, WALL_TIME
from drover_local._ledger import EXITED, LAUNCH_FAILED, LOST, NODE_LOST

_HOST: Final = os.uname().nodename
_HELD: Final = frozenset({USER})
_NOT_HELD: Final[frozenset[str]] = frozenset()
_PHASES: Final = {phase.value: phase for phase in Phase}
_CAUSES: Final = {
    NO_CAUSE: None,
    CANCEL: Reason.CANCELLED,
    TERMINATE: Reason.CANCELLED,
    WALL_TIME: Reason.WALL_TIME,
    MEMORY: Reason.OUT_OF_MEMORY,
}
_KINDS: Final = {
    LAUNCH_FAILED: (Reason.LAUNCH_FAILED, Started.NO),
    LOST: (Reason.LOST, Started.UNKNOWN),
    NODE_LOST: (Reason.NODE_LOST, Started.YES),
}


def read_row(row: list[Any]) -> Observation:
    """Make the observation of one of the agent's rows, see `Job.row`."""
    token, word, at, native_id, started_at, pid, held, end = row
    phase = _PHASES[word]
    if phase is Phase.ENDED:
        return Observation(
            token=token,
            phase=phase,
            source=Source.AGENT,
            at=at,
            native_id=native_id or None,
            started_at=started_at,
            end=read_end(end, native_id),
        )
    return Observation(
        token=token,
        phase=phase,
        source=Source.AGENT,
        at=at,
        native_id=native_id or None,
        native_state=f"pid {pid}" if pid else "",
        started_at=started_at,
        hold=None if held is None else _HELD if held else _NOT_HELD,
        suspended_by=_HELD if phase is Phase.SUSPENDED else None,
    )


def read_end(end: list[Any], native_id: str) -> EndReport:
    """Make the report of an end, see `end_of`."""
    kind, at, status, cause, usage, message, survivors = end
    if kind != EXITED:
        reason, started = _KINDS[kind]
        return EndReport(
            source=Source.AGENT,
            at=at,
            reason=reason,
            started=started,
            native_id=native_id,
            message=message,
        )
    exited = os.WIFEXITED(status)
    return EndReport(
        source=Source.AGENT,
        at=at,
        exit_code=os.WEXITSTATUS(status) if exited else None,
        signal=None if exited else os.WTERMSIG(status),
        core_dumped=not exited and os.WCOREDUMP(status),
        reason=_CAUSES[cause],
        native_id=native_id,
        usage=read_usage(usage),
        message=message,
        survivors=tuple(survivors),
    )


def read_usage(usage: list[Any] | None) -> Usage:
    """Make the usage; memory up to the agent's own size is told as that size."""
    if usage is None:
        return Usage(host=_HOST)
    user_s, system_s, wall_s, max_rss = usage
    return Usage(
        cpu_user_s=user_s,
        cpu_system_s=system_s,
        wall_s=wall_s,
        max_rss_bytes=max_rss,
        host=_HOST,
    )
