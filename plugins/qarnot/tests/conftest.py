"""A server of our own for all tests of the backend: started once, stopped by its process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

START_S = 60.0


@frozen(kw_only=True)
class LiveServer:
    """A server that listens."""

    home: Path
    url: str
    process: subprocess.Popen[bytes]
    token_file: Path

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    @property
    def config(self) -> dict[str, Any]:
        """Give the table `[backends.qarnot]` for it: quick looks, and our own files."""
        return {
            "url": self.url,
            "token_file": str(self.token_file),
            "poll_s": 0.1,
            "idle_poll_s": 1.0,
            "missing_grace_s": 10.0,
            "retry_wait_s": 0.2,
            "shared_files": True,
        }


def start_server(home: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """Start a server on *home* and wait until it says that it listens."""
    home.mkdir(mode=0o700, exist_ok=True)
    store = os.environ.get("QARNOT_TEST_S3")
    if store:
        (home / "qarnot.toml").write_text(f'[storage]\nurl = "{store}"\n')
    argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(home), "--json"]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*argv, "--port", str(port)], stdout=subprocess.PIPE, stderr=log, process_group=0
        )
    assert process.stdout is not None
    timer = time.monotonic() + START_S
    with process.stdout as told:
        line = told.readline()
    assert time.monotonic() < timer
    assert line, (home / "server.log").read_text()[-2000:]
    return process, json.loads(line)


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to leave, and see that it does."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def live_server(home: Path) -> LiveServer:
    """Start a server with a new home and keep its token in a file."""
    process, told = start_server(home)
    token_file = home / "token"
    token = told.get("token")
    if not token:
        argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(home)]
        added = subprocess.run(
            [*argv, "user", "add", "tests@localhost"], capture_output=True, text=True, check=True
        )
        token = added.stdout.strip()
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    return LiveServer(home=home, url=told["url"], process=process, token_file=token_file)


@pytest.fixture(scope="session")
def qarnot_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Give a server that all tests share."""
    server = live_server(tmp_path_factory.mktemp("qarnot") / "server")
    yield server
    stop_server(server.process)
