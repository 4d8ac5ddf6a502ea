"""Commands as they are installed beside this Python, that need more than a job."""

import os
import subprocess
import sys
from pathlib import Path


def test_check_runs_the_conformance_kit(tmp_path: Path) -> None:
    """Who runs a site must be able to try a backend without writing any code."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "drover"), "check", "local", "-k", "exit_code"],
        cwd=tmp_path,
        env={**os.environ, "DROVER_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
