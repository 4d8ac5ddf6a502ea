"""Servers of our own, and sessions that use them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

from attrs import frozen

import drover
from drover.states import State

START_S = 60.0
WAIT_S = 60.0


class Relay:
    """A way to a server on which things happen."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self.target) as server:
            self.go(client, server)

    def go(self, client: socket.socket, server: socket.socket) -> None:
        """Let one connection go this way."""
        raise NotImplementedError

    def close(self) -> None:
        """Let nobody else go this way."""
        self._listener.close()


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
            "missing_grace_s": 4.0,
            "retry_wait_s": 0.2,
            "shared_files": True,
        }


def start_server(home: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """Start a server on *home* and wait until it says that it listens."""
    home.mkdir(mode=0o700, exist_ok=True)
    store = os.environ.get("QARNOT_TEST_S3")
    if store:
        (home / "qarnot.toml").write_text(f'[storage]\nurl = "{store}"\n')
    # Room for what other tests of the process have left running.
    (home / "drover.toml").write_text("[backends.local]\ncpus = 8\n")
    argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(home), "--json"]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*argv, "--port", str(port)],
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=log,
            process_group=0,
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


class Place:
    """A store and a session whose settings are in a folder of their own."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        lines = [f"{key} = {json.dumps(value)}" for key, value in config.items()]
        (folder / "drover.toml").write_text("\n".join(["[backends.qarnot]", *lines, ""]))
        with chdir(folder):
            self.session = drover.open(folder / "home", engine="inline", backend="qarnot")

    def submit(self, *argv: str, **fields: Any) -> drover.Job:
        """Hand in one job that starts from the folder."""
        spec = drover.JobSpec(**{"argv": argv, "cwd": self.folder, **fields})
        job = self.session.submit(spec)
        assert isinstance(job, drover.Job)
        return job

    def run(self, *argv: str, **fields: Any) -> drover.Job:
        """Hand in one job and wait for its end."""
        job = self.submit(*argv, **fields)
        job.wait(WAIT_S)
        return job

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Poll until a condition holds."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"not {what} in time"
            time.sleep(0.05)

    def close(self) -> None:
        """End what is left and leave."""
        open_states = [state for state in State if not state.ends_wait]
        left = self.session.jobs(state=open_states, newest=None)
        if left:
            self.session.cancel(left, grace_s=0.5, timeout=WAIT_S)
        self.session.engine_stop()
        self.session.close()
