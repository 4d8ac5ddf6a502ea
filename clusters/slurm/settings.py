"""What can be chosen about a cluster, and the command line that chooses it."""

import argparse
import re
from dataclasses import dataclass, field
from typing import Any

from clusters import settings


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
    prefix: str = "node"
    set: list[str] = field(default_factory=list[str])

    @property
    def nodes_and_ports(self) -> dict[str, int]:
        """Give the port of each node, in order."""
        numbers = range(self.nodes)
        return {f"{self.prefix}{number + 1}": self.port + 10 + number for number in numbers}

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon that listens on one."""
        database = {"slurmdbd": self.port + 1} if self.accounting else {}
        return {"slurmctld": self.port, **database, **self.nodes_and_ports}


def parser() -> argparse.ArgumentParser:
    """Build the command line of `up`."""
    made = settings.parser("slurm", "Slurm", "slurmctld, node1, munged, ...")
    add = made.add_argument
    yes_or_no: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    add("--accounting", **yes_or_no, help="slurmdbd and MariaDB (default: yes)")
    add("--cgroups", **yes_or_no, help="enforce memory limits; root, cgroup v1 (default: no)")
    for name, most, words in (
        ("nodes", 64, "one slurmd for each (default: 4)"),
        ("cpus", 1024, "processors that each node claims to have (default: 8)"),
        ("memory", 2**24, "MB that each node claims to have (default: 4000)"),
        ("port", 60000, "slurmctld's; slurmdbd +1, nodes from +10 (default: 16800)"),
        ("min-job-age", 2**24, "seconds that squeue knows an ended job (default: 300)"),
    ):
        settings.add_number(made, name, most, words)
    add("--prefix", type=_prefix, metavar="WORD", help="of the nodes' names (default: node)")
    settings.add_lines(made, "a line of slurm.conf")
    return made


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]{,7}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 8 small letters and digits")
    return text
