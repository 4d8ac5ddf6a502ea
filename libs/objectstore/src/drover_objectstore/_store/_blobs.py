"""The files that hold bytes: `blobs/ab/REST`, named at random. No user's word is in any path."""

import contextlib
import errno
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from drover_objectstore.errors import StorageFullError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


def as_full(error: OSError) -> Exception:
    """Tell a full disk, which is the user's affair, from other faults, which are ours."""
    return StorageFullError() if error.errno in _FULL else error


class BlobFolder:
    """A folder of files that are written once. One without a row in the index is rubbish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._pinned: Counter[int] = Counter()
        self._doomed: dict[int, list[str]] = {}

    def path(self, blob: str) -> Path:
        """Name the file of a blob."""
        return self.folder / blob[:2] / blob[2:]

    def create(self) -> tuple[str, int]:
        """Begin a blob; give its name and a descriptor to write to."""
        blob = secrets.token_hex(16)
        path = self.path(blob)
        try:
            return blob, os.open(path, _CREATE, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self.folder)
            return blob, os.open(path, _CREATE, 0o600)

    def seal(self, blob: str, descriptor: int) -> None:
        """See to it that a blob and its name are on disk, and close it."""
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(self.path(blob).parent)

    def open(self, blob: str) -> int:
        """Open a blob for reading."""
        return os.open(self.path(blob), _READ)

    def remove(self, blobs: Iterable[str]) -> None:
        """Delete files that no row names."""
        for blob in blobs:
            self.path(blob).unlink(missing_ok=True)

    def pin(self, content: int) -> None:
        """Keep the files of a content until it is unpinned, also if it is deleted meanwhile."""
        with self._lock:
            self._pinned[content] += 1

    def unpin(self, content: int) -> None:
        """Let go of a content; the last to do so deletes what was deleted meanwhile."""
        with self._lock:
            self._pinned[content] -= 1
            if self._pinned[content] > 0:
                return
            del self._pinned[content]
            gone = self._doomed.pop(content, [])
        self.remove(gone)

    def doom(self, contents: Iterable[tuple[int, list[str]]]) -> None:
        """Delete the files of contents that no row names any longer, once nobody reads them."""
        for content, blobs in contents:
            with self._lock:
                if self._pinned[content] > 0:
                    self._doomed[content] = blobs
                    continue
                del self._pinned[content]
            self.remove(blobs)

    def sweep(self, index: Connection) -> int:
        """Delete what a process that died left behind.

        Returns:
            How many files that were.
        """
        count = 0
        with os.scandir(self.folder) as folders:
            names = [entry.name for entry in folders if entry.is_dir(follow_symlinks=False)]
        for name in names:
            rows = index.execute(
                "SELECT blob FROM piece WHERE blob >= ? AND blob < ?", (name, name + "g")
            )
            known = {blob for (blob,) in rows}
            files = [name + path.name for path in (self.folder / name).iterdir()]
            left = [blob for blob in files if blob not in known]
            self.remove(left)
            count += len(left)
        return count


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, _READ | os.O_DIRECTORY)
    try:
        # Some file systems cannot, and need not.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
