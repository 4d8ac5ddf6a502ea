"""Bodies on their way in: decoded, counted, hashed, and held against all that was said of them."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from drover_objectstore import checksums
from drover_objectstore._http._auth import Payload
from drover_objectstore._http._chunked import ChunkReader
from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response
from drover_objectstore._store import Incoming
from drover_objectstore.errors import (
    BadDigestError,
    EntityTooLargeError,
    IncompleteBodyError,
    InvalidDigestError,
    MalformedXmlError,
    MissingLengthError,
    PayloadHashError,
)

SUMS: Final = {f"x-amz-checksum-{name}": name for name in checksums.ALGORITHMS}


def announced(request: Request, payload: Payload) -> int:
    """Give the size of what is in a body.

    Raises:
        MissingLengthError: It is not told.
    """
    if payload.chunked:
        text = request.headers.get("x-amz-decoded-content-length", "")
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise MissingLengthError
        return int(text)
    if request.length is None:
        raise MissingLengthError
    return request.length


class Intake:
    """Takes a body and gives the bytes in it to *take*; at the end they are what was announced."""

    def __init__(
        self, request: Request, payload: Payload, limit: int, take: Callable[[bytes], None]
    ) -> None:
        self._size, self._take, self._came = announced(request, payload), take, 0
        if self._size > limit:
            raise EntityTooLargeError(ProposedSize=str(self._size), MaxSizeAllowed=str(limit))
        self._sha256, self._hash = payload.sha256, hashlib.sha256()
        self._md5 = _md5(request.headers.get("content-md5"))
        self._reader = (
            ChunkReader(payload.chain, trailers=payload.trailers) if payload.chunked else None
        )
        self._claims = {
            name: checksums.checked(name, request.headers[header])
            for header, name in SUMS.items()
            if header in request.headers
        }
        trailer = request.headers.get("x-amz-trailer", "").strip().lower()
        self._trailer = trailer if trailer in SUMS else ""
        self.algorithms = {*self._claims, *([SUMS[trailer]] if self._trailer else [])}
        """The checksums that are to be computed."""

    def feed(self, data: bytes) -> None:
        """Take some bytes as they came."""
        for piece in self._reader.feed(data) if self._reader is not None else (data,):
            self._came += len(piece)
            if self._came > self._size:
                raise IncompleteBodyError("More bytes came than were announced.")
            if self._sha256:
                self._hash.update(piece)
            self._take(piece)

    def end(self, md5: bytes, sums: dict[str, str]) -> None:
        """Hold what came against what was said of it.

        Raises:
            IncompleteBodyError: It is too short.
            PayloadHashError: It is not what was signed.
            BadDigestError: It has another checksum.
        """
        if self._reader is not None:
            self._reader.end()
            if self._trailer:
                name = SUMS[self._trailer]
                given = self._reader.trailers.get(self._trailer, "")
                self._claims[name] = checksums.checked(name, given)
        if self._came != self._size:
            raise IncompleteBodyError
        if self._sha256 and not hmac.compare_digest(self._hash.hexdigest(), self._sha256):
            raise PayloadHashError
        if self._md5 is not None and self._md5 != md5:
            raise BadDigestError
        for name, value in self._claims.items():
            if sums[name] != value:
                raise BadDigestError(f"The x-amz-checksum-{name} you specified did not match.")


def _md5(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise InvalidDigestError
    return value


class ObjectSink:
    """Takes the body of an object or part."""

    def __init__(
        self,
        request: Request,
        payload: Payload,
        limit: int,
        incoming: Incoming,
        keep: Callable[[Incoming], Response],
    ) -> None:
        self._incoming, self._keep = incoming, keep
        try:
            self._intake = Intake(request, payload, limit, incoming.write)
        except BaseException:
            incoming.discard()
            raise
        for name in self._intake.algorithms:
            incoming.want(name)

    def feed(self, data: bytes) -> None:
        """Take some bytes as they came."""
        self._intake.feed(data)

    def end(self) -> Response:
        """Keep what came, if it is what was announced."""
        self._intake.end(self._incoming.md5, self._incoming.checksums)
        self._incoming.finish()
        return self._keep(self._incoming)

    def abort(self) -> None:
        """Discard what was not kept."""
        self._incoming.discard()


class DocumentSink:
    """Takes a body that is read as a whole, such as XML."""

    def __init__(
        self, request: Request, payload: Payload, limit: int, use: Callable[[bytes], Response]
    ) -> None:
        self._body, self._use = bytearray(), use
        try:
            self._intake = Intake(request, payload, limit, self._body.extend)
        except EntityTooLargeError:
            raise MalformedXmlError from None

    def feed(self, data: bytes) -> None:
        """Take some bytes as they came."""
        self._intake.feed(data)

    def end(self) -> Response:
        """Use what came, if it is what was announced."""
        body = bytes(self._body)
        sums: dict[str, str] = {}
        for name in self._intake.algorithms:
            made = checksums.checksum(name)
            made.update(body)
            sums[name] = made.base64()
        self._intake.end(hashlib.md5(body, usedforsecurity=False).digest(), sums)
        return self._use(body)

    def abort(self) -> None:
        """Nothing is left behind in any case."""
