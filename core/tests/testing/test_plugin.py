"""The pytest plugin for suites that run jobs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("drover_local", reason="jobs of users' suites run on the local backend")

pytestmark = pytest.mark.slow

SUITE = """
import pytest

def test_good(drover_session):
    job = drover_session.submit(["echo", "hi"])
    assert job.wait(20).exit_code == 0
    assert job.stdout.read() == "hi\\n"

def test_bad(drover_session):
    bad = drover_session.submit(["sh", "-c", "echo why it is bad >&2; exit 1"], name="the bad one")
    assert bad.wait(20).exit_code == 0

def test_untidy(drover_session):
    drover_session.submit(["sleep", "600"], name="left behind")
"""


def test_the_fixture(tmp_path: Path) -> None:
    """A session per test, stories for failures, and nothing left behind."""
    (tmp_path / "test_users.py").write_text(SUITE)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "drover.testing.plugin"]
    done = subprocess.run(
        [*argv, "-p", "no:cacheprovider", tmp_path],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120,
    )  # fmt: skip

    assert "1 failed, 2 passed, 1 error" in done.stdout, done.stdout
    assert "drover jobs" in done.stdout, done.stdout
    assert "'the bad one': FAILED, exit code 1" in done.stdout, done.stdout
    assert "Started(" in done.stdout, done.stdout
    assert "    stderr: why it is bad" in done.stdout, done.stdout
    story = done.stdout.split("drover jobs")[1].split("====")[0]
    assert [] == [line for line in story.splitlines() if len(line) > 120]
    assert "(left behind): " in done.stdout, done.stdout


def test_it_is_not_loaded_unasked() -> None:
    """A pytest11 entry point would load drover into every test run of every user."""
    code = "import sys, pytest; pytest.main(['--version']); print('drover' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "False", done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--drover-backend", "local", "-k", "test_no_output"], "1 passed"),
        (["-k", "test_no_output"], "--drover-backend NAME"),
        (["--drover-backend", "local", "--drover-option", "x"], "write KEY=VALUE"),
        (["--drover-backend", "no-such", "-k", "test_no_output"], "no backend named 'no-such'"),
    ],
)
def test_the_suite_from_the_shell(tmp_path: Path, words: list[str], told: str) -> None:
    """A site checks its own cluster without a line of code."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "drover.testing.plugin"]
    done = subprocess.run(
        [*argv, "-p", "no:cacheprovider", "--pyargs", "drover.testing.suite", *words],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120,
    )  # fmt: skip

    assert told in done.stdout + done.stderr, done.stdout + done.stderr
