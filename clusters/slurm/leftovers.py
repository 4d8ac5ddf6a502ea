"""Processes that outlive the daemons: slurmstepd, and the job under it."""

import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from clusters.daemons import send, start_time

KILL_S = 5.0
MOST_ROUNDS = 10


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as /proc shows it; *variables* are those that it was started with."""

    pid: int
    parent: int
    started: str
    name: str
    variables: frozenset[bytes]


def of_jobs(variables: dict[str, str], node: str | None = None) -> list[Process]:
    """List the step daemons of a cluster, or of one node, and all that runs under them.

    Jobs stand before step daemons: a job whose step daemon is killed first is an orphan.
    """
    mark = {f"{name}={value}".encode() for name, value in variables.items()}
    processes = {process.pid: process for process in _processes()}
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for process in processes.values():
        children[process.parent].append(process)
    ours = [process for process in processes.values() if mark <= process.variables]
    steps = [process for process in ours if process.name == "slurmstepd"]
    if node is not None:
        steps = [process for process in steps if _writes_to(process.pid, f"/{node}.log")]
    jobs = {process.pid: process for step in steps for process in _below(step.pid, children)}
    for process in ours:
        of_node = node is None or f"SLURMD_NODENAME={node}".encode() in process.variables
        if of_node and any(word.startswith(b"SLURM_JOB_ID=") for word in process.variables):
            jobs[process.pid] = process
    for step in steps:
        jobs.pop(step.pid, None)
    return [*jobs.values(), *steps]


def kill(variables: dict[str, str], node: str | None = None) -> None:
    """Kill jobs and step daemons until there are none: one may have begun meanwhile."""
    rounds = 0
    while left := [row for row in of_jobs(variables, node) if row.pid != os.getpid()]:
        if rounds == MOST_ROUNDS:
            raise TimeoutError(f"processes do not die: {', '.join(str(row.pid) for row in left)}")
        rounds += 1
        # Step daemons first, so that none can report what becomes of its job.
        for process in reversed(left):
            send(process.pid, process.started, signal.SIGSTOP)
        for process in left:
            send(process.pid, process.started, signal.SIGKILL, wait_s=KILL_S)


def _processes() -> list[Process]:
    found: list[Process] = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Those of others cannot be read, and any may end while we look.
        with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            pid, variables = int(folder.name), (folder / "environ").read_bytes().split(b"\0")
            head, _, tail = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
            started = start_time(pid)
            if started is not None:
                found.append(
                    Process(
                        pid=pid,
                        parent=int(tail.split()[1]),
                        started=started,
                        name=head.partition("(")[2],
                        variables=frozenset(variables),
                    )
                )
    return found


def _below(pid: int, children: dict[int, list[Process]]) -> list[Process]:
    return [row for child in children.get(pid, []) for row in (child, *_below(child.pid, children))]


def _writes_to(pid: int, end: str) -> bool:
    """Tell whether a process holds a file open: a step daemon writes to its node's log."""
    with contextlib.suppress(OSError):
        return any(str(link.readlink()).endswith(end) for link in Path(f"/proc/{pid}/fd").iterdir())
    return False
