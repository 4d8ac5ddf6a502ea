"""A real Grid Engine of the tests' own, whose parts can be killed, frozen and brought back."""

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from own_cluster import CLUSTERS, OwnCluster
from own_cluster import must_be_installed as _must_be_installed

from clusters.gridengine import leftovers
from clusters.gridengine.cluster import PATH
from clusters.gridengine.configuration import HOST
from clusters.gridengine.place import Place

GRIDENGINE = CLUSTERS / "gridengine"
PROGRAMS = ("sge_qmaster", "sge_execd", "spoolinit", "qsub", "qacct")
WAIT_S = 60.0


class GridEngineCluster(OwnCluster):
    """A Grid Engine in a folder of its own. Its daemons are qmaster and execd."""

    KIND = "gridengine"
    PATH = PATH

    @property
    def ports(self) -> list[int]:
        """List the ports that its daemons listen on."""
        return list(Place(self.folder).load({}).ports.values())

    def state_of(self, job: str) -> str:
        """Give what qstat shows of a job, such as qw, r, dr or Eqw; nothing if it is not there."""
        rows = [line.split() for line in self.run("qstat", "-u", "*").splitlines()[2:]]
        return next((row[4] for row in rows if row[0] == job), "")

    def state_of_queue(self, queue: str) -> str:
        """Give the letters of a queue: a, u, d, s, E... and nothing if all is well."""
        rows = [line.split() for line in self.run("qstat", "-f", "-q", queue).splitlines()]
        (row,) = (row for row in rows if row and row[0] == f"{queue}@{HOST}")
        return "".join(row[5:])

    def accounting_of(self, job: str) -> dict[str, str]:
        """Give the lines of qacct about a job; nothing if it has not been written yet."""
        done = self.attempt("qacct", "-j", job)
        rows = [line.partition(" ") for line in done.stdout.splitlines()[1:]]
        return {name: value.strip() for name, _, value in rows} if done.returncode == 0 else {}

    def cut_power(self) -> None:
        """Kill execd with all that it runs, as when the host's power fails."""
        self.daemons.kill("execd")
        leftovers.kill(Place(self.folder).root)

    @contextmanager
    def in_error(self, queue: str) -> Iterator[None]:
        """Put a queue into state E, in which it takes no job: its prolog failed."""
        self.run("qconf", "-mattr", "queue", "prolog", "/bin/false", queue)
        words = ("-terse", "-b", "y", "-N", "breaker", "-q", queue, "-o", "/dev/null", "-j", "y")
        breaker = self.run("qsub", *words, "true")
        try:
            ends = time.monotonic() + WAIT_S
            while "E" not in self.state_of_queue(queue):
                assert time.monotonic() < ends, self.run("qstat", "-f")
                time.sleep(0.1)
            yield
        finally:
            self.attempt("qdel", breaker)
            self.run("qconf", "-mattr", "queue", "prolog", "NONE", queue)
            self.run("qmod", "-cq", queue)

    @contextmanager
    def with_global(self, name: str, value: str) -> Iterator[None]:
        """Have another line in the global configuration for a while."""
        before = self.run("qconf", "-sconf", "global")
        (now, changes) = re.subn(rf"^({name}\s+).*$", rf"\g<1>{value}", before, flags=re.MULTILINE)
        assert 1 == changes, before
        self._configure(now)
        try:
            yield
        finally:
            self._configure(before)

    def _configure(self, text: str) -> None:
        # It goes by the name of the file.
        path = self.folder / "changed/global"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n", "utf-8")
        self.run("qconf", "-Mconf", str(path))


def must_be_installed() -> None:
    """Skip where there is no Grid Engine, loudly; where nobody looks at skips, fail."""
    _must_be_installed("gridengine", PROGRAMS, PATH)


@pytest.fixture(scope="session")
def gridengine() -> Generator[GridEngineCluster]:
    """Give a Grid Engine, brought up once. Leave it as you found it."""
    must_be_installed()
    with GridEngineCluster() as cluster:
        yield cluster
