"""The back door: what jobs really did, seen without the backend."""

import math
import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

_NOTE: Final = 'printf "%s\\n" $$ >>"$1"; shift; exec "$@"'
"""Appends the job's own process id to a file, and becomes the command."""
_SLACK_S: Final = 1.0
"""How far the clocks of processes and of files may lie apart."""


class Witness:
    """Makes commands that leave a mark of every start, and reads the marks.

    A mark is one appended line, so that a command that was run twice has two.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def argv(self, name: str, command: Sequence[str | bytes]) -> tuple[str | bytes, ...]:
        """Make the argv that marks a start under *name* and becomes *command*."""
        return ("/bin/sh", "-c", _NOTE, "witness", os.fspath(self.file(name)), *command)

    def file(self, name: str) -> Path:
        """Name the file with the marks of *name*."""
        return self.folder / f"{name}.starts"

    def starts(self, name: str) -> list[int]:
        """List the process ids under which *name* was started, oldest first."""
        try:
            return [int(line) for line in self.file(name).read_text().splitlines()]
        except FileNotFoundError:
            return []

    def alive(self, name: str) -> list[int]:
        """List the starts of *name* whose process still runs on this host."""
        pids = self.starts(name)
        # Who left a mark was there before it; ids are handed out again, to the innocent.
        marked_at = self.file(name).stat().st_mtime if pids else 0.0
        return [pid for pid in pids if is_running(pid, born_before=marked_at + _SLACK_S)]

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to every living start of *name*, behind the backend's back."""
        for pid in self.alive(name):
            os.kill(pid, number)

    def leftovers(self) -> dict[str, list[int]]:
        """List what still runs, by name; empty if nothing does."""
        names = sorted(path.name.removesuffix(".starts") for path in self.folder.glob("*.starts"))
        return {name: pids for name in names if (pids := self.alive(name))}


def is_running(pid: int, born_before: float = math.inf) -> bool:
    """Tell whether a process is there that is that old, and is no zombie."""
    try:
        process = psutil.Process(pid)
        is_dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not is_dead and process.create_time() < born_before
    except psutil.NoSuchProcess:
        return False


def state_of(pid: int) -> str:
    """Give the system's own word for a process's state: `running`, `stopped`..., "" if gone."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return ""


def shell(text: str, *arguments: str) -> tuple[str, ...]:
    """Make the argv of a short shell script with arguments."""
    return ("/bin/sh", "-c", text, "sh", *arguments)


def quoted(path: Path) -> str:
    """Quote a path for a shell script."""
    return shlex.quote(os.fspath(path))
