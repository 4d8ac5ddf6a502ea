"""Bytes on their way in: hashed as they come, in memory while they are few, then in a file."""

import hashlib
import os
from collections.abc import Iterable
from typing import Final

from drover_objectstore._store._blobs import BlobFolder, as_full
from drover_objectstore.checksums import Checksum, checksum
from drover_objectstore.models import KIB

# A row of the index costs one wait for the disk, a file three (itself, its folder, the row).
INLINE_BYTES: Final = 64 * KIB


class Incoming:
    """An upload that no row names yet: kept by the store, or discarded."""

    def __init__(
        self, blobs: BlobFolder, algorithms: Iterable[str] = (), *, inline: bool = True
    ) -> None:
        self._blobs = blobs
        self._inline = INLINE_BYTES if inline else 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sums: dict[str, Checksum] = {name: checksum(name) for name in algorithms}
        self._body = bytearray()
        self._descriptor = -1
        self.blob = ""
        """The file's name; empty: all is in *body*."""
        self.size = 0

    @property
    def body(self) -> bytes:
        """Give the bytes of an upload that has no file."""
        return bytes(self._body)

    @property
    def etag(self) -> str:
        """Give the MD5 in hexadecimal."""
        return self._md5.hexdigest()

    @property
    def md5(self) -> bytes:
        """Give the MD5."""
        return self._md5.digest()

    @property
    def checksums(self) -> dict[str, str]:
        """Give what was asked for, in base64."""
        return {name: each.base64() for name, each in self._sums.items()}

    def want(self, algorithm: str) -> None:
        """Ask for one more checksum, before the first byte."""
        assert self.size == 0
        self._sums.setdefault(algorithm, checksum(algorithm))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take some bytes.

        Raises:
            StorageFullError: The disk is full; discard what has come.
        """
        self._md5.update(data)
        for each in self._sums.values():
            each.update(data)
        self.size += len(data)
        if not self.blob and self.size <= self._inline:
            self._body += data
            return
        try:
            if not self.blob:
                self.blob, self._descriptor = self._blobs.create()
                _write_all(self._descriptor, self._body)
                self._body.clear()
            _write_all(self._descriptor, data)
        except OSError as error:
            raise as_full(error) from error

    def finish(self) -> None:
        """See to it that what has come is on disk.

        Raises:
            StorageFullError: The disk is full; discard what has come.
        """
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            self._blobs.seal(self.blob, descriptor)
        except OSError as error:
            raise as_full(error) from error

    def discard(self) -> None:
        """Leave nothing behind. What the store has kept is let alone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self.blob:
            self._blobs.remove([self.blob])
            self.blob = ""
        self._body.clear()

    def kept(self) -> None:
        """Hand over to the index: from now on the file is a row's."""
        self.blob = ""
        self._body.clear()


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
