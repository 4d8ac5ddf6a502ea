"""Look at the queue with qstat: one question for all jobs, whoever asks."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from attrs import evolve, frozen

from drover.commandline import Command, Row
from drover.errors import UnreachableError, UnreadableReplyError
from drover.hookspecs import Completed
from drover.models import SYSTEM, USER, Phase, Source
from drover_drmaa._names import key_of
from drover_drmaa._words import LETTERS, state_of

_ENTRY: Final = re.compile(r"<job_list[^>]*>(.*?)</job_list>", re.DOTALL)
_FIELD: Final = re.compile(r"<(\w+)>([^<]*)</\1>")
_PART: Final = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_END: Final = "</job_info>"
HELD_BY_USER: Final = "hu"
HELD_BY_OTHERS: Final = ("ho", "hs")


def list_command(user: str, timeout_s: float, which: str = "prsz") -> Command:
    """Ask for the jobs of a user; *which* as `qstat -s` has it."""
    argv = ("qstat", "-xml", "-u", user, "-s", which)
    return Command(argv=argv, timeout_s=timeout_s)


def check(reply: Completed) -> None:
    """Refuse a reply that says nothing.

    Raises:
        UnreachableError: The command failed: nothing was learned.
    """
    if reply.returncode != 0:
        raise UnreachableError(reply.argv[0], said(reply))


def said(reply: Completed) -> str:
    """Give the words of a command that failed."""
    lines = [line.removeprefix("error: ") for line in reply.stderr.splitlines()]
    return "; ".join(filter(None, lines)) or f"it ended with {reply.returncode}"


@frozen(kw_only=True)
class Entry:
    """One line of a listing."""

    number: str
    name: str
    letters: str
    tasks: str
    submitted_at: float | None
    started_at: float | None
    queue: str

    @property
    def rows(self) -> Iterator[Row]:
        """Make what the line stands for: a job, an element of an array, or a range of them."""
        what = state_of(self.letters)
        row = Row(
            native_id=self.number,
            submission=self.number,
            key=key_of(self.name),
            phase=what.phase,
            source=Source.QUEUE,
            word=self.letters if what.phase is not Phase.UNKNOWN else f"{self.letters} (?)",
            submitted_at=self.submitted_at,
            started_at=self.started_at if what.phase is not Phase.QUEUED else None,
            hold=None if what.is_held or what.phase is Phase.ENDED else frozenset(),
            suspended_by=what.suspended_by,
            is_leaving=what.is_leaving,
        )
        for part in self.tasks.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None:
                yield row
            elif match[2] is None:
                yield evolve(row, native_id=f"{self.number}.{match[1]}")
            else:
                # Theirs count from 1, ours from 0.
                span = range(int(match[1]) - 1, int(match[2]), int(match[3] or 1))
                yield evolve(row, indices=(span,))

    @property
    def is_held(self) -> bool:
        """Tell whether somebody or something holds it."""
        return state_of(self.letters).is_held


def read(reply: Completed) -> list[Entry]:
    """Read a listing.

    Raises:
        UnreachableError: The command failed.
        UnreadableReplyError: It is not whole.
    """
    check(reply)
    if not reply.stdout.rstrip().endswith(_END):
        raise UnreadableReplyError("qstat", reply.stdout, f"it does not end with {_END}")
    # Not by a parser of XML: a name with a control character is refused by each, and one bad
    # row is to harm one job.
    return [
        _entry({name: html.unescape(text) for name, text in _FIELD.findall(block)})
        for block in _ENTRY.findall(reply.stdout)
    ]


def _entry(fields: dict[str, str]) -> Entry:
    return Entry(
        number=fields.get("JB_job_number", ""),
        name=fields.get("JB_name", ""),
        letters=fields.get("state", ""),
        tasks=fields.get("tasks", ""),
        submitted_at=instant(fields.get("JB_submission_time", "")),
        started_at=instant(fields.get("JAT_start_time", "")),
        queue=fields.get("queue_name", ""),
    )


def instant(text: str) -> float | None:
    """Read `2026-01-31T23:59:59` UTC as seconds since 1970; `None` if it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp() or None
    except ValueError:
        return None


def rows_of(entries: Iterable[Entry]) -> list[Row]:
    """Make all rows."""
    return [row for entry in entries for row in entry.rows]


def with_holds(rows: Sequence[Row], by_user: Sequence[Row], by_others: Sequence[Row]) -> list[Row]:
    """Say who holds each row that is held, by the listings of those held by one or the other.

    Who is in neither waits for an instant or for other jobs: nobody holds it.
    """
    return [
        row
        if row.hold is not None or row.phase is Phase.ENDED
        else _with_hold(row, _covers(by_user, row), _covers(by_others, row))
        for row in rows
    ]


def _with_hold(row: Row, by_user: bool, by_others: bool) -> Row:
    hold = frozenset({USER} if by_user else ()) | frozenset({SYSTEM} if by_others else ())
    word = row.word if hold else f"{row.word} (it waits for other jobs, or its time)"
    return evolve(row, hold=hold, word=word)


def _covers(rows: Sequence[Row], wanted: Row) -> bool:
    first = next((index for part in wanted.indices for index in part), None)
    for row in rows:
        if row.native_id != wanted.native_id:
            continue
        if first is None or any(first in part for part in row.indices):
            return True
    return False


def reason_command(ids: Sequence[str], timeout_s: float) -> Command:
    """Ask why jobs are in the error state."""
    return Command(argv=("qstat", "-j", ",".join(ids)), timeout_s=timeout_s)


def read_reasons(reply: Completed) -> dict[str, str]:
    """Read why jobs are in the error state, by number; jobs that are gone are not in it."""
    found: dict[str, str] = {}
    for block in re.split(r"^=+$", reply.stdout, flags=re.MULTILINE):
        number = re.search(r"^job_number: +(\d+)", block, re.MULTILINE)
        error = re.search(r"^error reason[^:]*:\s+(.*)$", block, re.MULTILINE)
        if number is not None and error is not None:
            # Before it stand a time and, in brackets, user and process.
            found[number[1]] = re.sub(r"^[\d/]+ [\d:]+ \[[^]]*\]: *(?:error: )?", "", error[1])
    return found


def described(letters: str) -> str:
    """Spell out the letters of a state, for people."""
    return ", ".join(LETTERS.get(letter, f"{letter}?") for letter in letters)
