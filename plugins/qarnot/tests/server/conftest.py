"""One live server for all tests, spoken to by the unmodified SDK."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

qarnot = pytest.importorskip("qarnot", reason="the official SDK is not installed")
pytest.importorskip("starlette", reason="the extra `server` is not installed")

# The SDK parses dates with a deprecated call, and its own clients leave sockets to the collector.
SETTINGS = """

[limits]
tasks = 5000
page = 20

[hardware]
cores = 2
memory_mb = 4096
cpu_models = ["Ryzen 7 3700X", "Xeon E5"]
specifications = ["8c-32g-amd"]

[profiles.noisy]
argv = ["sh", "-c", "echo $WORD; echo bad >&2; exit $CODE"]
constants = { WORD = "word", CODE = "3" }
"""


def until(what: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Wait for something to be true, and give it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class Server:
    """A server that can be killed and started again."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self._options = options
        self.facts: dict[str, Any] = {}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (home.parent / f"{home.name}.log").open("ab")

    def start(self) -> None:
        command = [
            sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(self.home),
            "--port", str(self.port), "--json", *self._options,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QARNOT_")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 30)
        line = self._process.stdout.readline() if ready else b""
        assert line, self.log()
        self.facts = {**self.facts, **json.loads(line)}
        self.port = int(self.facts["url"].rpartition(":")[2])

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(how)
        code = self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        self._log.close()

    def connect(self, token: str | None = None) -> Any:
        return qarnot.Connection(
            cluster_url=self.facts["url"], client_token=token or self.facts["token"],
            retry_count=1, retry_wait=0.1, show_bucket_warnings=False,
        )  # fmt: skip

    def add_user(self, email: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(self.home),
             "user", "add", email],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()


def make_server(settings: str = SETTINGS, *options: str) -> Server:
    home = Path(tempfile.mkdtemp(prefix="dq-")) / "home"
    home.mkdir()
    (home / "qarnot.toml").write_text(settings, encoding="utf-8")
    return Server(home, *options)


def clean(server: Server) -> None:
    """End a server, and the engine that runs its tasks."""
    import drover

    server.end()
    server.close()
    with drover.open(home=server.home / "drover", engine="none") as session:
        session.engine_stop()
    shutil.rmtree(server.home.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    one = make_server()
    one.start()
    yield one
    clean(one)


@pytest.fixture(scope="session")
def conn(server: Server) -> Any:
    return server.connect()


@pytest.fixture(scope="session")
def api(server: Server) -> Iterator[Callable[..., Any]]:
    """Speak to the server as no SDK does."""
    with requests.Session() as session:

        def ask(method: str, path: str, body: Any) -> Any:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body)
            return session.request(
                method, server.facts["url"] + path, data=data, timeout=30,
                headers={"Authorization": server.facts["token"]},
            )  # fmt: skip

        yield ask


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, to be killed."""
    one = make_server()
    one.start()
    yield one
    clean(one)


def finished(task: Any, timeout_s: float = 30.0) -> Any:
    """Wait for a task's end as the SDK sees it."""

    def over() -> bool:
        task.update(True)
        return task.state in {"Success", "Failure", "Cancelled"}

    try:
        until(over, timeout_s)
    except AssertionError:
        task.abort()  # or it would keep later tests from running
        raise
    return task


def run(conn: Any, command: str, instances: Any = 1, **settings: Any) -> Any:
    """Run a task to its end."""
    task = conn.create_task("test", "docker-batch", instances)
    task.constants["DOCKER_CMD"] = command
    for name, value in settings.items():
        setattr(task, name, value)
    task.submit()
    return finished(task)
