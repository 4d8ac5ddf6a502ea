"""A server for `drover demo --backend qarnot`, by the entry-point group `drover.demos`."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from drover.errors import BackendError

LEAVE_S: Final = 20.0


class NoServerError(BackendError):
    """The server of the demo did not begin.

    Attributes:
        said: What it wrote last.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(f"the demo's own server did not begin; it said: {said or 'nothing'}")


@contextmanager
def own_server(folder: Path) -> Generator[dict[str, Any]]:
    """Run a server on this machine for as long as a demo takes.

    A demo must cost nothing, so it never runs at the account that is configured.

    Args:
        folder: Where the server may keep its files; it is deleted afterwards by the caller.

    Yields:
        The table `[backends.qarnot]` for it.

    Raises:
        NoServerError: It did not begin.
    """
    home = folder / "qarnot"
    home.mkdir(mode=0o700)
    argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(home), "--json"]
    environment = {**os.environ, "DROVER_BACKENDS__LOCAL__IDLE_S": "0"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            process_group=0,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise NoServerError((home / "server.log").read_text("utf-8", "replace")[-500:].strip())
        told = json.loads(line)
        token_file = home / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(told["token"], encoding="utf-8")
        yield {
            "url": told["url"],
            "storage_url": told["storage_url"],
            "token_file": str(token_file),
            "config_file": "",
            "certificate_file": "",
            "profile": "docker-batch",
            "command_constant": "DOCKER_CMD",
            "python": sys.executable,
            "image": "",
            "shared_files": True,
            "poll_s": 0.5,
        }
    finally:
        process.terminate()
        try:
            process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
