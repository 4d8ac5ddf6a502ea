"""The daemons of one cluster of any kind: started, asked, and waited for."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from clusters.daemons import Daemons
from clusters.settings import ClusterError

T = TypeVar("T")

START_S = 60.0


@dataclass(frozen=True)
class DaemonCluster(ABC):
    """What `up` and `down` work on. Nothing is kept here that is not in the folder.

    A daemon's log is FOLDER/log/NAME.log, and what it prints is in FOLDER/log/NAME.out.
    """

    INSTALL: ClassVar[str]
    PATH: ClassVar[str]

    folder: Path

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Give the variables that make programs talk to this cluster."""

    @property
    @abstractmethod
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon that listens on one."""

    @abstractmethod
    def starters(self) -> dict[str, Callable[[], None]]:
        """List what starts each daemon, in the order in which they need each other."""

    @abstractmethod
    def look_at_machine(self) -> None:
        """Refuse, before anything is started, a machine that cannot do what was asked for."""

    @abstractmethod
    def lay_out(self) -> None:
        """Make all files."""

    @abstractmethod
    def await_ready(self) -> None:
        """Wait until jobs are taken, after all daemons were started."""

    def give_up(self) -> None:  # noqa: B027 - for those that it matters to
        """Tell daemons that live that jobs end here, before any is stopped."""

    @abstractmethod
    def sweep(self) -> None:
        """Kill what outlived the daemons."""

    @property
    def daemons(self) -> Daemons:
        """Give what was started here."""
        return Daemons(self.folder / "run", self.folder / "log")

    def alive(self) -> list[str]:
        """List the daemons that run."""
        return [name for name in self.daemons.names() if self.daemons.process(name)]

    def started(self) -> list[str]:
        """List who was started, dead or alive, in the order in which they need each other."""
        recorded = set(self.daemons.names())
        order = [name for name in self.starters() if name in recorded]
        # Those that the settings no longer know are dead: anywhere will do.
        return [*order, *recorded.difference(order)]

    def stop(self, name: str, *, wipe: bool) -> None:  # noqa: ARG002 - for those that it matters to
        """Stop a daemon."""
        self.daemons.stop(name)

    def look_at_ports(self, names: Sequence[str]) -> None:
        """Refuse, before anything is started, a port that somebody else has."""
        for name in names:
            port = self.ports.get(name)
            if port is not None and _is_taken(port):
                raise ClusterError(f"port {port} is taken: choose others with --port")

    def program(self, name: str) -> str:
        """Find a program."""
        path = shutil.which(name, path=self.PATH)
        if path is None:
            raise ClusterError(f"{name} is not installed: run {self.INSTALL}")
        return path

    def ask(self, *words: str) -> str | None:
        """Run a program and give what it printed; None if it failed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = self._run(*words)
            return done.stdout if done.returncode == 0 else None
        return None

    def must(self, *words: str) -> str:
        """Run a program, which must succeed, and give what it printed."""
        done = self._run(*words)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(words)} failed: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            env={**os.environ, **self.environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def until(self, name: str, ready: Callable[[], T | None]) -> T:
        """Wait until a daemon is ready; end at once, with its last words, if it is dead."""
        ends = time.monotonic() + START_S
        while (answer := ready()) is None:
            if time.monotonic() > ends or self.daemons.process(name) is None:
                raise ClusterError("\n  ".join([f"{name} is not ready", *self._last_words(name)]))
            time.sleep(0.05)
        return answer

    def _last_words(self, name: str) -> list[str]:
        files = [self.folder / "log" / f"{name}.{kind}" for kind in ("out", "log")]
        told = [file.read_text("utf-8", "replace") for file in files if file.exists()]
        return [line for text in told for line in text.splitlines()[-6:]]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As daemons do: what a connection of the past still holds is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
