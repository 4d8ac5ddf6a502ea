"""The demo on a real cluster: hundreds of commands, each of which ends as it had to."""

import os
import subprocess
import sys
from pathlib import Path

import gridengine_site
import pytest
import slurm_site


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("drmaa", marks=pytest.mark.gridengine),
        pytest.param("slurm", marks=[pytest.mark.slurm, pytest.mark.thorough]),
    ],
)
def test_the_demo_ends_as_it_had_to(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What a newcomer types first, typed by one who has a cluster."""
    if backend == "drmaa":
        settings = gridengine_site.variables(request.getfixturevalue("gridengine"))
    else:
        settings = slurm_site.variables(request.getfixturevalue("slurm"))
    done = subprocess.run(
        [sys.executable, "-m", "drover", "demo", "--backend", backend],
        env={**os.environ, **settings, "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "every one ended as it had to" in done.stdout
    assert "WRONG" not in done.stdout
    assert [] == list(tmp_path.iterdir())
