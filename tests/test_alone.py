"""The core with no plugin at all: it says what is missing, and works otherwise."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        bool(entry_points(group="drover.backends")),
        reason="plugins are installed here (nox -s alone has none)",
    ),
]


def drover(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(Path(sys.executable).parent / "drover"), "--home", str(home), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_core_can_be_imported() -> None:
    """The core depends on no plugin."""
    import drover

    assert drover.JobSpec(argv=("true",)).argv == ("true",)


def test_the_command_line_tells_its_version(tmp_path: Path) -> None:
    """The first thing that somebody types."""
    done = drover(tmp_path, "--version")

    assert (0, "drover ") == (done.returncode, done.stdout[:7])


def test_an_empty_list_of_backends_says_what_to_install(tmp_path: Path) -> None:
    """An empty list must not look like a fault."""
    done = drover(tmp_path, "backends")

    assert 0 == done.returncode
    assert "drover-local" in done.stdout + done.stderr


def test_a_submission_says_what_to_install(tmp_path: Path) -> None:
    """No backend: the job is refused at once with the cure, and nothing is left waiting."""
    done = drover(tmp_path, "submit", "--", "true")

    assert done.returncode != 0
    assert "pip install drover-local" in done.stderr
    assert "Traceback" not in done.stderr
    assert '"jobs": []' in drover(tmp_path, "ps", "--json").stdout
