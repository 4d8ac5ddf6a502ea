"""Bodies of type `aws-chunked`: chunks with or without signatures, and trailers behind them.

Source: AWS, "Signature calculations for the Authorization header: transferring payload in
multiple chunks" and "... with trailing headers", S3 API reference.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drover_objectstore._http import _sigv4
from drover_objectstore.errors import (
    IncompleteBodyError,
    InvalidRequestError,
    SignatureDoesNotMatchError,
)

_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_LINE: Final = 1024
_TRAILERS: Final = 8192


@dataclass
class Chain:
    """What each chunk is signed with: the key, and the signature before it."""

    key: bytes
    stamp: str
    scope: str
    last: str

    def check(self, kind: str, hashes: str, given: str) -> None:
        """Refuse a chunk, or trailers, that are not as they were signed.

        Raises:
            SignatureDoesNotMatchError: They are not.
        """
        text = f"AWS4-HMAC-SHA256-{kind}\n{self.stamp}\n{self.scope}\n{self.last}\n{hashes}"
        expected = _sigv4.digest(self.key, text).hex()
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise SignatureDoesNotMatchError
        self.last = given


class ChunkReader:
    """Takes a body as it comes and gives what is in it. No chunk is kept: it may have any size."""

    def __init__(self, chain: Chain | None, *, trailers: bool) -> None:
        self._chain, self._has_trailers = chain, trailers
        self._buffer = bytearray()
        self._left = 0
        self._state = "head"
        self._signature = ""
        self._hash = hashlib.sha256()
        self.trailers: dict[str, str] = {}
        """By names in small letters; known at the end."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take some bytes, and give what they contain."""
        self._buffer += data
        while True:
            if self._state == "data":
                yield from self._data()
                if self._left:
                    return
                self._state = "gap"
            elif self._state == "gap":
                if len(self._buffer) < 2:
                    return
                self._end_chunk()
            elif self._state == "head":
                line = self._line()
                if line is None:
                    return
                self._head(line)
            else:
                if len(self._buffer) > _TRAILERS:
                    raise InvalidRequestError("The trailers are too long.")
                return

    def _data(self) -> Iterator[bytes]:
        data = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(data)
        if self._chain is not None:
            self._hash.update(data)
        if data:
            yield data

    def _line(self) -> str | None:
        at = self._buffer.find(b"\r\n")
        if at < 0:
            if len(self._buffer) > _LINE:
                raise InvalidRequestError("A chunk's first line is too long.")
            return None
        line = self._buffer[:at].decode("latin-1")
        del self._buffer[: at + 2]
        return line

    def _head(self, line: str) -> None:
        size, _, extension = line.partition(";")
        try:
            self._left = int(size, 16)
        except ValueError:
            raise InvalidRequestError("A chunk has no size.") from None
        if self._left < 0:
            raise InvalidRequestError("A chunk has a negative size.")
        self._signature = extension.strip().removeprefix("chunk-signature=")
        self._hash = hashlib.sha256()
        if self._left:
            self._state = "data"
        else:
            self._check_chunk()
            self._state = "trailers"

    def _end_chunk(self) -> None:
        if bytes(self._buffer[:2]) != b"\r\n":
            raise InvalidRequestError("A chunk is longer than its size.")
        del self._buffer[:2]
        self._check_chunk()
        self._state = "head"

    def _check_chunk(self) -> None:
        if self._chain is not None:
            hashes = f"{_EMPTY}\n{self._hash.hexdigest()}"
            self._chain.check("PAYLOAD", hashes, self._signature)

    def end(self) -> None:
        """Read the trailers.

        Raises:
            IncompleteBodyError: The last chunk has not come.
            SignatureDoesNotMatchError: The trailers are not as they were signed.
        """
        if self._state != "trailers":
            raise IncompleteBodyError
        lines = self._buffer.decode("utf-8", "replace").split("\r\n")
        pairs = [line.partition(":") for line in lines if ":" in line]
        rows = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        self.trailers = dict(rows)
        given = self.trailers.pop("x-amz-trailer-signature", "")
        if self._chain is not None and self._has_trailers:
            text = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            self._chain.check("TRAILER", hashlib.sha256(text.encode()).hexdigest(), given)
