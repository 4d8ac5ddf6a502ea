"""Where a measurement was made."""

import os
import platform
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


def describe(scratch: Path) -> dict[str, Any]:
    """Tell what a reader has to know to compare: the machine, the versions, how busy it was."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "file_system": _file_system(scratch),
        "python": _python(),
        "sqlite": sqlite3.sqlite_version,
        "drover": version("drover-core"),
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _python() -> str:
    """Tell whose Python it is too: distributions build theirs with profile-guided optimisation."""
    whose = " of the system" if sys.base_prefix == "/usr" else ""
    return platform.python_version() + whose


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    places = sorted(psutil.disk_partitions(all=True), key=lambda row: len(row.mountpoint))
    holding = [row for row in places if folder.resolve().is_relative_to(row.mountpoint)]
    return holding[-1].fstype if holding else "unknown"


def _commit() -> str:
    argv = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
