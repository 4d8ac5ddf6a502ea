"""What a wrapper leaves in the attempt's folder: its start, its end, or that it ran nothing."""

from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from drover.commandline import wrapper
from drover.commandline.claims import Owner
from drover.commandline.processes import ProcessId
from drover.models import EndReport, Reason, Source, Started, Usage

_STARTED: Final = frozenset({Started.YES, Started.NO})


@frozen(kw_only=True)
class StartRecord:
    """The command runs, or ran."""

    owner: Owner
    at: float
    host: str
    process: ProcessId | None
    """The command's own process, on *host*."""
    own_session: bool = False
    """Whether it leads a session and a process group of its own."""


@frozen(kw_only=True)
class UnrunRecord:
    """A wrapper came, found that it must not run, and left."""

    owner: Owner
    at: float
    why: str


def read_exit_record(folder: Path, restart: int = 0, *, token: str = "") -> EndReport | None:
    """Read how the command ended by its wrapper's word.

    A record counts only if the claim that it names stands in the folder: what a stranger, a
    copy or a broken disk put there says nothing.

    Args:
        folder: The attempt's folder.
        restart: Which start of the attempt.
        token: The attempt's token; a record of another one is not ours. "" to take any.

    Returns:
        The report, with source EXIT_RECORD; `None` if there is no record that can be believed.
    """
    record = _read(folder, f"exit.{restart}.json")
    if record is None or not _is_ours(folder, record, restart, token):
        return None
    try:
        return _report(record)
    except (KeyError, TypeError, ValueError):
        return None


def read_start_record(folder: Path, restart: int = 0) -> StartRecord | None:
    """Read when and where the command was started; `None` if nobody says so."""
    record = _read(folder, f"start.{restart}.json")
    if record is None or not _is_ours(folder, record, restart, ""):
        return None
    try:
        return StartRecord(
            owner=_owner(record),
            at=float(record["started_at"]),
            host=str(record["host"]),
            process=ProcessId.read(record.get("process")),
            own_session=record.get("own_session") is True,
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_unrun_records(folder: Path) -> tuple[UnrunRecord, ...]:
    """List the wrappers that ran nothing, in the order in which they left."""
    found: list[UnrunRecord] = []
    for path in folder.glob("unrun.*.json"):
        record = _read(folder, path.name)
        try:
            if record is not None:
                at, why = float(record["at"]), str(record["why"])
                found.append(UnrunRecord(owner=_owner(record), at=at, why=why))
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(sorted(found, key=lambda record: record.at))


def _read(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        record = wrapper.read_json(str(folder / name))
    except OSError:
        return None
    if record is None or record.get("version") != wrapper.VERSION:
        return None
    return record


def _is_ours(folder: Path, record: dict[str, Any], restart: int, token: str) -> bool:
    index = record.get("claim")
    if not isinstance(index, int) or record.get("restart") != restart:
        return False
    if token and record.get("token") != token:
        return False
    try:
        claim = wrapper.read_claim(str(folder), index)
    except OSError:
        return False
    return claim is not None and claim["kind"] == "start" and claim["nonce"] == record.get("nonce")


def _owner(record: dict[str, Any]) -> Owner:
    native_id, restart = record["native_id"], record["restart"]
    if not isinstance(native_id, str) or not isinstance(restart, int):
        raise TypeError(native_id, restart)
    return Owner(native_id=native_id, restart=restart)


def _report(record: dict[str, Any]) -> EndReport:
    started = Started(record["started"])
    code, signal = _optional_int(record["exit_code"]), _optional_int(record["signal"])
    if started not in _STARTED or (started is Started.YES and (code is None) == (signal is None)):
        raise ValueError(started, code, signal)
    reason = None
    if started is Started.NO and signal is None:
        reason = Reason.LAUNCH_FAILED
    elif record.get("over") is True:
        reason = Reason.WALL_TIME
    elif record.get("cancelled") is True:
        reason = Reason.CANCELLED
    return EndReport(
        source=Source.EXIT_RECORD,
        at=float(record["ended_at"]),
        exit_code=code,
        signal=signal,
        core_dumped=record["core_dumped"] is True,
        reason=reason,
        started=started,
        native_id=_owner(record).native_id,
        usage=_usage(record),
        message=str(record["message"]),
    )


def _usage(record: dict[str, Any]) -> Usage | None:
    used = record.get("usage")
    if not isinstance(used, dict):
        return None
    entries = cast("dict[str, Any]", used)
    return Usage(
        cpu_user_s=float(entries["cpu_user_s"]),
        cpu_system_s=float(entries["cpu_system_s"]),
        max_rss_bytes=int(entries["max_rss_bytes"]),
        wall_s=float(entries["wall_s"]),
        host=str(record["host"]),
    )


def _optional_int(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(value)
