"""What people type, on a real Slurm."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster


def typed(cluster: SlurmCluster, folder: Path, *words: str) -> Any:
    """Type a command that must go well, and give the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "drover", *words, "--json"],
        env={**os.environ, **cluster.environment, "DROVER_HOME": str(folder / "home")},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_demo_ends_as_it_has_to(slurm: SlurmCluster, tmp_path: Path) -> None:
    """Three hundred jobs of every kind, on the cluster that somebody is about to trust."""
    told = typed(slurm, tmp_path, "demo", "--backend", "slurm")["demo"]

    assert (True, []) == (told["ok"], [kind for kind in told["kinds"] if not kind["ok"]])
    assert told["jobs"] > 300


def test_partitions_and_limits_are_told(slurm: SlurmCluster, tmp_path: Path) -> None:
    """Who chooses a queue wants to see which there are, and whether they take jobs."""
    found = {row["subject"]: row for row in typed(slurm, tmp_path, "doctor", "slurm")["findings"]}
    prefix = "backend slurm, "
    told = {name.removeprefix(prefix): row for name, row in found.items()}

    assert "ok" == told["partition short"]["health"]
    assert "limit 5:00; nodes: 2 " in told["partition short"]["message"]
    assert "(8 cpus, 4000 MB, gpu:2)" in told["partition short"]["message"]
    assert ("warning", "down") == (
        told["partition closed"]["health"],
        told["partition closed"]["message"].partition(",")[0],
    )
    assert "MaxArraySize 10001" in told["controller"]["message"]
    assert "ok" == told["accounting"]["health"]
