"""The ASGI application: bytes in, bytes out, and everything that blocks in threads."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from drover_objectstore._http._auth import Gate
from drover_objectstore._http._request import Request, parsed
from drover_objectstore._http._response import Response, refusal
from drover_objectstore._http._routes import Routes
from drover_objectstore.errors import RequestTimeoutError, S3Error
from drover_objectstore.models import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from drover_objectstore._http._response import Sink
    from drover_objectstore._store import ObjectStore
    from drover_objectstore.models import Credentials, Limits

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("drover_objectstore")
# What is handed from thread to thread at once, each way; a request holds two of them at most.
_CHUNK: Final = MIB
# So few bytes are fetched before anybody looks at the request: one thread does it all then.
_SMALL: Final = 64 * KIB


class _GoneError(Exception):
    """The client is not there any more."""


class App:
    """The face of a store."""

    def __init__(
        self,
        store: ObjectStore,
        credentials: Credentials,
        *,
        prefix: str,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._routes = Routes(store, limits)
        self._gate = Gate(credentials=credentials, prefix=prefix)
        self._prefix, self._idle_s, self._clock = prefix, limits.idle_s, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        assert scope["type"] == "http", scope["type"]
        began, request, sent, response = time.perf_counter(), None, 0, Response(status=499)
        try:
            try:
                request = parsed(scope, self._prefix)
                response = await self._answer(request, receive)
            except S3Error as error:
                response = refusal(error, request)
            except (OSError, sqlite3.Error):
                log.exception("a request failed: %s", request.id if request else "")
                response = refusal(S3Error(), request)
            response.headers["x-amz-request-id"] = request.id if request else "0"
            if response.status >= 400 and request and "expect" in request.headers:
                # Whoever waited for a word of ours before the body will not send it now: what
                # comes next on this connection could not be told from it.
                response.headers["connection"] = "close"
            sent = await self._respond(request, response, receive, send)
        except _GoneError:
            pass
        finally:
            if response.content is not None:
                # The last reader of what was deleted deletes the files.
                await asyncio.to_thread(response.content.close)
            _note(request, response, sent, time.perf_counter() - began)

    async def _answer(self, request: Request, receive: Receive) -> Response:
        """Do what is asked for; small bodies and all that have none take one thread once."""
        length = request.length
        if request.method in ("GET", "HEAD", "DELETE"):
            length = 0
        body = b""
        if length is not None and 0 < length <= _SMALL:
            body = b"".join([data async for data in self._body(receive)])
        small = length is not None and length <= _SMALL

        def whole() -> Response | Sink:
            found = self._begin(request)
            if isinstance(found, Response):
                return _fetched(found)
            if not small:
                return found
            try:
                if body:
                    found.feed(body)
                return found.end()
            finally:
                found.abort()

        found = await asyncio.to_thread(whole)
        return found if isinstance(found, Response) else await self._take(found, receive)

    def _begin(self, request: Request) -> Response | Sink:
        payload = self._gate.admit(request, self._clock())
        return self._routes.answer(request, payload)

    async def _take(self, sink: Sink, receive: Receive) -> Response:
        """Give a body to who wants it: one chunk is worked on while the next one comes."""
        work: asyncio.Task[None] | None = None
        buffer = bytearray()
        try:
            async for data in self._body(receive):
                buffer += data
                if len(buffer) >= _CHUNK:
                    if work is not None:
                        await work
                    full, buffer = bytes(buffer), bytearray()
                    work = asyncio.create_task(asyncio.to_thread(sink.feed, full))
            if work is not None:
                await work

            def last() -> Response:
                if buffer:
                    sink.feed(bytes(buffer))
                return sink.end()

            return await asyncio.to_thread(last)
        finally:
            # What a thread has begun it ends; only then may the file go.
            if work is not None:
                await asyncio.wait([work])
                if not work.cancelled():
                    work.exception()  # it was raised already, or does not count any more
            await asyncio.to_thread(sink.abort)

    async def _body(self, receive: Receive) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeoutError from None
            if message["type"] != "http.request":
                raise _GoneError
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def _respond(
        self, request: Request | None, response: Response, receive: Receive, send: Send
    ) -> int:
        """Send an answer.

        Returns:
            How many bytes of body were sent.
        """
        head = request is not None and request.method == "HEAD"
        headers = {"content-length": str(response.length), **response.headers}
        if response.status in (204, 304):
            del headers["content-length"]
        rows = [
            (name.encode("latin-1"), value.encode("utf-8", "surrogateescape"))
            for name, value in headers.items()
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": rows})
        if head or response.content is None:
            body = b"" if head else response.body
            await send({"type": "http.response.body", "body": body})
            return len(body)
        return await self._stream(response, receive, send)

    async def _stream(self, response: Response, receive: Receive, send: Send) -> int:
        """Send an object chunk by chunk, until the client goes or sleeps."""
        content, at, end = response.content, response.begin, response.end
        assert content is not None
        gone = asyncio.create_task(_gone(receive))
        try:
            while at < end:
                data = await asyncio.to_thread(content.read_at, at, min(_CHUNK, end - at))
                if not data or gone.done():
                    raise _GoneError
                at += len(data)
                async with asyncio.timeout(self._idle_s):
                    more = at < end
                    await send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            raise _GoneError from None
        finally:
            gone.cancel()
        return end - response.begin


def _fetched(response: Response) -> Response:
    """Read what is small while we are in a thread."""
    content, begin, end = response.content, response.begin, response.end
    if content is not None and end - begin <= _CHUNK:
        try:
            pieces: list[bytes] = []
            while begin < end and (data := content.read_at(begin, end - begin)):
                pieces.append(data)
                begin += len(data)
            response.body = b"".join(pieces)
        finally:
            content.close()
        response.content = None
    return response


async def _gone(receive: Receive) -> None:
    """Wait until the client goes."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _live(receive: Receive, send: Send) -> None:
    """Say that there is nothing to start or stop: the store is whose who made it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _note(request: Request | None, response: Response, sent: int, took_s: float) -> None:
    """Write down what was done; neither queries nor headers, which hold signatures."""
    if request is None or not log.isEnabledFor(logging.INFO):
        return
    log.info(
        "%s %s %d",
        request.method,
        request.path[:2048],
        response.status,
        extra={
            "request_id": request.id,
            "access_key": request.access_key,
            "received": request.length or 0,
            "sent": sent,
            "took_ms": round(took_s * 1000, 1),
        },
    )


def make_app(
    store: ObjectStore,
    credentials: Credentials,
    *,
    prefix: str = "",
    limits: Limits | None = None,
    clock: Callable[[], float] = time.time,
) -> App:
    """Make a plain ASGI application that speaks S3, path style.

    It may be mounted under a path of another application: that path is part of what is signed.

    Args:
        store: The folder. It is neither opened nor closed here.
        credentials: Whoever knows the users.
        prefix: The path under which it is mounted, such as `/s3`; empty for none.
        limits: How much of anything is allowed; `None`: the store's.
        clock: Gives the time in seconds since 1970, by which signatures are too old.
    """
    return App(
        store,
        credentials,
        prefix=prefix.rstrip("/"),
        limits=limits or store.limits,
        clock=clock,
    )
