"""Which jobs of a session were reaped: a file, so that a crash does not bring them back."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from drover.errors import StoreUnusableError

FOLDER: Final = "drmaa"


class Reaped:
    """The ids of a session's reaped jobs, one a line. Several processes may hold the same."""

    def __init__(self, home: Path, key: str) -> None:
        self._home = home
        self._read = 0
        self._ids: set[str] = set()
        with self._told():
            (home / FOLDER).mkdir(mode=0o700, exist_ok=True)
            path, flags = home / FOLDER / f"{key}.reaped", os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
            self._catch_up()

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._ids

    def claim(self, job_id: str) -> bool:
        """Reap a job, unless somebody was faster: another thread, or another process.

        Returns:
            Whether it is reaped now and was not before.

        Raises:
            StoreUnusableError: It cannot be written down; then it is not reaped.
        """
        with self._told(), self._locked():
            is_torn = self._catch_up()
            if job_id in self._ids:
                return False
            os.write(self._fd, b"\n" * is_torn + f"{job_id}\n".encode())
            self._catch_up()
            return True

    def _catch_up(self) -> bool:
        """Read what was appended; tell whether the last line has no end, as after a power cut."""
        left = os.fstat(self._fd).st_size - self._read
        whole, newline, torn = os.pread(self._fd, left, self._read).rpartition(b"\n")
        self._ids.update(whole.decode("ascii", "replace").split())
        self._read += len(whole) + len(newline)
        return bool(torn)

    @contextmanager
    def _locked(self) -> Generator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except OSError as exc:
            why = f"what was waited for cannot be kept in {FOLDER!r}: {exc.strerror}"
            raise StoreUnusableError(str(self._home), why) from exc

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
