"""Output: while a job runs from the cloud's streams, afterwards from the bucket, byte for byte."""

import re
from pathlib import Path
from typing import Final

from drover.commandline import output_path, read_chunk
from drover.models import Attempt, Chunk, Stream
from drover_qarnot._book import Book
from drover_qarnot._cloud import AbsentError, Cloud
from drover_qarnot._names import result_key
from drover_qarnot.runner import ESCAPE

_ESCAPED: Final = re.compile("[\uf700-\uf7ff]+")


def unescape(text: str) -> bytes:
    """Read what the runner has shown as text back to the command's own bytes."""
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPED.finditer(text):
        parts += [text[end : found.start()].encode("utf-8", "surrogatepass"),
                  bytes(ord(char) - ESCAPE for char in found.group())]  # fmt: skip
        end = found.end()
    return b"".join([*parts, text[end:].encode("utf-8", "surrogatepass")])


class Output:
    """Read pieces of streams."""

    def __init__(self, cloud: Cloud, book: Book) -> None:
        self._cloud = cloud
        self._book = book

    def read(self, attempt: Attempt, stream: Stream, offset: int, size: int) -> Chunk | None:
        """Read a piece; `None` if there is no output (yet)."""
        spec = attempt.spec
        if spec.join_output:
            stream = Stream.STDOUT
        if (spec.stdout if stream is Stream.STDOUT else spec.stderr) is not None:
            # Only where the nodes see our files.
            return read_chunk(output_path(Path(), attempt, stream), offset, size)
        member = self._book.members([attempt.token]).get(attempt.token)
        if member is None or not member.posted:
            return None
        data = None
        if not member.ended:
            data = self._live(member.batch, member.instance, stream)
        if data is None:
            bucket = str(self._book.body(member.batch)["results"])
            key = result_key(member.batch, member.instance, f"{stream.value}.0")
            piece = self._cloud.get(bucket, key, offset, size)
            return None if piece is None else Chunk(data=piece, offset=offset)
        return Chunk(data=data[offset : offset + size], offset=offset, size=len(data))

    def _live(self, batch: str, instance: int, stream: Stream) -> bytes | None:
        task = self._cloud.task(batch)
        if task is None:
            return None
        read = task.stdout if stream is Stream.STDOUT else task.stderr
        try:
            return unescape(self._cloud.ask(lambda _connection: str(read(instance))))
        except AbsentError:
            return None
