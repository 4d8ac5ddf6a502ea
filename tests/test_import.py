"""What `import drover` does to the process that says it: nothing."""

import subprocess
import sys

import pytest

import drover


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_installs_no_signal_handler_and_starts_no_thread() -> None:
    """A library that takes SIGCHLD for itself breaks the program that imports it."""
    program = (
        "import signal, threading\n"
        "before = {n: signal.getsignal(n) for n in signal.valid_signals()}\n"
        "import drover\n"
        "after = {n: signal.getsignal(n) for n in signal.valid_signals()}\n"
        "print(before == after, threading.active_count())\n"
    )

    assert "True 1" == run(program)


@pytest.mark.parametrize("module", ["click", "rich", "psutil", "pytest", "hypothesis"])
def test_import_pulls_in_nothing_that_the_library_does_not_need(module: str) -> None:
    """The core without extras must be importable without what the extras bring."""
    assert "False" == run(f"import sys, drover; print({module!r} in sys.modules)")


def test_import_loads_no_plugin() -> None:
    """A broken plugin must not be able to break the import."""
    assert "[]" == run(
        "import sys, drover; print([name for name in sys.modules if name.startswith('drover_')])"
    )


def test_every_public_name_is_there() -> None:
    """`from drover import *` must not raise."""
    assert [] == [name for name in drover.__all__ if not hasattr(drover, name)]
    assert sorted(set(drover.__all__)) == sorted(drover.__all__)
