"""Find all processes of a job and signal them, without ever hitting a stranger.

A process belongs to a job if it is the main process, shares its session, bears its token in the
environment, or descends from one that does. What left its session and changed its environment
and lost its parent is out of reach; nothing here guesses.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from drover_local._identity import TICK_NS, read_stat
from drover_local._job import Job

_TOKEN: Final = b"DROVER_TOKEN="
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_GONE: Final = frozenset("ZXx")

Row = tuple[int, int, int]
"""Parent, session, start in ticks."""


class Processes:
    """The living processes of this machine at one moment, and the tokens they bear."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[int, int], str] = {}
        self._rows: dict[int, Row] = {}
        self._children: dict[int, list[int]] = {}

    def refresh(self) -> None:
        """Look again. Tokens of processes that are known already are kept."""
        self._rows = dict(_scan())
        self._children = {}
        for pid, row in self._rows.items():
            self._children.setdefault(row[0], []).append(pid)
        alive = {(pid, row[2]) for pid, row in self._rows.items()}
        self._tokens = {key: token for key, token in self._tokens.items() if key in alive}

    def ticks(self, pid: int) -> int | None:
        """Give the start of a process, `None` if it is not there."""
        row = self._rows.get(pid)
        return row[2] if row else None

    def members(self, job: Job) -> dict[int, int]:
        """List the living processes of a job.

        Returns:
            Start in ticks by process id, the main process first if it lives.
        """
        first = job.span[0] // TICK_NS
        found: dict[int, int] = {}
        row = self._rows.get(job.pid)
        if row and not job.reaped:
            found[job.pid] = row[2]
        ours = self._owns_session(job)
        for pid, (_, session, ticks) in self._rows.items():
            if ticks < first or pid in found:
                continue
            if (ours and session == job.pid) or self.token(pid) == job.token:
                found[pid] = ticks
        waiting = list(found)
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found:
                    found[child] = self._rows[child][2]
                    waiting.append(child)
        return found

    def leaders(self, token: str) -> list[tuple[int, int]]:
        """List session leaders that bear *token*, each with its start in ticks."""
        return [
            (pid, ticks)
            for pid, (_, session, ticks) in self._rows.items()
            if session == pid and self.token(pid) == token
        ]

    def _owns_session(self, job: Job) -> bool:
        # A number that names a session is not given out again: while one that began before the
        # main process was reaped is in it, the session is the job's.
        if not job.reaped:
            return True
        last = job.reaped_ns // TICK_NS
        return any(
            session == job.pid and ticks <= last for _, session, ticks in self._rows.values()
        )

    def token(self, pid: int) -> str:
        """Give the token in a process's environment, empty if there is none to be read."""
        key = (pid, self._rows[pid][2])
        known = self._tokens.get(key)
        if known is None:
            known = self._tokens[key] = read_token(pid)
        return known


def read_token(pid: int) -> str:
    """Read the token out of a process's environment, empty if it has none or is not ours."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = b"\0" + file.read()
    except OSError:
        return ""
    begin = data.find(b"\0" + _TOKEN)
    if begin < 0:
        return ""
    begin += 1 + len(_TOKEN)
    end = data.find(b"\0", begin)
    return data[begin : end if end >= 0 else None].decode("ascii", "replace")


def send(pid: int, ticks: int, number: int) -> bool:
    """Signal one process, if it is still the one that began at *ticks*.

    Returns:
        Whether it was there and took the signal.
    """
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
            return True
        return False
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        row = read_stat(pid)
        if row is None or row[3] != ticks:
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def resident_bytes(pids: Iterable[int], limit: int) -> int:
    """Add up the memory of processes, shared pages counted once where it matters.

    Args:
        pids: The processes; one that is gone counts nothing.
        limit: Only if the quick sum is above it, the exact and slow one is taken.
    """
    pids = list(pids)
    total = sum(_resident(pid) for pid in pids)
    if total <= limit or len(pids) == 1:
        return total
    return sum(_proportional(pid) for pid in pids)


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(256).split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident(pid)


def _scan() -> Iterator[tuple[int, Row]]:
    if not sys.platform.startswith("linux"):
        yield from _scan_slowly()
        return
    for name in os.listdir("/proc"):
        if name.isdecimal():
            row = read_stat(int(name))
            if row is not None and row[0] not in _GONE:
                yield int(name), row[1:]


def _scan_slowly() -> Iterator[tuple[int, Row]]:
    import psutil

    boot = psutil.boot_time()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            ticks = int((process.create_time() - boot) * 10**9 / TICK_NS)
            yield process.pid, (process.ppid(), os.getsid(process.pid), ticks)
