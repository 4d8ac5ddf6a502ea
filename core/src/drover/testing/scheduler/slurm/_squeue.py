"""`squeue`: the jobs in the controller's memory."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from string import ascii_letters
from typing import Final

from attrs import frozen

from drover.testing.scheduler._calls import Call, Reply, Row, encoded, listed, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm._columns import HEADS, LETTERS
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._fields import FIELDS, Shown, is_user
from drover.testing.scheduler.slurm._grammar import SQUEUE
from drover.testing.scheduler.slurm._ids import Ids
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._text import zone_of
from drover.testing.scheduler.slurm._words import Flag, State, state_word

_USUAL: Final = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
_LONG: Final = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_STATES: Final = (
    "PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,PREEMPTED,BOOT_FAIL,"
    "DEADLINE,OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,"
    "REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED"
)


class _BadListError(Exception):
    """A value that names nothing, in squeue's words."""


@frozen
class Column:
    """One field of a format, with what stands around it."""

    field: str
    head: str
    width: int
    right: bool
    after: str

    def put(self, text: str) -> str:
        """Write a value at its width; what is too long is cut."""
        if not self.width:
            return text + self.after
        cut = text[: self.width]
        return (cut.rjust(self.width) if self.right else cut.ljust(self.width)) + self.after


def squeue(controller: Controller, call: Call) -> Reply:
    """Run `squeue`."""
    try:
        line = _with_ids(SQUEUE.parse(call.words))
    except OptionError as error:
        hint = 'Try "squeue --help" for more information'
        return said(errors=f"squeue: {error}\n{hint}\n", code=1)
    if line.has("version"):
        return said(f"slurm-wlm {controller.site.version}\n")
    if line.rest:
        return said(errors=f"squeue: error: Unrecognized option: {line.rest[0]}\n", code=1)
    try:
        wanted = _filters(line, call)
    except _BadListError as error:
        return said(errors=f"squeue: error: {error}\n", code=1)
    return _listing(controller, call, line, wanted)


def _with_ids(line: Parsed) -> Parsed:
    """Take a list that stands apart from its `-j` for its value."""
    if not line.rest or line.get("jobs") or not line.has("jobs"):
        return line
    ids, *rest = line.rest
    values = {**line.values, "jobs": ids}
    return Parsed(options=(*line.options, ("jobs", ids)), rest=tuple(rest), values=values)


def _listing(
    controller: Controller, call: Call, line: Parsed, wanted: Callable[[Shown], bool]
) -> Reply:
    jobs = controller.jobs(call.as_of)
    ids = line.items("jobs")
    if len(ids) == 1 and not any(map(Ids([ids[0].partition("_")[0]]).means, jobs)):
        return said(errors="slurm_load_jobs error: Invalid job id specified\n", code=1)
    lead, columns, errors = _columns(line, call)
    shown = [
        row
        for job in sorted(jobs, key=_place)
        for row in _expanded(controller, call, job, line)
        if wanted(row)
    ]
    rows = [Row(of=row.native_id, text=encoded(_written(lead, columns, row))) for row in shown]
    head = "" if line.has("noheader") else lead + "".join(c.put(c.head) for c in columns) + "\n"
    if line.has("long") and head:
        head = f"{_date(call, controller)}\n{head}"
    return listed(rows, head, errors=errors + _complaints(controller, call, line))


def _date(call: Call, controller: Controller) -> str:
    zone = zone_of(call.environment, controller.site.zone)
    return datetime.fromtimestamp(call.at, zone).strftime("%a %b %d %H:%M:%S %Y")


def _written(lead: str, columns: Sequence[Column], row: Shown) -> str:
    return lead + "".join(column.put(FIELDS[column.field](row)) for column in columns) + "\n"


def _place(job: Job) -> tuple[str, str, int, int]:
    """Sort as `P,t,-p` does."""
    return job.partition, job.shown_short, -job.priority, job.serial


def _expanded(controller: Controller, call: Call, job: Job, line: Parsed) -> Iterator[Shown]:
    # A record that was cancelled while it waited stays one line even then.
    split = bool(job.waiting) and job.state is State.PENDING
    many = split and (line.has("array") or line.has("array-unique"))
    single = split and len(job.waiting) == 1
    tasks: Iterable[int | None] = (None,)
    if many or single:
        tasks = job.waiting
    if split and line.has("jobs"):
        named = Ids(line.items("jobs")).tasks_of(job)
        tasks = tasks if named is None else named
    for task in tasks:
        yield Shown(
            job=job,
            task=task,
            site=controller.site,
            now=call.as_of,
            environment=call.environment,
            zone=zone_of(call.environment, controller.site.zone),
            convert=not line.has("noconvert"),
        )


# --- which jobs ----------------------------------------------------------------------------------


def _filters(line: Parsed, call: Call) -> Callable[[Shown], bool]:
    ids = line.items("jobs")
    for text in ids:
        if not re.fullmatch(r"\d+(_\d+)?", text):
            raise _BadListError(f"Invalid job id: {text}")
    meant = Ids(ids)
    states = _states(line, call)
    users = set(line.items("user")) | ({call.user} if line.has("me") else set[str]())
    names, partitions = line.items("name"), line.items("partition")
    accounts, qos = line.items("account"), line.items("qos")

    def wanted(row: Shown) -> bool:
        job = row.job
        return (
            (not ids or meant.means(job))
            and (states is None or _in_states(job, states))
            and (not users or bool({job.user, str(job.uid)} & users))
            and (not names or job.name in names)
            and (not partitions or job.partition in partitions)
            and (not accounts or FIELDS["account"](row) in accounts)
            and (not qos or FIELDS["qos"](row) in qos)
        )

    return wanted


def _states(line: Parsed, call: Call) -> frozenset[str] | None:
    """Give the words to show; `None` for all."""
    text = line.get("states") or call.environment.get("SQUEUE_STATES", "")
    if not text:
        return frozenset({"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING"})
    if text.lower() == "all":
        return None
    found: set[str] = set()
    for part in text.split(","):
        word = state_word(part)
        if word is None:
            raise _BadListError(
                f"Invalid job state specified: {part}\n"
                f"squeue: error: Valid job states include: {_STATES}\n"
            )
        found.add(word)
    return frozenset(found)


def _in_states(job: Job, states: frozenset[str]) -> bool:
    if job.state in states:
        return job.state is not State.PENDING or not job.flags & {Flag.COMPLETING}
    return any(flag in states for flag in job.flags)


def _complaints(controller: Controller, call: Call, line: Parsed) -> str:
    """Complain of users whom nobody knows; the exit code is 0 all the same."""
    known = {job.user for job in controller.jobs()} | {call.user}
    strange = [name for name in line.items("user") if name not in known and not is_user(name)]
    return "".join(f"squeue: error: Invalid user: {name}\n\n" for name in strange)


# --- formats -------------------------------------------------------------------------------------


def _columns(line: Parsed, call: Call) -> tuple[str, list[Column], str]:
    """Read the format: what stands in front, the columns, and complaints."""
    if line.has("Format"):
        return _long_names(line.get("Format"))
    text = line.get("format") or call.environment.get("SQUEUE_FORMAT", "")
    return _letters(text or (_LONG if line.has("long") else _USUAL))


def _letters(text: str) -> tuple[str, list[Column], str]:
    if text == "%all":
        text = "|".join(f"%{letter}" for letter in ascii_letters)
    lead, errors, columns = "", "", list[Column]()
    for piece in re.split(r"(?=%)", text):
        match = re.match(r"%(\.?)(\d*)([A-Za-z])", piece)
        field = LETTERS.get(match[3]) if match else None
        if match is None or field is None or field not in FIELDS:
            if piece.startswith("%"):
                errors += f"squeue: error: Invalid job format specification: {piece[1:2]}\n"
            if columns:
                last = columns.pop()
                columns.append(
                    Column(last.field, last.head, last.width, last.right, last.after + piece)
                )
            else:
                lead += piece
            continue
        width = int(match[2] or 0)
        head = HEADS[field]
        columns.append(Column(field, head, width, bool(match[1]), piece[match.end() :]))
    return lead, columns, errors


def _long_names(text: str) -> tuple[str, list[Column], str]:
    errors, columns = "", list[Column]()
    for part in text.split(","):
        name, _, size = part.partition(":")
        match = re.match(r"(\.?)(\d*)(.*)", size, re.DOTALL)
        field = name.strip().lower()
        if field not in FIELDS or match is None:
            errors += f"squeue: error: Invalid job format specification: {part}\n"
            continue
        width = int(match[2] or 20)
        columns.append(Column(field, HEADS[field], width, bool(match[1]), match[3]))
    return "", columns, errors
