"""Both ways into the product, on one real store: the library, and the command line."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner

import drover
from drover import Job, JobArray, Session, State
from drover.cli import main

WAIT_S = 30.0
DROVER = Path(sys.executable).parent / "drover"


@frozen
class Told:
    """What a command line came to."""

    code: int
    stdout: str
    stderr: str


def must_refuse(told: Told, code: int, said: Sequence[str]) -> None:
    """Hold a refusal to its code and words: one line or two, and no traceback."""
    assert code == told.code, told
    assert "" == told.stdout
    assert told.stderr.startswith("drover: "), told.stderr
    assert 2 >= len(told.stderr.splitlines()), told.stderr
    assert [] == [part for part in said if part not in told.stderr], told.stderr


class Doors:
    """A store, a session on it, and a way to type at it."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.session: Session = drover.open(home)

    def type(self, *words: str) -> Told:
        """Type a line, in this process: that is ten times as fast."""
        with CliRunner().isolation(env={"DROVER_HOME": str(self.home)}) as streams:
            code = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
            return Told(code, *(streams[k].getvalue().decode() for k in (0, 1)))

    def execute(self, *words: str, **variables: str) -> Told:
        """Run the command that is installed."""
        done = subprocess.run(
            [str(DROVER), *words],
            env={**os.environ, "DROVER_HOME": str(self.home), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def refuses(self, code: int, said: Sequence[str], *words: str) -> None:
        """Type a line that has to be refused so."""
        must_refuse(self.type(*words), code, said)

    def submit(self, *argv: str, **fields: Any) -> Job:
        """Hand in a job by the library."""
        made = self.session.submit(argv or ("true",), **fields)
        assert isinstance(made, Job)
        return made

    def states(self) -> dict[str, State]:
        """Tell where every job is."""
        return {job.id: job.state for job in self.session.jobs(newest=None)}

    def until(self, condition: Callable[[], object], job: Job | JobArray) -> None:
        """Poll for something; tell the story of the job if it never comes."""
        ends = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > ends:
                pytest.fail("\n".join(map(str, self.session.events(job=job))))
            time.sleep(0.02)

    def is_as_good_as_before(self) -> None:
        """Run a good job, and replay the journal."""
        job = self.submit("sh", "-c", "echo good")

        assert job.wait(WAIT_S).succeeded, list(job.history())
        assert "good\n" == job.stdout.read()
        for row in self.session.doctor():
            assert not (row.subject in {"store", "journal"} and row.health == "error"), row

    def close(self) -> None:
        """Leave nothing running."""
        unfinished = [job for job in self.session.jobs(newest=None) if not job.state.ends_wait]
        self.session.cancel(unfinished, grace_s=0.0)
        self.session.engine_stop()
        self.session.close()
