"""What the nodes have at most. Slurm itself may let a job wait for ever that no node can run."""

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from drover.commandline import Command
from drover.hookspecs import Completed
from drover.models import Resources
from drover_slurm._queue import check

_FORMAT: Final = "%R|%c|%m|%D"
_MIB: Final = 2**20


@frozen(kw_only=True)
class Nodes:
    """Nodes of one partition that are alike."""

    partition: str
    cpus: int
    memory: int
    """Bytes of one node."""
    count: int


@frozen(kw_only=True)
class Capacity:
    """All nodes of a cluster, as sinfo lists them."""

    nodes: Sequence[Nodes] = ()

    def problem(self, wanted: Resources) -> str:
        """Say why no node can ever run what is wanted; "" if one can, or nobody knows."""
        there = [n for n in self.nodes if wanted.queue in (None, n.partition)]
        if not there or "," in (wanted.queue or ""):
            return ""  # sbatch knows better what is wrong with the name of a partition.
        where = f"partition {wanted.queue}" if wanted.queue else "the cluster"
        cpus = max(n.cpus for n in there)
        if wanted.cpus > cpus:
            return f"no node of {where} has {wanted.cpus} cpus for one task, the largest has {cpus}"
        memory = max(n.memory for n in there)
        if (wanted.memory or 0) > memory:
            mib = (wanted.memory or 0) // _MIB
            return f"no node of {where} has {mib} MiB, the largest has {memory // _MIB}"
        partitions = {n.partition for n in there}
        count = max(sum(n.count for n in there if n.partition == name) for name in partitions)
        if wanted.nodes > count:
            return f"{where} has no {wanted.nodes} nodes in one partition, at most {count}"
        return ""


def command(timeout_s: float) -> Command:
    """Ask what the nodes have."""
    return Command(argv=("sinfo", "-h", "-a", "-o", _FORMAT), timeout_s=timeout_s)


def read(reply: Completed) -> Capacity:
    """Read the answer; lines that are none are passed over.

    Raises:
        UnreachableError: The command failed.
    """
    check(reply)
    nodes: list[Nodes] = []
    for line in reply.stdout.splitlines():
        parts = [re.sub(r"\+$", "", part.strip()) for part in line.split("|")]
        if len(parts) == len(_FORMAT.split("|")) and all(p.isdecimal() for p in parts[1:]):
            cpus, megabytes, count = (int(part) for part in parts[1:])
            nodes.append(Nodes(partition=parts[0], cpus=cpus, memory=megabytes * _MIB, count=count))
    return Capacity(nodes=nodes)
