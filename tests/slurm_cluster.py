"""A real Slurm of the tests' own, whose parts can be killed, frozen and brought back."""

import random
from collections.abc import Generator

import pytest
from own_cluster import CLUSTERS, OwnCluster
from own_cluster import must_be_installed as _must_be_installed

from clusters.slurm import cgroups, leftovers
from clusters.slurm.cluster import PATH
from clusters.slurm.place import Place

SLURM = CLUSTERS / "slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "sbatch", "sacct")


class SlurmCluster(OwnCluster):
    """A Slurm in a folder of its own.

    Daemons are named as `up` names them: munged, mariadbd, slurmdbd, slurmctld, and the nodes.
    """

    KIND = "slurm"
    PATH = PATH

    def __init__(self, *options: str, nodes: int = 2) -> None:
        super().__init__(*options, f"--nodes={nodes}")

    @property
    def nodes(self) -> list[str]:
        """Name the nodes, in order."""
        return list(Place(self.folder).load({}).nodes_and_ports)

    @property
    def ports(self) -> list[int]:
        """List the ports that its daemons listen on."""
        return list(Place(self.folder).load({}).ports.values())

    def cut_power(self, node: str) -> None:
        """Kill a node with all that runs on it, as when the power fails."""
        self.daemons.kill(node)
        leftovers.kill(self.environment, node)


def must_be_installed() -> None:
    """Skip where there is no Slurm, loudly; where nobody looks at skips, fail."""
    _must_be_installed("slurm", PROGRAMS, PATH)


@pytest.fixture(scope="session")
def slurm() -> Generator[SlurmCluster]:
    """Give a Slurm with accounting, brought up once. Leave it as you found it."""
    must_be_installed()
    with SlurmCluster("--set=SlurmdTimeout=30") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_bare() -> Generator[SlurmCluster]:
    """Give a Slurm without accounting, which forgets ended jobs after seconds."""
    must_be_installed()
    with SlurmCluster("--no-accounting", "--min-job-age=2") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_cgroups() -> Generator[SlurmCluster]:
    """Give a Slurm that enforces memory limits, where the machine can."""
    must_be_installed()
    obstacle = cgroups.obstacle()
    if obstacle is not None:
        pytest.skip(f"memory limits cannot be enforced here: {obstacle}")
    # The names of nodes are those of control groups, of which the machine has one set.
    prefix = f"n{random.SystemRandom().randrange(10**6)}x"
    with SlurmCluster("--cgroups", f"--prefix={prefix}", nodes=1) as cluster:
        yield cluster
