"""Attempts to run through the wrapper, in folders of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from drover.commandline import wrapper_argv, write_task
from drover.commandline.records import read_exit_record
from drover.models import Attempt, EndReport, JobSpec

sys.path.insert(0, str(Path(__file__).parent))

DEADLINE_S = 20.0


@pytest.fixture(name="eventually")
def _eventually() -> Callable[[Callable[[], bool], str], None]:
    """Give the way to wait."""
    return eventually


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Poll until *condition* holds; fail by saying what did not come."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come in {DEADLINE_S:g} s: {what}")
        time.sleep(0.01)


@frozen
class Node:
    """A compute node with one attempt's folder."""

    folder: Path
    running: list["subprocess.Popen[bytes]"] = field(factory=list)

    def write(
        self,
        *argv: str | bytes,
        own_session: bool = False,
        pass_env: tuple[str, ...] = (),
        **fields: object,
    ) -> Attempt:
        spec = JobSpec(argv=argv, **fields)  # type: ignore[arg-type]
        attempt = Attempt(
            job_id="job", number=1, token="tok-1", spec=spec, variables=dict(spec.env)
        )
        if spec.inherit_env:
            attempt = evolve(attempt, base_environment={"PATH": os.environ["PATH"]})
        write_task(self.folder, attempt, own_session=own_session, pass_env=pass_env)
        return attempt

    def start(
        self, native_id: str = "7", restart: str = "0", **env: str
    ) -> "subprocess.Popen[bytes]":
        argv = wrapper_argv(self.folder, native_id, restart, python=sys.executable)
        process = subprocess.Popen(
            argv, env={**os.environ, **env}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.running.append(process)
        return process

    def run(self, native_id: str = "7", restart: str = "0", **env: str) -> int:
        process = self.start(native_id, restart, **env)
        process.communicate(timeout=DEADLINE_S)
        return process.returncode

    def end(self, restart: int = 0) -> EndReport:
        report = read_exit_record(self.folder, restart, token="tok-1")
        assert report is not None, sorted(path.name for path in self.folder.iterdir())
        return report

    def out(self, name: str = "stdout.0") -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Give a node; whatever it runs at the end is killed."""
    node = Node(tmp_path / "attempt")
    yield node
    for process in node.running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=DEADLINE_S)
