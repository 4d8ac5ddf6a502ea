"""A real Slurm of the tests' own, whose parts can be killed, frozen and brought back."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from clusters.daemons import Daemons
from clusters.slurm import cgroups, leftovers
from clusters.slurm.cluster import PATH
from clusters.slurm.place import Place

SLURM = Path(__file__).parents[1] / "clusters/slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "sbatch", "sacct")
# As much as the sockets in it allow beside a name of our own.
MAX_TMP_BYTES = 24
PORTS = range(20000, 30000, 50)


class SlurmCluster:
    """A cluster in a folder of its own: as a context manager it is up inside, and wiped after.

    Daemons are named as `up` names them: munged, mariadbd, slurmdbd, slurmctld, and the nodes.
    """

    def __init__(self, *options: str, nodes: int = 2) -> None:
        given = tempfile.gettempdir()
        parent = given if len(os.fsencode(given)) <= MAX_TMP_BYTES else "/tmp"
        # Whoever finds it sees whose it is, and whether they are still there.
        self.folder = Path(tempfile.mkdtemp(prefix=f"slurm-{os.getpid()}-", dir=parent))
        self.options = (*options, f"--nodes={nodes}")
        self.environment = {"SLURM_CONF": f"{self.folder}/etc/slurm.conf"}
        self.daemons = Daemons(self.folder / "run", self.folder / "log")

    def __enter__(self) -> Self:
        try:
            self.up(f"--port={free_ports()}", *self.options)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down("--wipe")
        shutil.rmtree(self.folder, ignore_errors=True)

    def up(self, *options: str) -> str:
        """Bring up what does not run; give what is to be exported."""
        return self._must("up", *options)

    def down(self, *options: str) -> None:
        """Take it down."""
        self._must("down", *options)

    def _must(self, command: str, *options: str) -> str:
        done = subprocess.run(
            [sys.executable, SLURM / command, self.folder, *options],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def run(self, *words: str, timeout: float = 60.0) -> str:
        """Run one of Slurm's programs, which must succeed, and give what it prints."""
        done = subprocess.run(
            words,
            env={**os.environ, **self.environment, "LC_ALL": "C"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert 0 == done.returncode, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    @property
    def nodes(self) -> list[str]:
        """Name the nodes, in order."""
        return list(Place(self.folder).load({}).nodes_and_ports)

    @property
    def ports(self) -> list[int]:
        """List the ports that its daemons listen on."""
        return list(Place(self.folder).load({}).ports.values())

    def kill(self, name: str) -> None:
        """Kill a daemon as `kill -9` does; jobs on a node whose daemon is killed go on."""
        self.daemons.kill(name)

    def stop(self, name: str) -> None:
        """End a daemon in good order."""
        self.daemons.stop(name)

    def start(self, name: str) -> None:
        """Start one daemon that was killed or stopped, and wait until it answers."""
        self.up(f"--only={name}")

    def cut_power(self, node: str) -> None:
        """Kill a node with all that runs on it, as when the power fails."""
        self.daemons.kill(node)
        leftovers.kill(self.environment, node)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Kill a daemon, and bring it back in the end."""
        self.kill(name)
        try:
            yield
        finally:
            self.start(name)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a daemon's clock: it takes connections and does not answer until it goes on."""
        self.daemons.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemons.signal(name, signal.SIGCONT)


def free_ports() -> int:
    """Find a row of ports that nobody listens on."""
    bases = list(PORTS)
    random.SystemRandom().shuffle(bases)
    return next(base for base in bases if all(map(_is_free, range(base, base + PORTS.step))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def must_be_installed() -> None:
    """Skip where there is no Slurm, loudly; where nobody looks at skips, fail."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}; run clusters/slurm/install as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


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
