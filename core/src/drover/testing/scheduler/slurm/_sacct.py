"""`sacct`: what accounting knows of jobs, also of those that the controller has forgotten."""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from drover.testing.scheduler._calls import Call, Reply, Row, encoded, listed, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm._accounting import Account
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._grammar import SACCT
from drover.testing.scheduler.slurm._ids import Ids
from drover.testing.scheduler.slurm._ledger import (
    NAMES,
    WIDTHS,
    Line,
    head_of,
    known,
    value_of,
)
from drover.testing.scheduler.slurm._text import DAY_S, read_clock, zone_of
from drover.testing.scheduler.slurm._words import State, state_word

_USUAL: Final = "jobid,jobname,partition,account,alloccpus,state,exitcode"
_BRIEF: Final = "jobid,state,exitcode"
_NO_STEPS: Final = frozenset({State.PENDING, State.NODE_FAIL, State.BOOT_FAIL})


class _SacctError(Exception):
    """A command line that makes no sense, in sacct's words."""


@frozen
class Column:
    """A field and its width, negative for left justified."""

    field: str
    width: int

    def put(self, text: str) -> str:
        """Write a value at its width; what is too long is cut and marked."""
        size = abs(self.width)
        if len(text) > size:
            text = f"{text[: size - 1]}+"
        return text.ljust(size) if self.width < 0 else text.rjust(size)


def sacct(controller: Controller, call: Call) -> Reply:
    """Run `sacct`."""
    try:
        line = SACCT.parse(call.words)
        if line.has("version"):
            return said(f"slurm-wlm {controller.site.version}\n")
        if line.has("helpformat"):
            return said("".join(f"{_help(start)}\n" for start in range(0, len(NAMES), 4)))
        columns = _columns(line, call)
        asked = _Filter(controller, call, line)
        accounts = [one for one in _accounts(controller, call) if asked.passes(one)]
    except OptionError as error:
        return said(errors=f"sacct: {error}\n", code=1)
    except _SacctError as error:
        return said(errors=f"{error}\n", code=1)
    if not line.has("duplicates"):
        accounts = _youngest(accounts)
    shown = [one for account in accounts for one in _lines(controller, call, account, line)]
    rows = [Row(of=one.job.native_id, text=encoded(_written(columns, one, line))) for one in shown]
    return listed(rows, "" if line.has("noheader") else _head(columns, line))


def _help(start: int) -> str:
    return " ".join(f"{name:<19}" for name in NAMES[start : start + 4])


def _accounts(controller: Controller, call: Call) -> list[Account]:
    return controller.accounting.rows(call.as_of)


def _youngest(accounts: list[Account]) -> list[Account]:
    """Keep the last incarnation of each id."""
    last = {account.job.job_id: account for account in accounts}
    return [account for account in accounts if last[account.job.job_id] is account]


# --- which jobs ----------------------------------------------------------------------------------


class _Filter:
    """What a command line asks for, read once.

    Raises:
        _SacctError: Some of it cannot be read, whether or not a job is there.
    """

    def __init__(self, controller: Controller, call: Call, line: Parsed) -> None:
        self._line, self._call = line, call
        self._has_ids: Final = line.has("jobs")
        for text in line.items("jobs"):
            if not re.fullmatch(r"\d+(_(\d+|\*))?(\.\w+)?", text):
                raise _SacctError(f"sacct: fatal: Bad job/step specified: {text}")
        self._ids: Final = Ids(line.items("jobs"))
        self._names: Final = line.items("name")
        self._partitions: Final = line.items("partition")
        self._states: Final = [_state(text) for text in line.items("state")]
        self._since, self._until = _window(line, call, controller)

    def passes(self, account: Account) -> bool:
        """Tell whether it is asked for."""
        job = account.job
        if self._has_ids and not self._ids.means(job):
            return False
        if not self._has_ids and not _is_mine(account, self._line, self._call):
            return False
        if self._names and job.name not in self._names:
            return False
        if self._partitions and job.partition not in self._partitions:
            return False
        within = _within(account, self._since, self._until)
        if self._states:
            return account.state.partition(" ")[0] in self._states and within
        return self._has_ids or within


def _is_mine(account: Account, line: Parsed, call: Call) -> bool:
    users = {*line.items("user"), *line.items("uid")}
    if users:
        return bool({account.job.user, str(account.job.uid)} & users)
    return line.has("allusers") or call.uid in (0, account.job.uid)


def _state(text: str) -> str:
    word = state_word(text)
    if word is None:
        raise _SacctError(f"sacct: fatal: unrecognized job state value '{text}'")
    return word


def _window(line: Parsed, call: Call, controller: Controller) -> tuple[float, float]:
    """Give the window of time that is looked at. Source: sacct(1), "DEFAULT TIME WINDOW"."""
    zone = zone_of(call.environment, controller.site.zone)
    times: dict[str, float] = {}
    for name in ("starttime", "endtime"):
        if line.has(name):
            at = read_clock(line.get(name), call.at, zone)
            if at is None:
                raise _SacctError(f"Invalid time specification (pos=0): {line.get(name)}")
            times[name] = at
    if line.has("jobs"):
        since = 0.0
    elif line.has("state"):
        since = call.at
    else:
        since = read_clock("today", call.at, zone) or call.at - DAY_S
    since = times.get("starttime", since)
    return since, times.get("endtime", call.at)


def _within(account: Account, since: float, until: float) -> bool:
    """Tell whether a job was eligible within a time; a held one never was."""
    job = account.job
    if job.eligible_at is None and not job.state.has_ended:
        return False
    begun = job.submit_at if job.eligible_at is None else job.eligible_at
    ended = job.end_at if job.state.has_ended or account.requeued else None
    return begun <= until and (ended is None or ended >= since)


def _lines(controller: Controller, call: Call, account: Account, line: Parsed) -> Iterator[Line]:
    units = line.get("units") or ("-" if line.has("noconvert") else "")
    job = Line(
        account=account,
        site=controller.site,
        now=call.as_of,
        environment=call.environment,
        zone=zone_of(call.environment, controller.site.zone),
        units=units,
    )
    asked = {text.partition(".")[2] for text in line.items("jobs")} or {""}
    if "" in asked:
        yield job
    ran = account.job.start_at is not None and bool(account.job.nodes)
    if not controller.site.steps or line.has("allocations") or not ran:
        return
    if account.job.state not in _NO_STEPS and asked & {"", "batch"}:
        yield Line(
            account=account,
            step="batch",
            site=job.site,
            now=job.now,
            environment=job.environment,
            zone=job.zone,
            units=units,
        )


# --- formats -------------------------------------------------------------------------------------


def _columns(line: Parsed, call: Call) -> list[Column]:
    usual = _BRIEF if line.has("brief") else call.environment.get("SACCT_FORMAT") or _USUAL
    columns: list[Column] = []
    for part in line.items("format") or usual.split(","):
        name, percent, size = part.partition("%")
        field = _field(name.strip())
        width = WIDTHS.get(field, 10)
        columns.append(
            Column(field, int(size) if percent and size.lstrip("-").isdigit() else width)
        )
    return columns


def _field(name: str) -> str:
    """Read a field's name: any case, and shortened as long as it is one."""
    lower = name.lower()
    if known(lower):
        return lower
    near = [one.lower() for one in NAMES if lower and one.lower().startswith(lower)]
    if not near:
        raise _SacctError(f'sacct: error: Invalid field requested: "{name}"')
    return near[0]


def _written(columns: list[Column], line: Line, asked: Parsed) -> str:
    values = [value_of(column.field, line) for column in columns]
    return _joined(columns, values, asked)


def _joined(columns: list[Column], values: list[str], asked: Parsed) -> str:
    mark = asked.get("delimiter") or "|"
    if asked.has("parsable2"):
        return mark.join(values) + "\n"
    if asked.has("parsable"):
        return "".join(f"{value}{mark}" for value in values) + "\n"
    return "".join(f"{c.put(v)} " for c, v in zip(columns, values, strict=True)) + "\n"


def _head(columns: list[Column], asked: Parsed) -> str:
    heads = [head_of(column.field) for column in columns]
    top = _joined(columns, heads, asked)
    if asked.has("parsable") or asked.has("parsable2"):
        return top
    return top + "".join(f"{'-' * abs(column.width)} " for column in columns) + "\n"
