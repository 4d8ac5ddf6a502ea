"""The backend keeps what it declares, on a real Grid Engine: by commands, and by DRMAA alone."""

from collections.abc import Iterator

import pytest
from gridengine_cluster import GridEngineCluster
from gridengine_site import QUICK, variables

from drover.testing import BackendConformance


@pytest.fixture(scope="class", autouse=True)
def cluster(gridengine: GridEngineCluster) -> Iterator[GridEngineCluster]:
    """Let the kit find the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(gridengine).items():
            if not name.startswith("DROVER_"):
                patch.setenv(name, value)
        yield gridengine


class OnGridEngine(BackendConformance):
    """What is the same for both."""

    backend_name = "drmaa"

    def requeue_outside(self, name: str) -> None:
        """Put a job back into the queue, as an operator does."""
        job = next(job for job in self.stage.session.jobs(newest=None) if not job.state.ends_wait)
        assert self.stage.witness.alive(name)
        self.stage.harness.context.run(("qmod", "-rj", str(job.native_id)))


@pytest.mark.gridengine
class TestConformance(OnGridEngine):
    """Every check of drover's kit, with Grid Engine's own commands."""

    backend_config = QUICK


@pytest.mark.gridengine
class TestPlainConformance(OnGridEngine):
    """The same with nothing but DRMAA, as on any other system; CI runs some, see conftest."""

    backend_config = {**QUICK, "dialect": "plain"}  # noqa: RUF012 - as the kit has it
