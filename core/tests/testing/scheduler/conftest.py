"""A scripted Slurm, and a prompt on it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from drover.hookspecs import Completed
from drover.testing.scheduler import ScriptedContext, SlurmScheduler

sys.path.insert(0, str(Path(__file__).parent))

SCRIPT = b"#!/bin/sh\nexit 0\n"


class Prompt:
    """Types commands at a scripted Slurm."""

    def __init__(self, slurm: SlurmScheduler, home: Path) -> None:
        self.slurm = slurm
        self.context = ScriptedContext.on(slurm, home, caller={})

    def __call__(self, line: str, *more: str, **options: Any) -> Completed:
        """Run a command line; words with blanks come as arguments of their own."""
        done: Completed = self.context.run([*line.split(), *more], **options)
        return done

    def says(self, line: str, *more: str, **options: Any) -> str:
        """Run what must go well, and give what it prints."""
        done = self(line, *more, **options)
        assert (0, "") == (done.returncode, done.stderr), done
        return done.stdout

    def submit(self, options: str = "", *more: str, script: bytes = SCRIPT) -> str:
        """Hand a job in, and give its id."""
        return self.says(f"sbatch --parsable {options}", *more, input=script).strip()

    def state(self, which: str) -> str:
        """Give the state and the reason of a job."""
        return self.says(f"squeue -h -t all -j {which} -o %T/%r").strip()


@pytest.fixture
def scheduler() -> SlurmScheduler:
    """Give a cluster on which nothing moves by itself."""
    return SlurmScheduler(user="ann", uid=1000)


@pytest.fixture
def prompt(scheduler: SlurmScheduler, tmp_path: Path) -> Prompt:
    """Give a prompt on it."""
    return Prompt(scheduler, tmp_path / "home")
