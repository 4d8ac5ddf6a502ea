"""The backend keeps what it declares, on a real Slurm without accounting."""

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import QUICK

from drover.testing import BackendConformance


# Of the class: the kit's own fixtures, which need the address, come before those of a test.
@pytest.fixture(scope="class")
def without_accounting(slurm_bare: SlurmCluster) -> Iterator[None]:
    """Point at a cluster that keeps none, and forgets ended jobs after seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", slurm_bare.environment["SLURM_CONF"])
        yield


@pytest.mark.slurm
@pytest.mark.usefixtures("without_accounting")
class TestBare(BackendConformance):
    """Every check of drover's kit, once more."""

    backend_name = "slurm"
    backend_config = QUICK

    @pytest.mark.skip(reason="this cluster enforces no memory limits, as many do not")
    def test_memory_limit(self) -> None:
        """Nobody ends a job over its memory here."""
