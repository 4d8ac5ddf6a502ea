"""The backend keeps what it declares, on a real Slurm that keeps no accounts and soon forgets."""

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import SlurmConformance


# Of the module: what clears the kit's stage needs the address, too.
@pytest.fixture(scope="module", autouse=True)
def _cluster(slurm_bare: SlurmCluster) -> Iterator[None]:
    """Point at the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", slurm_bare.environment["SLURM_CONF"])
        yield


class TestConformance(SlurmConformance):
    """Every check of drover's kit."""

    @pytest.mark.skip(reason="this cluster enforces no memory limits, as many do not")
    def test_memory_limit(self) -> None:
        """Nobody ends a job over its memory here."""
