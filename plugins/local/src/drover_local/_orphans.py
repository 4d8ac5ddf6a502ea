"""What the keeper found out about jobs whose agent died: lines in a file for the next agent."""

import contextlib
import json
import mmap
import os
import struct
from typing import Any, Final

# An orphan is 150 bytes; daemons that jobs leave behind count too.
MAX_BYTES: Final = 4 * 2**20
_KEEP: Final = 10_000


class Tally:
    """How many orphans the keeper has reaped and written down, in memory its agents share.

    Where the two are equal, the file tells of every orphan that is not there any more.
    """

    _WORD: Final = struct.Struct("@Q")

    def __init__(self, since_ns: int) -> None:
        """Begin to count.

        Args:
            since_ns: The instant of the boot's clock since which the keeper has reaped every
                child that an agent of this place left behind.
        """
        self.since_ns: Final = since_ns
        self._map = mmap.mmap(-1, 2 * self._WORD.size)

    @property
    def reaped(self) -> int:
        """Count the orphans that were reaped, or are being."""
        return int(self._WORD.unpack_from(self._map, 0)[0])

    @property
    def written(self) -> int:
        """Count those that are in the file. Once a line is lost, this stays behind for ever."""
        return int(self._WORD.unpack_from(self._map, self._WORD.size)[0])

    def reaping(self) -> None:
        """Note that the next one is about to vanish."""
        self._WORD.pack_into(self._map, 0, self.reaped + 1)

    def wrote(self) -> None:
        """Note that its line is in the file."""
        self._WORD.pack_into(self._map, self._WORD.size, self.written + 1)


class OrphanWriter:
    """Append what the keeper sees. Only the keeper writes."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def add(self, row: dict[str, Any]) -> bool:
        """Write one line; a full disk loses it, and the job may then be LOST.

        Returns:
            Whether it was written.
        """
        data = json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n"
        written = 0
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                written = os.write(fd, data)
                large = os.fstat(fd).st_size > MAX_BYTES
            finally:
                os.close(fd)
            if large:
                self._shorten()
        return written == len(data)

    def clear(self) -> None:
        """Forget all: no job is left that could be asked about."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _shorten(self) -> None:
        with open(self._path, "rb") as file:
            lines = file.read().splitlines(keepends=True)[-_KEEP:]
        fresh = self._path + b".new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.writelines(lines)
        os.rename(fresh, self._path)


class OrphanReader:
    """Read what the keeper wrote, as far as it has."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        self.ends: dict[int, list[dict[str, Any]]] = {}
        """By pid, oldest first: `ticks`, `session`, `executed`, `status`, `at`, what it used."""
        self.tokens: dict[str, dict[str, Any]] = {}
        """By token: `pid` and `ticks` of children that the agent left behind."""

    def refresh(self) -> bool:
        """Read on.

        Returns:
            Whether there is a file to read.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        with open(fd, "rb") as file:
            inode = os.fstat(fd).st_ino
            offset = self._seen[1] if self._seen[0] == inode else 0
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._seen = (inode, offset + len(whole))
        for line in whole.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                if "token" in row:
                    self.tokens[row["token"]] = row
                else:
                    self.ends.setdefault(row["pid"], []).append(row)
        return True
