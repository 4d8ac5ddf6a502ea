"""What real clusters of the tests' own have in common, whatever scheduler they run."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

import pytest

from clusters.daemons import Daemons

CLUSTERS = Path(__file__).parents[1] / "clusters"
# As much as the sockets in it allow beside a name of our own.
MAX_TMP_BYTES = 24
PORTS = range(20000, 30000, 50)


class OwnCluster:
    """A cluster in a folder of its own: as a context manager it is up inside, and wiped after."""

    KIND: ClassVar[str]
    PATH: ClassVar[str]
    """Where its programs are."""

    def __init__(self, *options: str) -> None:
        given = tempfile.gettempdir()
        parent = given if len(os.fsencode(given)) <= MAX_TMP_BYTES else "/tmp"
        # Whoever finds it sees whose it is, and whether they are still there.
        prefix = f"{self.KIND}-{os.getpid()}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self.options = options
        self.environment: dict[str, str] = {}
        """What is to be exported; known once it is up."""
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
        exports = self._must("up", *options)
        rows = [line.removeprefix("export ").partition("=") for line in exports.splitlines()]
        self.environment = {name: value for name, _, value in rows}
        return exports

    def down(self, *options: str) -> None:
        """Take it down."""
        self._must("down", *options)

    def _must(self, command: str, *options: str) -> str:
        done = subprocess.run(
            [sys.executable, CLUSTERS / self.KIND / command, self.folder, *options],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def run(self, *words: str, timeout: float = 60.0) -> str:
        """Run one of the cluster's programs, which must succeed, and give what it prints."""
        done = self.attempt(*words, timeout=timeout)
        assert 0 == done.returncode, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def fails(self, *words: str) -> str:
        """Run a program that must fail, and give what it says."""
        done = self.attempt(*words)
        assert 0 != done.returncode, done.stdout
        return done.stdout + done.stderr

    def attempt(self, *words: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a program with the variables of the cluster, in its folder."""
        return subprocess.run(
            words,
            env={**os.environ, **self.environment, "LC_ALL": "C", "PATH": self.PATH},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def kill(self, name: str) -> None:
        """Kill a daemon as `kill -9` does; jobs that it started go on."""
        self.daemons.kill(name)

    def stop(self, name: str) -> None:
        """End a daemon in good order."""
        self.daemons.stop(name)

    def start(self, name: str) -> None:
        """Start one daemon that was killed or stopped, and wait until it answers."""
        self.up(f"--only={name}")

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


def command(kind: str, name: str, *words: str | Path, **variables: str) -> tuple[int, str, str]:
    """Type `up` or `down`."""
    done = subprocess.run(
        [CLUSTERS / kind / name, *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


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


def must_be_installed(kind: str, programs: Sequence[str], path: str) -> None:
    """Skip where there is no such cluster, loudly; where nobody looks at skips, fail."""
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}; run clusters/{kind}/install as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
