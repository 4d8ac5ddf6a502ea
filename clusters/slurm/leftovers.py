"""Processes that outlive the daemons: slurmstepd, and the job under it."""

import contextlib
from functools import partial
from pathlib import Path

from clusters import leftovers
from clusters.leftovers import Process, below, marked


def of_jobs(variables: dict[str, str], node: str | None, processes: list[Process]) -> list[Process]:
    """List the step daemons of a cluster, or of one node, and all that runs under them.

    Jobs stand before step daemons: a job whose step daemon is killed first is an orphan.
    """
    ours = marked(processes, variables)
    steps = [process for process in ours if process.name == "slurmstepd"]
    if node is not None:
        steps = [process for process in steps if _writes_to(process.pid, f"/{node}.log")]
    jobs = {process.pid: process for process in below(steps, processes)}
    for process in ours:
        of_node = node is None or f"SLURMD_NODENAME={node}".encode() in process.variables
        if of_node and process.has(b"SLURM_JOB_ID"):
            jobs[process.pid] = process
    for step in steps:
        jobs.pop(step.pid, None)
    return [*jobs.values(), *steps]


def kill(variables: dict[str, str], node: str | None = None) -> None:
    """Kill jobs and step daemons until there are none."""
    leftovers.kill(partial(of_jobs, variables, node))


def _writes_to(pid: int, end: str) -> bool:
    """Tell whether a process holds a file open: a step daemon writes to its node's log."""
    with contextlib.suppress(OSError):
        return any(str(link.readlink()).endswith(end) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False
