"""The back door tells what ran, and what runs, whatever a backend says."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drover.testing import Witness


@pytest.fixture(name="witness")
def _witness(tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(tmp_path)
    yield witness
    for name in witness.leftovers():
        witness.kill(name)


def test_every_start_leaves_a_mark(witness: Witness) -> None:
    """A command that runs twice must be seen to run twice."""
    argv = witness.argv("twice", ["/bin/sh", "-c", "exit 3"])
    codes = [subprocess.run(argv, check=False).returncode for _ in range(2)]

    assert codes == [3, 3]
    assert len(witness.starts("twice")) == 2
    assert witness.alive("twice") == []


def test_the_mark_is_the_commands_own_process(witness: Witness) -> None:
    """Whoever kills the marked process kills the command, no shell around it."""
    process = subprocess.Popen(witness.argv("sleeper", ["/bin/sleep", "600"]))
    while not witness.starts("sleeper"):
        assert process.poll() is None

    assert witness.alive("sleeper") == [process.pid]
    assert witness.leftovers() == {"sleeper": [process.pid]}
    witness.kill("sleeper")
    assert process.wait(20) == -signal.SIGKILL
    assert witness.leftovers() == {}


def test_what_never_ran_has_no_mark(witness: Witness) -> None:
    """No file is no start."""
    assert witness.starts("never") == []
    assert witness.alive("never") == []
