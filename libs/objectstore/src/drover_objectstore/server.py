"""A process that serves one store over HTTP."""

import json
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

import uvicorn

from drover_objectstore._http import make_app
from drover_objectstore._store import ObjectStore
from drover_objectstore.models import Limits
from drover_objectstore.users import Users

_BACKLOG: Final = 512
_FACTS: Final = ("request_id", "access_key", "received", "sent", "took_ms")
# How long requests that run may go on after the server was asked to end.
_GRACE_S: Final = 10


class JsonLines(logging.Formatter):
    """One line of JSON per record. No secret, signature or query is ever in one."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        row: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        row |= {name: getattr(record, name) for name in _FACTS if hasattr(record, name)}
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        return json.dumps(row)


def log_to(stream: TextIO) -> None:
    """Write what happens to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for name in ("drover_objectstore", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "drover_objectstore" else logging.WARNING)


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, or asyncio does not see that it is TCP and answers wait 40 ms for an
    # acknowledgement of their first half (Nagle).
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def url_of(listener: socket.socket) -> str:
    """Say where a server can be found."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    home: Path,
    listener: socket.socket,
    *,
    limits: Limits | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the store of a home until SIGTERM or SIGINT; call it in the main thread.

    Args:
        home: The folder of store and users.
        listener: A socket that listens; it is closed in the end.
        limits: How much of anything is allowed.
        ready: Called once requests are taken.
    """
    store = ObjectStore(home / "store", limits=limits)
    try:
        config = uvicorn.Config(
            make_app(store, Users(home)),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            # Uvicorn raises it once more when it is done, to tell us what we know.
            signal.signal(number, _heard)
        _Server(config, ready).run(sockets=[listener])
    finally:
        listener.close()
        store.close()


def _heard(number: int, frame: object) -> None:
    """Do nothing: the server has heard it."""


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


def say(line: str) -> None:
    """Tell whoever started us, who may read it through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
