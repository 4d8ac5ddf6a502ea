"""Look at the queue with squeue: one question for all jobs, whoever asks."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from drover.commandline import Command, Row
from drover.errors import UnreachableError, UnreadableReplyError
from drover.hookspecs import Completed
from drover.models import EndReport, Phase, Source
from drover_slurm._times import instant
from drover_slurm._words import NEVER, holds, meaning

FORMAT: Final = "%i|%F|%K|%T|%V|%S|%e|%r|%k"
DETAILS: Final = "JobArrayID:.64|,exit_code:.12|,RestartCnt:.8|,Reason:.64"
_LINE: Final = re.compile(
    r"(?P<id>[\d_\[\]\-,:%]+)\|(?P<array>\d+)\|(?P<index>[^|]*)\|(?P<word>[^|]+)\|"
    r"(?P<submitted>[^|]*)\|(?P<started>[^|]*)\|(?P<ended>[^|]*)\|(?P<reason>.*)\|"
    r"(?P<key>[\w.-]+)"
)
"""A line of ours. Reasons are free text; a comment is the last, and ours has neither blank nor |.
What does not look so is of somebody else, or noise."""
_PART: Final = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_GONE: Final = "Invalid job id"


def list_command(user: str, timeout_s: float) -> Command:
    """Ask for all own jobs that the controller has in memory."""
    argv = ("squeue", "-h", "-a", "-t", "all", "-u", user, "-o", FORMAT)
    return Command(argv=argv, timeout_s=timeout_s)


def check(reply: Completed) -> None:
    """Refuse a reply that says nothing.

    Raises:
        UnreachableError: The command failed: nothing was learned.
    """
    if reply.returncode != 0:
        raise UnreachableError(reply.argv[0], said(reply))
    if "error" in reply.stderr.lower() and not reply.stdout.strip():
        # It ends with 0 also where it could not ask.
        raise UnreachableError(reply.argv[0], said(reply))
    if reply.stdout and not reply.stdout.endswith("\n"):
        raise UnreachableError(reply.argv[0], "its answer was cut off")


def said(reply: Completed) -> str:
    """Give the words of a command that failed."""
    lines = [line.partition("error: ")[2] or line for line in reply.stderr.splitlines()]
    return "; ".join(filter(None, lines)) or f"it ended with {reply.returncode}"


def read_list(reply: Completed) -> list[Row]:
    """Read the listing; lines that are not ours are passed over."""
    check(reply)
    rows = [
        _row(match)
        for line in reply.stdout.splitlines()
        if (match := _LINE.fullmatch(line.strip())) is not None
    ]
    if not rows and len(reply.stdout) > 10_000 and "|" not in reply.stdout:
        raise UnreadableReplyError(
            "squeue", reply.stdout, "no line has the form that was asked for"
        )
    return rows


def _row(match: re.Match[str]) -> Row:
    word, array = match["word"], match["array"]
    what = meaning(word)
    is_pending = what.phase is Phase.QUEUED
    reason = match["reason"]
    native_id = match["id"]
    indices: Sequence[range] = ()
    if "[" in native_id:
        indices = tuple(ranges(native_id.partition("[")[2].rstrip("]").partition("%")[0]))
        native_id = array
    why = NEVER.get(reason.partition(",")[0], "")
    told = f"{word} ({reason}{': ' + why if why else ''})"
    ended = instant(match["ended"])
    end = None
    if what.phase is Phase.ENDED:
        end = end_of(word, reason, None, ended or 0.0, native_id)
    return Row(
        native_id=native_id,
        submission=array,
        key=match["key"],
        phase=what.phase,
        source=Source.QUEUE,
        word=told if is_pending and reason not in {"None", "", "Priority"} else word,
        indices=indices,
        submitted_at=instant(match["submitted"]),
        started_at=None if is_pending else instant(match["started"]),
        hold=holds(reason) if is_pending else None,
        end=end,
        is_leaving=what.is_leaving,
    )


def end_of(word: str, reason: str, raw: int | None, at: float, native_id: str) -> EndReport | None:
    """Say how a job ended.

    Args:
        word: Its state.
        reason: Slurm's reason.
        raw: Its wait(2) status, `None` if it is not told.
        at: When.
        native_id: Its id.

    Returns:
        `None` where the word alone does not say it: FAILED without a status.
    """
    what = meaning(word)
    base = word.partition(" ")[0].rstrip("+")
    code = signal = None
    if raw is not None and (raw & 0x7F) == _NOT_LAUNCHED:
        return EndReport(
            source=Source.QUEUE,
            at=at,
            reason=meaning("LAUNCH_FAILED").reason,
            native_id=native_id,
            message=f"Slurm could not begin it: {reason}; its output cannot be written, "
            "or its folder is gone",
        )
    if base == "COMPLETED":
        code = 0
    elif raw is not None and (raw or base == "FAILED"):
        code, signal = (None, raw & 0x7F) if raw & 0x7F else (raw >> 8, None)
    if what.reason is not None and signal is not None and signal > _LAST_SIGNAL:
        signal = None  # 125 is Slurm's own, for out of memory.
    return EndReport(
        source=Source.QUEUE,
        at=at,
        exit_code=code,
        signal=signal,
        reason=what.reason,
        native_id=native_id,
        message="" if what.reason is None else f"Slurm says {word} ({reason})",
    )


_NOT_LAUNCHED: Final = 53
"""The signal that slurmd tells for a job that it could not begin: ESLURMD_... as wait status."""
_LAST_SIGNAL: Final = 64


def ranges(text: str) -> Iterable[range]:
    """Read an expression of indices: `2-5,7,9-15:3`."""
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is not None:
            first = int(match[1])
            yield range(first, int(match[2] or first) + 1, int(match[3] or 1))


def details_command(ids: Sequence[str], timeout_s: float) -> Command:
    """Ask for the wait status and the restart count of jobs."""
    argv = ("squeue", "-h", "-a", "-t", "all", "-j", ",".join(ids), "-O", DETAILS)
    return Command(argv=argv, timeout_s=timeout_s)


def read_details(reply: Completed) -> dict[str, tuple[int | None, int, str]]:
    """Read wait status, restart count and reason by native id; unknown ids are not in it."""
    if reply.returncode != 0 and _GONE in reply.stderr:
        return {}
    check(reply)
    found: dict[str, tuple[int | None, int, str]] = {}
    for line in reply.stdout.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) < 4 or not parts[0][:1].isdigit():
            continue
        status = int(parts[1]) if parts[1].isdecimal() else None
        found[parts[0]] = (status, int(parts[2]) if parts[2].isdecimal() else 0, parts[3])
    return found
