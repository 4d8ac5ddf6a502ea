"""From HTTP to handlers and back: who asks, for what, and the answer in the API's shapes."""

import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import anyio.to_thread
from attrs import frozen
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from drover.errors import DroverError
from drover_qarnot.server._buckets import BucketsError
from drover_qarnot.server._cloud import Cloud
from drover_qarnot.server._errors import ApiError, invalid

_log: Final = logging.getLogger("drover.qarnot.requests")
Json = dict[str, Any]


@frozen(kw_only=True)
class Call:
    """One request of a known user."""

    owner: str
    path: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    body: object

    @property
    def fields(self) -> Json:
        """Give the body's fields; of a body that is no object, none."""
        body: object = self.body
        return cast("Json", body) if isinstance(body, dict) else {}

    @property
    def named(self) -> Json:
        """Give the body's fields that are not null, by their names in lower case.

        Raises:
            ApiError: 400, the body is no object.
        """
        if not isinstance(self.body, dict):
            raise invalid("body", "an object is needed")
        return {name.lower(): value for name, value in self.fields.items() if value is not None}

    def first(self, name: str, default: str = "") -> str:
        """Read a text of the query."""
        wanted = name.lower()
        return next((v for k, v in self.query if k.lower() == wanted), default)

    def flag(self, name: str) -> bool:
        """Read a boolean of the query, which Python writes with a capital."""
        wanted = name.lower()
        return any(k.lower() == wanted and v.lower() == "true" for k, v in self.query)


@frozen(kw_only=True)
class Text:
    """An answer that is text."""

    text: str


@frozen(kw_only=True)
class Afterwards:
    """An answer, and what is done once it has been sent, or cannot be. Neither may block."""

    answer: Any
    sent: Callable[[], None]
    lost: Callable[[], None]


Handler = Callable[[Cloud, Call], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


async def body_of(request: Request, most: int) -> Any:
    """Read the JSON of a request; nothing is `None`.

    Raises:
        ApiError: 413, too large; 400, no JSON.
    """
    pieces: list[bytes] = []
    total = 0
    async for piece in request.stream():
        total += len(piece)
        if total > most:
            raise ApiError(413, f"the body is larger than {most} bytes")
        pieces.append(piece)
    if not total:
        return None
    try:
        return json.loads(b"".join(pieces), parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise invalid("body", "no JSON") from exc


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def respond(answer: Any) -> Response:
    """Write a handler's answer."""
    if isinstance(answer, Text):
        # With its charset: without it the SDK reads ISO-8859-1.
        return PlainTextResponse(answer.text, media_type="text/plain")
    if answer is None:
        return Response(status_code=200)
    return JSONResponse(answer)


async def _respond(request: Request, answer: Any) -> Response:
    if not isinstance(answer, Afterwards):
        return respond(answer)
    response = respond(answer.answer)
    if await request.is_disconnected():
        answer.lost()
    else:
        response.background = BackgroundTask(_run, answer.sent)
    return response


async def _run(what: Callable[[], None]) -> None:
    what()


def _handle(cloud: Cloud, handler: Handler, token: str, request: Request, body: Any) -> Any:
    owner = cloud.accounts.owner_of(token)
    if owner is None:
        raise ApiError(401, "Bad authentication token")
    call = Call(
        owner=owner, path=dict(request.path_params), body=body,
        query=tuple(request.query_params.multi_items()),
    )  # fmt: skip
    return handler(cloud, call)


def endpoint(cloud: Cloud, handler: Handler) -> Endpoint:
    """Make Starlette's endpoint of a handler, which runs in a thread."""

    async def serve(request: Request) -> Response:
        started = time.monotonic()
        try:
            body = await body_of(request, cloud.settings.limits.body_bytes)
            token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            answer = await anyio.to_thread.run_sync(_handle, cloud, handler, token, request, body)
            response = await _respond(request, answer)
        except ApiError as exc:
            response = JSONResponse(exc.body(), exc.status)
        except ClientDisconnect:
            response = Response(status_code=400)
        except (sqlite3.Error, OSError, BucketsError, DroverError) as exc:
            # Nothing was done: the SDK asks again.
            _log.warning("not now: %s", exc)
            response = JSONResponse({"message": "not now"}, 503)
        log_call(request, response.status_code, started)
        return response

    return serve


def log_call(request: Request, status: int, started: float) -> None:
    """Log a request without what it carries: no header, no body, no query."""
    _log.info(
        "%s %s %d", request.method, request.url.path[:200], status,
        extra={"method": request.method, "path": request.url.path[:200], "status": status,
               "ms": round(1000 * (time.monotonic() - started), 1)},
    )  # fmt: skip
