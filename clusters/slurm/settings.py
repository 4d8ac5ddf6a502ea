"""What can be chosen about a cluster; remembered in its folder."""

import argparse
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# A Unix socket's path has 107 bytes, and slurmstepd's is the longest one of ours:
# FOLDER/spool/node64/node64_4294967295.4294967295
MAX_FOLDER_BYTES = 60


def default_folder() -> Path:
    """Name the folder of a person who has one cluster."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "slurm"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `up` was told. What a later `up` is not told stays as it was."""

    accounting: bool = True
    cgroups: bool = False
    nodes: int = 4
    cpus: int = 8
    memory: int = 4000
    port: int = 16800
    min_job_age: int = 300
    set: list[str] = field(default_factory=list[str])

    @property
    def node_names(self) -> list[str]:
        """Name the nodes, in order."""
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon that listens on one."""
        database = {"slurmdbd": self.port + 1} if self.accounting else {}
        nodes = {name: self.port + 10 + number for number, name in enumerate(self.node_names)}
        return {"slurmctld": self.port, **database, **nodes}

    def save(self, file: Path) -> None:
        """Remember them."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


def load(file: Path, told: dict[str, Any]) -> Settings:
    """Give the remembered settings, or the defaults, with what *told* says otherwise."""
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return Settings(**before | {name: value for name, value in told.items() if value is not None})


def parser() -> argparse.ArgumentParser:
    """Build the command line of `up`."""
    made = argparse.ArgumentParser(
        prog="clusters/slurm/up",
        description="Bring a real Slurm up on this machine and print what to export. Does nothing "
        "where all is up; starts what has died. Options are remembered in the folder.",
    )
    add = made.add_argument
    add("folder", nargs="?", type=Path, default=default_folder(), help="default: %(default)s")
    yes_or_no = argparse.BooleanOptionalAction
    add("--accounting", action=yes_or_no, help="slurmdbd and MariaDB (default: yes)")
    add("--cgroups", action=yes_or_no, help="enforce memory limits; root, cgroup v1 (default: no)")
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    add("--nodes", **number, help="one slurmd for each (default: 4)")
    add("--cpus", **number, help="processors that each node claims to have (default: 8)")
    add("--memory", **number, help="MB that each node claims to have (default: 4000)")
    add("--port", **number, help="slurmctld's; slurmdbd +1, nodes from +10 (default: 16800)")
    add("--min-job-age", **number, help="seconds that squeue shows an ended job (default: 300)")
    add("--set", action="append", metavar="KEY=VALUE", help="any other line of slurm.conf")
    add("--only", metavar="DAEMON", help="start this one alone: slurmctld, node1, munged, ...")
    return made
