"""Processes that outlive the daemons: those that watch over jobs, and the jobs under them."""

import contextlib
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from clusters.daemons import send, start_time

KILL_S = 5.0
MOST_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as /proc shows it; *variables* are those that it was started with."""

    pid: int
    parent: int
    started: str
    name: str
    variables: frozenset[bytes]

    def has(self, variable: bytes) -> bool:
        """Tell whether a variable is set to anything."""
        return any(word.startswith(variable + b"=") for word in self.variables)


def marked(processes: Iterable[Process], variables: dict[str, str]) -> list[Process]:
    """List those that were started with all of some variables."""
    mark = {f"{name}={value}".encode() for name, value in variables.items()}
    return [process for process in processes if mark <= process.variables]


def below(watchers: Iterable[Process], processes: Iterable[Process]) -> list[Process]:
    """List all that runs under some processes."""
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for process in processes:
        children[process.parent].append(process)
    return [process for watcher in watchers for process in _below(watcher.pid, children)]


def _below(pid: int, children: dict[int, list[Process]]) -> list[Process]:
    return [row for child in children.get(pid, []) for row in (child, *_below(child.pid, children))]


def kill(find: Callable[[list[Process]], list[Process]]) -> list[Process]:
    """Kill what is found until there is nothing, and tell who it was.

    A job may have begun meanwhile.
    """
    killed: list[Process] = []
    rounds = 0
    while left := _freeze(find):
        if rounds == MOST_ROUNDS:
            raise TimeoutError(f"processes do not die: {', '.join(str(row.pid) for row in left)}")
        rounds += 1
        for process in left:
            send(process.pid, process.started, signal.SIGKILL, wait_s=KILL_S)
        killed += left
    return killed


def _freeze(find: Callable[[list[Process]], list[Process]]) -> list[Process]:
    """Stop what is found until nobody is new: what was born while we looked is found by then.

    Once its parent is dead, it could not be.
    """
    known: set[tuple[int, str]] = set()
    while True:
        found = [row for row in find(_processes()) if row.pid != os.getpid()]
        new = [row for row in found if (row.pid, row.started) not in known]
        if not new:
            return found
        # Watchers first, so that none can report what becomes of its job.
        for process in reversed(new):
            send(process.pid, process.started, signal.SIGSTOP)
        known.update((row.pid, row.started) for row in new)


def _processes() -> list[Process]:
    found: list[Process] = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Those of others cannot be read, and any may end while we look.
        with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            pid, variables = int(folder.name), (folder / "environ").read_bytes().split(b"\0")
            head, _, tail = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
            started = start_time(pid)
            if started is not None:
                found.append(
                    Process(
                        pid=pid,
                        parent=int(tail.split()[1]),
                        started=started,
                        name=head.partition("(")[2],
                        variables=frozenset(variables),
                    )
                )
    return found
