"""The backend keeps what it declares, on a real Slurm that keeps accounts."""

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import SlurmConformance

from clusters.slurm import cgroups

OBSTACLE = cgroups.obstacle()


# Of the module: what clears the kit's stage needs the address, too.
@pytest.fixture(scope="module", autouse=True)
def _cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Point at a cluster that keeps memory limits as well, where the machine can."""
    name = "slurm_cgroups" if OBSTACLE is None else "slurm"
    cluster: SlurmCluster = request.getfixturevalue(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        yield


@pytest.mark.slurm
class TestConformance(SlurmConformance):
    """Every check of drover's kit."""

    @pytest.mark.skipif(OBSTACLE is not None, reason=f"no memory limits here: {OBSTACLE}")
    def test_memory_limit(self) -> None:
        """A job over its memory is ended, and says why."""
        super().test_memory_limit()
