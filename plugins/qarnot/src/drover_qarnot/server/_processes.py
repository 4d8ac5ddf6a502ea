"""What the processes of an instance use, where this machine can see them."""

import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FRESH_S: Final = 1.0
"""How long one look at all processes is good for."""
_HERTZ: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Birth(NamedTuple):
    """Which process an instance began as, and where its output begins: what the runner noted."""

    boot: str
    pid: int
    ticks: int
    stdout: int
    stderr: int


class Used(NamedTuple):
    """What the processes of an instance have used, at the instant of a look."""

    at: float
    """Of the monotonic clock."""
    age_s: float
    cpu_s: float
    rss_bytes: int
    """Pages that several of them share are counted for each."""


class _Row(NamedTuple):
    parent: int
    session: int
    ticks: int
    cpu_s: float
    rss_bytes: int


def read_birth(place: Path) -> Birth | None:
    """Read what the runner noted in an instance's folder; `None`: nothing yet."""
    try:
        words = (place / "process").read_bytes().split()
        boot, *numbers = words
        return Birth(boot.decode("ascii", "replace"), *map(int, numbers))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


class Processes:
    """Look at this machine's processes, all at once and not more often than is useful."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._at = float("-inf")
        self._rows: dict[int, _Row] = {}
        self._children: dict[int, list[int]] = {}

    def used(self, birth: Birth) -> Used | None:
        """Add up what an instance has used.

        Returns:
            `None`: its first process is not here, or not any more.
        """
        if birth.boot != boot_id():
            return None
        with self._turn:
            if time.monotonic() - self._at >= FRESH_S:
                self._look()
            first = self._rows.get(birth.pid)
            if first is None or first.ticks != birth.ticks:
                return None
            rows = [self._rows[pid] for pid in self._tree(birth.pid)]
            age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - birth.ticks / _HERTZ
            return Used(
                at=self._at,
                age_s=age_s - (time.monotonic() - self._at),
                cpu_s=sum(row.cpu_s for row in rows),
                rss_bytes=sum(row.rss_bytes for row in rows),
            )

    def _look(self) -> None:
        self._rows = dict(_scan())
        self._at = time.monotonic()
        self._children = {}
        for pid, row in self._rows.items():
            self._children.setdefault(row.parent, []).append(pid)
            # A process whose parent has ended is in the session yet.
            if row.session not in {pid, row.parent}:
                self._children.setdefault(row.session, []).append(pid)

    def _tree(self, pid: int) -> set[int]:
        found = {pid}
        waiting = [pid]
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found


def _scan() -> Iterator[tuple[int, _Row]]:
    """List all processes.

    Source: proc(5), /proc/PID/stat: fields 4, 6, 14 to 17, 22 and 24.
    """
    for name in os.listdir("/proc"):  # noqa: PTH208 - a look should be cheap
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:  # noqa: PTH123
                words = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        cpu = sum(int(word) for word in words[11:15]) / _HERTZ
        yield int(name), _Row(int(words[1]), int(words[3]), int(words[19]), cpu,
                              int(words[21]) * _PAGE)  # fmt: skip


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@cache
def boot_id() -> str:
    """Name this boot of this machine; empty where that cannot be known."""
    return _text("/proc/sys/kernel/random/boot_id").strip()


@cache
def cpu_model() -> str:
    """Name this machine's processor."""
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return "unknown"


@cache
def memory_bytes() -> int:
    """Tell this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE
