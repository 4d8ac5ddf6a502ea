"""What a job has written. Reading consumes nothing, from any process."""

import codecs
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from drover._engine import attempt_of
from drover.models import Chunk, Stream

if TYPE_CHECKING:
    from drover.session._job import Job

PIECE: Final = 1 << 20
FOLLOW_S: Final = 0.05
"""Between two looks at output that grows: what a person takes for at once."""


class Output:
    """One stream of a job."""

    def __init__(self, job: "Job", stream: Stream) -> None:
        self._job = job
        self._stream = stream

    @property
    def path(self) -> Path | None:
        """Give the file that holds it; `None` if there is none (yet) on this machine."""
        chunk = self._chunk(0, 0)
        return None if chunk is None or chunk.path is None else Path(chunk.path)

    def _chunk(self, offset: int, size: int, attempt: int | None = None) -> Chunk | None:
        record = self._job.record
        if attempt is not None and attempt != record.attempt:
            record = evolve(record, attempt=attempt, restart=0, token="")
        backend = self._job.session.load_backend(record.backend)
        answer: Chunk | None = backend.call(
            "drover_read_output",
            attempt=attempt_of(record, token=self._job.session.token_of(record)),
            stream=self._stream,
            offset=offset,
            size=size,
        )
        return answer

    def read_bytes(
        self, offset: int = 0, size: int | None = None, *, attempt: int | None = None
    ) -> bytes:
        """Read what is there.

        Args:
            offset: Where to begin, in bytes.
            size: How many bytes at most; `None`: all.
            attempt: Of an earlier attempt, by its number. `None`: the present one.

        Raises:
            BackendError: The output cannot be reached now.
        """
        pieces: list[bytes] = []
        left = size
        while left is None or left > 0:
            piece = PIECE if left is None else min(PIECE, left)
            chunk = self._chunk(offset, piece, attempt)
            if chunk is None or not chunk.data:
                break
            pieces.append(chunk.data)
            offset += len(chunk.data)
            left = None if left is None else left - len(chunk.data)
        return b"".join(pieces)

    def read(self) -> str:
        """Read what is there as text: UTF-8, other bytes as backslash escapes."""
        return self.read_bytes().decode("utf-8", "backslashreplace")

    def follow_bytes(self) -> Iterator[bytes]:
        """Read what is there and what comes, until the job has ended.

        Every attempt is read to its end before the next is begun.
        """
        attempt, offset = self._job.attempt, 0
        while True:
            record = self._job.refresh()
            chunk = self._chunk(offset, PIECE, attempt)
            if chunk is not None and chunk.data:
                offset += len(chunk.data)
                yield chunk.data
            elif record.attempt != attempt:
                attempt, offset = attempt + 1, 0
            elif record.state.ends_wait:
                return
            else:
                time.sleep(FOLLOW_S)

    def follow(self) -> Iterator[str]:
        """Read as `follow_bytes` does, as text."""
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        for piece in self.follow_bytes():
            text = decoder.decode(piece)
            if text:
                yield text
        rest = decoder.decode(b"", final=True)
        if rest:
            yield rest
