"""Ask accounting with qacct: how jobs ended that have left the queue, and what they used."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final

from attrs import evolve

from drover.commandline import Command, Known, Row
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import EndReport, Phase, Reason, Source, Usage
from drover_drmaa._names import SEPARATOR, key_of
from drover_drmaa._qstat import said
from drover_drmaa._words import failure_of

MOST_ASKED: Final = 8
"""Up to so many submissions are asked for one by one; more by what their keys begin with. Each
question reads the whole file."""
_RULE: Final = "=" * 62
_NOT_FOUND: Final = re.compile(r"job (?:id|name) .*not found", re.IGNORECASE)
_OFF: Final = re.compile(r"no such file|No jobs running since|Permission denied", re.IGNORECASE)
_UNITS: Final[Mapping[str, float]] = {
    "": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
}  # fmt: skip
_NEVER: Final = frozenset({"-/-", "NONE", "undefined", ""})


class AccountingOffError(UnreachableError):
    """There are no accounts that can be read here."""


def commands(user: str, known: Sequence[Known], timeout_s: float) -> list[Command]:
    """Ask for jobs that have left the queue, in as few questions as possible."""
    ids = list(dict.fromkeys(entry.submission or entry.native_id for entry in known))
    if len(ids) <= MOST_ASKED:
        return [_command(("-j", one), timeout_s) for one in ids]
    first, last = min(entry.key for entry in known), max(entry.key for entry in known)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in pairs)
    return [_command(("-o", user, "-j", f"*{SEPARATOR}{_plain(common)}*"), timeout_s)]


def search_command(user: str, key: str, timeout_s: float) -> Command:
    """Ask for a submission by its key."""
    return _command(("-o", user, "-j", f"*{SEPARATOR}{_plain(key)}"), timeout_s)


def _command(words: Sequence[str], timeout_s: float) -> Command:
    return Command(argv=("qacct", *words), timeout_s=timeout_s)


def _plain(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "?", key)


def read(reply: Completed) -> list[Mapping[str, str]]:
    """Read records; none where no job is found.

    Raises:
        AccountingOffError: There is no file to read.
        UnreachableError: The command failed: nothing was learned.
    """
    if reply.returncode != 0 and not reply.stdout.strip():
        if _NOT_FOUND.search(reply.stderr):
            return []
        if _OFF.search(reply.stderr):
            raise AccountingOffError("qacct", said(reply))
        raise UnreachableError("qacct", said(reply))
    return list(_records(reply.stdout))


def _records(text: str) -> Iterator[Mapping[str, str]]:
    for block in text.split(_RULE):
        pairs = (line.split(None, 1) for line in block.splitlines())
        record = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
        if record.get("jobnumber", "").isdecimal():
            yield record


def submission_of(record: Mapping[str, str]) -> tuple[str, str]:
    """Give key and number of what a record is about."""
    return key_of(record.get("jobname", "")), record["jobnumber"]


def rows_of(records: Sequence[Mapping[str, str]]) -> dict[str, Row]:
    """Make a row of the last end of each job, by its native id.

    A job that was run again has a record for each time, and the number of one that is long gone
    may be handed out again: what was written last counts.
    """
    rows: dict[str, Row] = {}
    for record in records:
        row = _row(record)
        if row is None:
            rows.pop(_native_id(record), None)
        else:
            rows[row.native_id] = row
    return rows


def waiting_again(records: Sequence[Mapping[str, str]]) -> frozenset[str]:
    """Name the jobs whose last record says that they were put back, to be run again."""
    last = {_native_id(record): record for record in records}
    return frozenset(
        native_id
        for native_id, record in last.items()
        if not failure_of(_number(record.get("failed", "0"))).is_end
    )


def _native_id(record: Mapping[str, str]) -> str:
    number, task = record["jobnumber"], record.get("taskid", "")
    return f"{number}.{task}" if task.isdecimal() else number


def _row(record: Mapping[str, str]) -> Row | None:
    number = record["jobnumber"]
    failed = _number(record.get("failed", "0"))
    what = failure_of(failed)
    if not what.is_end:
        return None
    native_id = _native_id(record)
    ended_at = _instant(record.get("end_time", ""))
    end = _end(record, native_id, failed)
    return Row(
        native_id=native_id,
        submission=number,
        key=key_of(record.get("jobname", "")),
        phase=Phase.ENDED,
        source=Source.ACCOUNTING,
        word=f"failed {record['failed']}" if failed else "ended",
        submitted_at=_instant(record.get("qsub_time", "")),
        started_at=_instant(record.get("start_time", "")),
        end=evolve(end, at=ended_at or 0.0),
    )


def _end(record: Mapping[str, str], native_id: str, failed: int) -> EndReport:
    reason = failure_of(failed).reason
    status = _number(record.get("exit_status", ""))
    code, signal = (None, status - 128) if status > 128 and failed else (status, None)
    if reason is Reason.WALL_TIME:
        reason = _limit(record)
    if reason is Reason.LAUNCH_FAILED:
        code = None
    text = re.sub(r"\s+", " ", record.get("failed", ""))
    return EndReport(
        source=Source.ACCOUNTING,
        at=0.0,
        exit_code=code,
        signal=signal,
        reason=reason,
        native_id=native_id,
        usage=_usage(record),
        message=f"Grid Engine says: failed {text}" if failed and reason is not None else "",
    )


def _limit(record: Mapping[str, str]) -> Reason:
    """Say which limit a job was over: accounting has one number for all of them."""
    asked = dict(re.findall(r"\b(h_rt|h_vmem)=([\w.:]+)", record.get("category", "")))
    if "h_rt" in asked and _amount(record.get("ru_wallclock", "")) >= _amount(asked["h_rt"]):
        return Reason.WALL_TIME
    return Reason.OUT_OF_MEMORY if "h_vmem" in asked else Reason.WALL_TIME


def _usage(record: Mapping[str, str]) -> Usage:
    if record.get("end_time", "") in _NEVER:
        return Usage()
    # ru_maxrss is in units of 1024 bytes, also where qacct 8.1.9 writes a B behind it.
    rss = _amount(record.get("ru_maxrss", "")) * 1024
    host = record.get("hostname", "")
    return Usage(
        cpu_user_s=_amount(record.get("ru_utime", "")),
        cpu_system_s=_amount(record.get("ru_stime", "")),
        max_rss_bytes=int(rss) or None,
        wall_s=_amount(record.get("ru_wallclock", "")),
        host=host or None,
        nodes=(host,) if host else (),
    )


def _number(text: str) -> int:
    match = re.match(r"\d+", text)
    return int(match[0]) if match else 0


def _amount(text: str) -> float:
    """Read `84s`, `4.492KB`, `3.121M`, `0.008` or `1:00:00`; 0 if it is none."""
    if re.fullmatch(r"\d+(:\d+)+", text):
        total = 0
        for part in text.split(":"):
            total = total * 60 + int(part)
        return float(total)
    match = re.fullmatch(r"([\d.]+)\s*([KMGTP]?)[A-Za-z]*", text)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


def _instant(text: str) -> float | None:
    """Read `Wed Nov 25 23:32:18 2026` UTC as seconds since 1970; `None` if it is none."""
    for form in ("%a %b %d %H:%M:%S %Y", "%m/%d/%Y %H:%M:%S.%f"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() or None
        except ValueError:
            continue
    return None
