"""Bytes on their way out: an object's content as it was when it was opened, whatever follows."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

    from drover_objectstore._store._blobs import BlobFolder


class Content:
    """The bytes of an object: few in memory, or a row of files. Used by one thread at a time."""

    def __init__(
        self, blobs: BlobFolder, content: int, body: bytes | None, pieces: Sequence[tuple[str, int]]
    ) -> None:
        self._blobs = blobs
        self._id: int | None = content
        self._body = body
        self._pieces = pieces
        self._open = (-1, -1)
        self.ends = list(accumulate(size for _, size in pieces))
        """Where each piece ends; the pieces are the parts of an upload."""
        self.size = len(body) if body is not None else sum(size for _, size in pieces)

    def read_at(self, offset: int, count: int) -> bytes:
        """Read up to *count* bytes; fewer at the end of a piece, none at the end of all."""
        if self._body is not None:
            return self._body[offset : offset + count]
        if offset >= self.size:
            return b""
        number = bisect_right(self.ends, offset)
        begin = self.ends[number - 1] if number else 0
        wanted = min(count, self.ends[number] - offset)
        return os.pread(self._descriptor(number), wanted, offset - begin)

    def _descriptor(self, number: int) -> int:
        at, descriptor = self._open
        if at != number:
            self._close_piece()
            descriptor = self._blobs.open(self._pieces[number][0])
            self._open = (number, descriptor)
        return descriptor

    def _close_piece(self) -> None:
        if self._open[1] >= 0:
            os.close(self._open[1])
            self._open = (-1, -1)

    def close(self) -> None:
        """Let the store delete the files if the object is gone."""
        self._close_piece()
        if self._id is not None:
            self._blobs.unpin(self._id)
            self._id = None


class ObjectFile(io.RawIOBase):
    """A content as a file that can be read and sought."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        data = self._content.read_at(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go somewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Say where we are."""
        return self._at

    def close(self) -> None:
        """Let go of the content."""
        if not self.closed:
            self._content.close()
        super().close()
