"""An engine on the scripted Slurm of whoever asks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drover.testing import BackendDriver
from drover.testing.scheduler import ScriptedContext, SlurmScheduler
from drover_slurm import SlurmBackend


@pytest.fixture
def driver(scheduler: SlurmScheduler, tmp_path: Path) -> Iterator[BackendDriver]:
    """Give an engine on the test's own `scheduler`."""

    def factory(context: Any) -> SlurmBackend:
        return SlurmBackend(ScriptedContext.in_place_of(context, scheduler))

    made = BackendDriver(tmp_path / "home", scheduler, factory, name="slurm")
    yield made
    made.check_replay()
    made.close()
