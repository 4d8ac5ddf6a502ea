"""Tokens that must never start any more, in a file that is forced to the disk.

One line per fact: `+token` closed, `-token` forgotten. A torn last line was never answered and
counts for nothing.
"""

import contextlib
import os
from collections.abc import Iterable


class ClosedTokens:
    """A durable set. One process may have it open, which the agent's lock ensures."""

    def __init__(self, path: bytes) -> None:
        """Read the file and drop from it what was forgotten.

        Raises:
            OSError: It cannot be read or written.
        """
        self._path = path
        self._tokens: set[str] = set()
        lines = self._lines()
        for line in lines:
            if line.startswith("+"):
                self._tokens.add(line[1:])
            else:
                self._tokens.discard(line[1:])
        if len(lines) > len(self._tokens):
            self._rewrite()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._torn = self._ends_torn()

    def __contains__(self, token: str) -> bool:
        return token in self._tokens

    def add(self, tokens: Iterable[str]) -> None:
        """Close tokens; they are on the disk when it returns.

        Raises:
            OSError: They may not be; none of them counts as closed.
        """
        fresh = [token for token in tokens if token not in self._tokens]
        if not fresh:
            return
        self._append("+", fresh)
        os.fdatasync(self._fd)
        self._tokens.update(fresh)

    def forget(self, tokens: Iterable[str]) -> None:
        """Drop tokens whose jobs are purged."""
        known = [token for token in tokens if token in self._tokens]
        if known:
            with contextlib.suppress(OSError):
                self._append("-", known)
            self._tokens.difference_update(known)

    def _append(self, sign: str, tokens: list[str]) -> None:
        data = "".join(f"{sign}{token}\n" for token in tokens).encode("ascii")
        if self._torn:
            data = b"\n" + data
        self._torn = True
        if os.write(self._fd, data) != len(data):
            raise OSError(f"{os.fsdecode(self._path)!r} was not written in full")
        self._torn = False

    def _lines(self) -> list[str]:
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1].decode("ascii", "replace")
        return [line for line in whole.split("\n") if line[:1] in {"+", "-"}]

    def _ends_torn(self) -> bool:
        with open(self._path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return False
            file.seek(size - 1)
            return file.read(1) != b"\n"

    def _rewrite(self) -> None:
        fresh = self._path + b".new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write("".join(f"+{token}\n" for token in sorted(self._tokens)).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, self._path)
