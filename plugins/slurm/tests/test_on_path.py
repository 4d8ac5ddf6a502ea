"""The command line and an engine of its own find a scripted Slurm on PATH."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drover.testing import SystemClock
from drover.testing.scheduler import ScriptedPrograms, SlurmScheduler

Drover = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cluster() -> Iterator[SlurmScheduler]:
    """Give a cluster that runs jobs for real, in real time."""
    with SlurmScheduler(run_for_real=True, clock=SystemClock()) as made:
        yield made


@pytest.fixture
def command(cluster: SlurmScheduler, tmp_path: Path) -> Iterator[Drover]:
    """Give a way to type at drover, whose engine is stopped in the end."""
    with ScriptedPrograms(cluster) as programs:
        environment = {**os.environ, "PATH": programs.path, "DROVER_HOME": str(tmp_path / "home")}

        def run(*words: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, "-m", "drover", *words],
                env=environment,
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        yield run
        run("engine", "stop")


def test_a_job_runs_and_its_code_comes_back(command: Drover, cluster: SlurmScheduler) -> None:
    """From the terminal to the node and back, by processes of their own."""
    done = command("run", "--backend", "slurm", "--", "sh", "-c", "echo hello; exit 3")

    assert (3, "hello\n") == (done.returncode, done.stdout), done.stderr
    assert ["FAILED"] == [job.state for job in cluster.jobs]


def test_the_doctor_finds_it_well(command: Drover) -> None:
    """What it asks of a cluster, a scripted one can answer."""
    done = command("doctor", "slurm")

    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_doctor_says_what_is_wrong(command: Drover, cluster: SlurmScheduler) -> None:
    """In words that a user can act on."""
    cluster.stop()
    done = command("doctor", "slurm")

    assert 0 != done.returncode
    assert "controller" in done.stdout + done.stderr
