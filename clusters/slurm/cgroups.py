"""What memory limits need of the machine, and what they leave behind."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from clusters.daemons import send, start_time

ROOT = Path("/sys/fs/cgroup")
# What proctrack/cgroup and task/cgroup use of version 1.
CONTROLLERS = ("cpuset", "freezer", "memory")


def obstacle() -> str | None:
    """Say why this machine cannot enforce memory limits; None if it can."""
    if os.getuid() != 0:
        return "only root can make control groups"
    missing = [name for name in CONTROLLERS if not (ROOT / name / "tasks").exists()]
    if missing:
        return f"there is no cgroup v1 hierarchy of {', '.join(missing)} under {ROOT}"
    if not os.access(ROOT / "memory", os.W_OK):
        return f"{ROOT}/memory cannot be written to"
    return None


def folders(nodes: list[str]) -> Iterator[Path]:
    """List the control groups that Slurm made for some nodes, the innermost first."""
    for node in nodes:
        for top in ROOT.glob(f"*/slurm_{node}"):
            for path, *_ in os.walk(top, topdown=False):
                yield Path(path)


def remove(nodes: list[str]) -> None:
    """Kill what still runs in the nodes' groups, and remove them."""
    for folder in folders(nodes):
        with contextlib.suppress(FileNotFoundError):
            for pid in map(int, (folder / "cgroup.procs").read_text("utf-8").split()):
                started = start_time(pid)
                if started is not None:
                    send(pid, started, signal.SIGKILL, wait_s=5.0)
            folder.rmdir()
