"""The backend keeps what it declares, on a real Slurm with accounting."""

from collections.abc import Iterator

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import QUICK

from clusters.slurm import cgroups
from drover.testing import BackendConformance


# Of the class: the kit's own fixtures, which need the address, come before those of a test.
@pytest.fixture(scope="class")
def with_accounting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Point at a cluster that keeps accounts, and memory limits where the machine can."""
    name = "slurm_cgroups" if cgroups.obstacle() is None else "slurm"
    cluster: SlurmCluster = request.getfixturevalue(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        yield


@pytest.mark.slurm
@pytest.mark.usefixtures("with_accounting")
class TestWithAccounting(BackendConformance):
    """Every check of drover's kit."""

    backend_name = "slurm"
    backend_config = QUICK

    @pytest.mark.skipif(cgroups.obstacle() is not None, reason=f"{cgroups.obstacle()}")
    def test_memory_limit(self) -> None:
        """A job over its memory is ended, and says why."""
        super().test_memory_limit()
