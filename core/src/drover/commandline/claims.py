"""The claim of an attempt: what makes a second run of one token impossible.

Claims are one sequence of files in the attempt's folder, `claim.0`, `claim.1`..., each made by
link(2) and read back. A wrapper appends a start before it runs the command; the engine appends
`closed` before it gives the attempt up. Whoever comes first wins, on any file system that has
hard links, whatever answers get lost on the way.
"""

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from drover.commandline import wrapper
from drover.commandline.processes import ProcessId
from drover.models import Closing

PRIVATE: Final = 0o700


class EntryKind(StrEnum):
    """What an entry says."""

    START = "start"
    CLOSED = "closed"
    UNREADABLE = "unreadable"
    """Somebody's, nobody knows whose: a damaged file system. Counts as a start."""


@frozen(kw_only=True)
class Owner:
    """Who starts: one start of one job of the outside system."""

    native_id: str
    restart: int = 0


@frozen(kw_only=True)
class Entry:
    """One claim, as it stands in the folder."""

    index: int
    kind: EntryKind
    owner: Owner | None = None
    """Of a start."""
    why: str = ""
    """Of a closing: who closed it and why."""
    at: float = 0.0
    host: str = ""
    process: ProcessId | None = field(default=None, repr=False)
    """Of a start: the wrapper's own process, on *host*."""
    nonce: str = field(default="", repr=False)


@frozen(kw_only=True)
class Taking:
    """What became of an attempt to take a claim."""

    entry: Entry | None = None
    """The entry, if it is ours."""
    why: str = ""
    """Why it is not."""

    @property
    def won(self) -> bool:
        """Tell whether the command may be run."""
        return self.entry is not None


@frozen(kw_only=True)
class Closed:
    """What became of an attempt to close."""

    closing: Closing
    """CLOSED: nothing was started and nothing will be. TAKEN: there was a start before;
    nothing more will be. UNKNOWN: nobody can say, close again."""
    owner: Owner | None = None
    """If taken: the last start, where its entry can be read."""
    message: str = ""


def take(folder: Path, owner: Owner, *, requeue: bool = False) -> Taking:
    """Claim the attempt for one start, as the wrapper does.

    Args:
        folder: The attempt's folder. Where it is missing, nothing may run.
        owner: Who wants to start.
        requeue: Whether earlier starts of the same native id may be followed by this one.

    Returns:
        The entry, or why there is none. In doubt there is none.
    """
    try:
        mine, _, why = wrapper.append_claim(
            str(folder),
            wrapper.start_entry(owner.native_id, owner.restart),
            lambda seen: wrapper.start_refusal(seen, owner.native_id, owner.restart, requeue),
        )
    except OSError as error:
        return Taking(why=f"the claim is in doubt: {error}")
    return Taking(entry=_entry(mine) if mine else None, why=why)


def close(folder: Path, why: str, *, durable: bool = True) -> Closed:
    """Shut the attempt: no start may follow. Closing twice gives the same answer.

    Args:
        folder: The attempt's folder; made if it is missing.
        why: Who closes it and for what, for people.
        durable: Whether it must outlive a power cut. Not where the job is taken from the queue
            as well.

    Returns:
        Closed, taken by an earlier start, or unknown. Never a guess.
    """
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        _, before, _ = wrapper.append_claim(
            str(folder),
            {"kind": "closed", "why": why, "at": time.time(), "host": os.uname().nodename},
            lambda seen: "closed already" if seen[-1]["kind"] == "closed" else "",
            durable,
        )
    except OSError as error:
        return Closed(closing=Closing.UNKNOWN, message=str(error))
    starts = [entry for entry in map(_entry, before) if entry.kind is not EntryKind.CLOSED]
    if not starts:
        return Closed(closing=Closing.CLOSED)
    return Closed(closing=Closing.TAKEN, owner=starts[-1].owner)


def read(folder: Path) -> tuple[Entry, ...]:
    """Read the claims, oldest first. Empty if there are none, or no folder.

    Raises:
        OSError: The folder is there, or may be, and cannot be read now.
    """
    return tuple(_entry(entry) for entry in wrapper.read_claims(str(folder)))


def is_owner(folder: Path, owner: Owner) -> bool:
    """Tell whether a start of *owner* stands in the folder."""
    return any(entry.owner == owner for entry in read(folder))


def _entry(content: dict[str, Any]) -> Entry:
    kind = EntryKind(content["kind"])
    native_id, restart = content.get("native_id"), content.get("restart", 0)
    owner = None
    if kind is EntryKind.START:
        if isinstance(native_id, str) and isinstance(restart, int):
            owner = Owner(native_id=native_id, restart=restart)
        else:
            kind = EntryKind.UNREADABLE
    at = content.get("at")
    return Entry(
        index=content["index"],
        kind=kind,
        owner=owner,
        why=str(content.get("why", "")),
        at=float(at) if isinstance(at, int | float) else 0.0,
        host=str(content.get("host", "")),
        process=ProcessId.read(content.get("process")),
        nonce=content["nonce"],
    )
