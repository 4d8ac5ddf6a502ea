"""The peers: who they are, and an environment for each."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

HERE: Final = Path(__file__).parent
VARIABLE: Final = "BENCH_PEERS"
_STAMP: Final = "requires.txt"


class PeerMissingError(Exception):
    """Say why a peer cannot be run here."""


@frozen(kw_only=True)
class Peer:
    """One of those measured beside Drover; the fields are described in peers.toml."""

    name: str
    title: str
    script: str
    keeps: str
    throughput: str = "throughput"
    requires: tuple[str, ...] = field(default=(), converter=tuple[str, ...])
    program: str = ""
    share: float = 1.0
    latency: bool = False
    kind: str = "jobs"

    def python(self) -> str:
        """Give the Python that runs its script, in an environment that is made if need be.

        Raises:
            PeerMissingError: It cannot be had.
        """
        if self.program and shutil.which(self.program) is None:
            raise PeerMissingError(f"no program {self.program!r} on PATH")
        if not self.requires:
            return sys.executable
        folder = environments() / self.name
        stamp = folder / _STAMP
        wanted = "\n".join(self.requires)
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            _make(folder, self.requires)
            stamp.write_text(wanted, "utf-8")
        return str(folder / "bin" / "python")


def environments() -> Path:
    """Give the folder that holds the environments."""
    return Path(os.environ.get(VARIABLE) or HERE / ".peers")


def _make(folder: Path, requires: tuple[str, ...]) -> None:
    venv.create(folder, clear=True, with_pip=True)
    argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requires]
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise PeerMissingError(done.stderr.decode("utf-8", "replace")[-500:])


def all_peers() -> list[Peer]:
    """Read who they are, in the order of the file."""
    rows: dict[str, dict[str, Any]] = tomllib.loads((HERE / "peers.toml").read_text("utf-8"))
    return [Peer(name=name, **row) for name, row in rows.items()]
