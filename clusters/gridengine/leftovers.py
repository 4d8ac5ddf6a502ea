"""Processes that outlive the daemons: sge_shepherd, and the job under it."""

import time
from functools import partial
from pathlib import Path

from clusters import leftovers
from clusters.leftovers import Process, below, marked

SHEPHERD = "sge_shepherd"
REAP_S = 10.0


def of_jobs(root: Path, processes: list[Process]) -> list[Process]:
    """List the shepherds of a cluster, and all that runs under them.

    Jobs stand before shepherds: a job whose shepherd is killed first is an orphan.
    """
    ours = marked(processes, {"SGE_ROOT": str(root)})
    shepherds = [process for process in ours if process.name.startswith(SHEPHERD)]
    jobs = {process.pid: process for process in below(shepherds, processes)}
    jobs |= {process.pid: process for process in ours if process.has(b"JOB_ID")}
    for shepherd in shepherds:
        jobs.pop(shepherd.pid, None)
    return [*jobs.values(), *shepherds]


def kill(root: Path) -> None:
    """Kill jobs and shepherds until there are none.

    The next execd takes the zombie of a shepherd for one that lives, and looks again after a
    minute: what process 1 reaps within seconds is waited for.
    """
    killed = leftovers.kill(partial(of_jobs, root))
    shepherds = [Path(f"/proc/{row.pid}") for row in killed if row.name.startswith(SHEPHERD)]
    ends = time.monotonic() + REAP_S
    while any(map(Path.exists, shepherds)) and time.monotonic() < ends:
        time.sleep(0.05)
