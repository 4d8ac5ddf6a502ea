"""What the agent has begun, in a mapped file that outlives it.

One entry per token that was spawned and whose end the engine has not made durable yet. Every
entry is written before what it announces: the intent before the spawn, the end before the reap.
The state byte goes last, so that a kill in between leaves the entry as it was. The file survives
the death of any process; it is not forced to the disk, and a reboot makes every entry an end.
"""

import json
import mmap
import os
import struct
from typing import Any, Final, cast

from drover_local._identity import boot_id

FREE, INTENT, RUNNING, ENDED = range(4)
EXITED, LAUNCH_FAILED, LOST, NODE_LOST = range(4)
"""How it ended: by a wait status, or without one."""

_MAGIC: Final = b"DROVERL1"
_HEAD: Final = struct.Struct("<8sQ64s")
_FIXED: Final = struct.Struct("<BBBBiIQQddddddQHH")
# Parts of it that are written together: by when it was noted, by pid, by kind, by when it ended,
# by what it used.
_NOTED: Final = struct.Struct("<QQd")
_SPAWNED: Final = struct.Struct("<IQQdd")
_ENDED: Final = struct.Struct("<Bi")
_AT: Final = struct.Struct("<d")
_USED: Final = struct.Struct("<dddQ")
_START: Final = 4096
_SLOT: Final = 1024
_GROW: Final = 1024


class Entry:
    """One token's line, as it was read back. Times in seconds since 1970 UTC."""

    # Not attrs: the agent does without the import, and wait4 reports its size for small jobs.
    __slots__ = (
        "cause", "detail", "ended_at", "index", "kind", "max_rss", "noted_at", "pid",
        "spawned_after_ns", "spawned_before_ns", "started_at", "state", "status", "suspended",
        "system_s", "token", "user_s", "wall_s",
    )  # fmt: skip

    def __init__(
        self, index: int, row: tuple[Any, ...], token: str, detail: dict[str, Any]
    ) -> None:
        self.index, self.token, self.detail = index, token, detail
        (
            self.state, self.cause, self.suspended, self.kind, self.status, self.pid,
            self.spawned_after_ns, self.spawned_before_ns, self.noted_at, self.started_at,
            self.ended_at, self.user_s, self.system_s, self.wall_s, self.max_rss,
        ) = row[:15]  # fmt: skip


class Ledger:
    """The agent's own memory. One process may have it open, which the agent's lock ensures."""

    def __init__(self, path: bytes) -> None:
        """Open the file, make it if needed.

        Raises:
            OSError: It cannot be opened or has no room on the disk.
            ValueError: It is not a ledger.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._fd).st_size
        fresh = size < _START
        if fresh:
            size = self._reserve(_START + _GROW * _SLOT)
        self._map = mmap.mmap(self._fd, size)
        if fresh:
            _HEAD.pack_into(self._map, 0, _MAGIC, 0, boot_id().encode("ascii"))
        magic, epoch, boot = _HEAD.unpack_from(self._map, 0)
        self._epoch = int(epoch)
        if magic != _MAGIC:
            raise ValueError(f"{os.fsdecode(path)!r} is not a ledger of this version")
        self._boot: str = boot.rstrip(b"\0").decode("ascii")
        self._free: list[int] = []
        self.entries: list[Entry] = self._read()

    @property
    def epoch(self) -> int:
        """Give the largest epoch of an engine that was ever seen."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch = value
        struct.pack_into("<Q", self._map, 8, value)

    @property
    def rebooted(self) -> bool:
        """Tell whether the entries are of another boot; `keep_boot` says that it was seen to."""
        return self._boot != boot_id()

    def keep_boot(self) -> None:
        """Write down this boot, once every entry of the older one was ended."""
        self._boot = boot_id()
        struct.pack_into("<64s", self._map, 16, self._boot.encode("ascii"))

    def intend(self, note: bytes, at: float, after_ns: int) -> int:
        """Note that a token is about to be spawned.

        Args:
            note: What `note_of` made.
            at: The time.
            after_ns: The time of the boot's clock.

        Returns:
            The entry's index.

        Raises:
            OSError: There is no room left on the disk; nothing may be spawned.
        """
        if not self._free:
            self._extend()
        index = self._free.pop()
        offset = _START + index * _SLOT
        self._map[offset : offset + len(note)] = note
        _NOTED.pack_into(self._map, offset + 12, after_ns, 0, at)
        self._map[offset] = INTENT
        return index

    def spawned(self, index: int, pid: int, span: tuple[int, int], at: float) -> None:
        """Note that the command runs as *pid*, made within *span* of the boot's clock."""
        offset = _START + index * _SLOT
        _SPAWNED.pack_into(self._map, offset + 8, pid, *span, at, at)
        self._map[offset] = RUNNING

    def adopt_span(self, index: int, pid: int, after_ns: int, before_ns: int) -> None:
        """Note what was found out about a spawn whose result had not been noted."""
        offset = _START + index * _SLOT
        struct.pack_into("<I", self._map, offset + 8, pid)
        struct.pack_into("<QQ", self._map, offset + 12, after_ns, before_ns)
        self._map[offset] = RUNNING

    def mark(self, index: int, *, cause: int | None = None, suspended: bool | None = None) -> None:
        """Note why it is being ended, or that it was stopped or goes on."""
        offset = _START + index * _SLOT
        if cause is not None:
            self._map[offset + 1] = cause
        if suspended is not None:
            self._map[offset + 2] = suspended

    def ended(self, index: int, kind: int, status: int, at: float) -> None:
        """Note the end."""
        offset = _START + index * _SLOT
        _ENDED.pack_into(self._map, offset + 3, kind, status)
        _AT.pack_into(self._map, offset + 44, at)
        self._map[offset] = ENDED

    def used(self, index: int, user_s: float, system_s: float, wall_s: float, rss: int) -> None:
        """Note what the job used."""
        _USED.pack_into(self._map, _START + index * _SLOT + 52, user_s, system_s, wall_s, rss)

    def explain(self, index: int, token: str, native_id: str, message: str) -> None:
        """Keep the words that go with an end, shortened to what fits."""
        offset = _START + index * _SLOT
        name = token.encode("ascii")
        room = _SLOT - _FIXED.size - len(name)
        text = message
        detail = _message(native_id, text)
        while len(detail) > room:
            text = text[: len(text) * 3 // 4]
            detail = _message(native_id, text + "...")
        start = offset + _FIXED.size + len(name)
        self._map[start : start + len(detail)] = detail
        struct.pack_into("<H", self._map, offset + _FIXED.size - 2, len(detail))

    def free(self, index: int) -> None:
        """Forget an entry: the engine has its end."""
        self._map[_START + index * _SLOT] = FREE
        self._free.append(index)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._fd)

    def _read(self) -> list[Entry]:
        entries: list[Entry] = []
        for index in range((len(self._map) - _START) // _SLOT - 1, -1, -1):
            offset = _START + index * _SLOT
            if self._map[offset] == FREE:
                self._free.append(index)
                continue
            row = _FIXED.unpack_from(self._map, offset)
            start = offset + _FIXED.size
            name = self._map[start : start + row[15]].decode("ascii")
            text = self._map[start + row[15] : start + row[15] + row[16]]
            entries.append(Entry(index, row, name, _detail(text)))
        entries.reverse()
        return entries

    def _reserve(self, size: int) -> int:
        # Writing to a mapped page without room behind it would be SIGBUS: take the room first.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._fd, 0, size)
        else:
            os.ftruncate(self._fd, size)
        return size

    def _extend(self) -> None:
        old = len(self._map)
        size = self._reserve(old + _GROW * _SLOT)
        self._map.close()
        self._map = mmap.mmap(self._fd, size)
        first = (old - _START) // _SLOT
        self._free.extend(range(first + _GROW - 1, first - 1, -1))


def note_of(token: str, detail: bytes) -> bytes:
    """Make an entry as it is before the spawn, but for the time, which comes with `intend`."""
    name = token.encode("ascii")
    room = _SLOT - _FIXED.size - len(name)
    detail = detail if len(detail) <= room else b"{}"
    fixed = _FIXED.pack(
        FREE, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, len(name), len(detail)
    )
    return fixed + name + detail


def _message(native_id: str, text: str) -> bytes:
    return json.dumps({"native_id": native_id, "message": text}).encode("ascii")


def _detail(text: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(text or b"{}")
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
