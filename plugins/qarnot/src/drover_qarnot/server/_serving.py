"""Run the server: a socket, a log without secrets, an orderly end."""

import json
import logging
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import uvicorn
from attrs import frozen
from starlette.types import ASGIApp

import drover
from drover_qarnot.server._accounts import Accounts, BadUserError
from drover_qarnot.server._app import S3, make_app
from drover_qarnot.server._buckets import Buckets
from drover_qarnot.server._cloud import Cloud
from drover_qarnot.server._config import BadConfigError, Settings, load_settings
from drover_qarnot.server._opening import HomeInUseError, open_database, take
from drover_qarnot.server._storing import make_buckets

KEEP_ALIVE_S: Final = 300
"""Longer than any client pauses: the SDK looks every 10 s, and takes a dropped connection as an
error that ends its wait."""
BACKLOG: Final = 1024
_FACTS: Final = ("method", "path", "status", "ms")


@frozen(kw_only=True)
class ServeOptions:
    """What the command line says."""

    home: Path
    host: str
    port: int
    backend: str | None
    user: str
    url: str | None
    as_json: bool


class JsonLines(logging.Formatter):
    """Write a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one."""
        row: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        row |= {name: record.__dict__[name] for name in _FACTS if name in record.__dict__}
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("drover", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
    logging.getLogger("drover").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio switches Nagle's delay off only then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener


class _Telling(uvicorn.Server):
    """Says on stdout that it listens, once it does."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(self._line + "\n")
        sys.stdout.flush()

    def end(self, number: int, frame: FrameType | None) -> None:
        """End in good order, also where the signal comes before uvicorn listens to it."""
        del number, frame
        self.should_exit = True


def first_user(home: Path, email: str) -> str | None:
    """Add the first user of a new home.

    Returns:
        The token; `None` if the home has users.

    Raises:
        BadUserError: The email is none.
    """
    database, accounts, _ = open_database(home)
    try:
        return None if accounts.names() else accounts.add(email)
    finally:
        database.close()


def run(options: ServeOptions) -> None:
    """Serve until a signal says otherwise."""
    try:
        lock = take(options.home)
        settings = load_settings(options.home)
        token = first_user(options.home, options.user)
        listener = _listen(options.host, options.port)
    except (BadConfigError, BadUserError, HomeInUseError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc
    port = listener.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = options.url or f"http://{host}:{port}"
    _log_to_stderr()
    try:
        cloud, app, storage = _put_together(options, settings, url)
    except drover.DroverError as exc:
        raise click.ClickException(str(exc)) from exc
    except ImportError as exc:
        why = f"{exc.name} is not installed; try: pip install 'drover-qarnot[server]'"
        raise click.ClickException(why) from exc
    facts = {"url": url, "storage_url": storage, "home": str(options.home)}
    if token is not None:
        facts |= {"email": options.user, "token": token}
    line = json.dumps(facts) if options.as_json else _in_words(facts)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=10,
    )  # fmt: skip
    server = _Telling(config, line)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Uvicorn raises it once more when it is done: what ends the server would be skipped.
        signal.signal(number, server.end)
    cloud.start()
    started = time.monotonic()
    try:
        server.run(sockets=[listener])
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Whoever does not want to wait for steps under way says so a second time.
            signal.signal(number, signal.SIG_DFL)
        cloud.stop()
        listener.close()
        lock.close()
        logging.getLogger("drover.qarnot").info("served %.0f s", time.monotonic() - started)


def _put_together(
    options: ServeOptions, settings: Settings, url: str
) -> tuple[Cloud, ASGIApp, str | None]:
    apps: list[ASGIApp | None] = []

    def made(accounts: Accounts) -> Buckets:
        buckets, s3 = make_buckets(options.home, settings, accounts, S3)
        apps.append(s3)
        return buckets

    cloud = Cloud(options.home, settings, made, options.backend)
    s3 = apps[0]
    storage = settings.storage.url if settings.storage else f"{url}{S3}" if s3 else None
    cloud.hidden.api_url, cloud.hidden.storage_url = url, storage or ""
    return cloud, make_app(cloud, storage, s3), storage


def _in_words(facts: dict[str, Any]) -> str:
    lines = [f"serving on {facts['url']}, buckets on {facts['storage_url']}"]
    if "token" in facts:
        lines.append(f"user {facts['email']}, token {facts['token']} (it is not told again)")
    return "\n".join(lines)
