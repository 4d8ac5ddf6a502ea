"""The back door tells what ran, and what runs, whatever a backend says."""

import os
import signal
import subprocess
import time
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


def test_an_id_that_was_handed_out_again_is_somebody_else(witness: Witness) -> None:
    """A busy machine hands ids out again within minutes: an innocent would be named, and killed."""
    with subprocess.Popen(["/bin/sleep", "600"]) as innocent:
        witness.file("old").write_text(f"{innocent.pid}\n")
        long_ago = time.time() - 60
        os.utime(witness.file("old"), (long_ago, long_ago))
        found = witness.leftovers()
        innocent.kill()

    assert found == {}


def test_what_never_ran_has_no_mark(witness: Witness) -> None:
    """No file is no start."""
    assert witness.starts("never") == []
    assert witness.alive("never") == []
