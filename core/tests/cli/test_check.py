"""Ctrl-C during the conformance kit, without the kit."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from drover.cli import _check, _exits

# It takes longer to leave than `subprocess.run` lets it, as ending real jobs does.
KIT = """
import os, pathlib, signal, sys, time

def leave(*_):
    time.sleep(0.6)
    pathlib.Path("left").touch()
    sys.exit(2)

signal.signal(signal.SIGINT, leave)
draft = pathlib.Path("draft")
draft.write_text(str(os.getpid()))
draft.rename("ready")
signal.pause()
"""
LIMIT_S = 30.0


def test_the_kit_may_clear_up_after_an_interrupt(tmp_path: Path) -> None:
    """Jobs, an engine and a folder of the kit would be left behind."""
    ready = tmp_path / "ready"

    def interrupt() -> None:
        ends = time.monotonic() + LIMIT_S
        while not ready.exists() and time.monotonic() < ends:
            time.sleep(0.01)
        # A terminal tells both.
        os.kill(int(ready.read_text()), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    code = _check._ended([sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{KIT}"])

    assert _exits.INTERRUPTED == code
    assert (tmp_path / "left").exists()
