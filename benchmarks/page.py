"""The page of the reference, made from the results alone."""

from pathlib import Path
from types import ModuleType
from typing import Final

import gridengine
import growth
import idle
import latency
import objectstore
import qarnot_server
import slurm
import startup
import submission
import throughput
from results import Measured, Results

REFERENCE: Final = Path(__file__).parents[1] / "docs" / "reference"
FILE: Final = REFERENCE / "performance.md"
PICTURE: Final = REFERENCE / "growth.svg"
SUBJECTS: Final[dict[str, ModuleType]] = {
    "throughput": throughput,
    "submission": submission,
    "latency": latency,
    "startup": startup,
    "idle": idle,
    "growth": growth,
    "slurm": slurm,
    "gridengine": gridengine,
    "objectstore": objectstore,
    "qarnot": qarnot_server,
}

CLUSTERS: Final[dict[str, ModuleType]] = {
    "slurm": slurm,
    "gridengine": gridengine,
    "qarnot": qarnot_server,
}
"""Subjects that need a cluster, or a server's packages."""

HEAD: Final = """\
# Performance

What Drover costs, beside what the machine itself can do and beside others that run commands.
Written from `benchmarks/results.json`, which this measures anew:

```sh
nox -s benchmarks -- --peers --write
```

A number alone says little: machines differ, and shared ones drift by tens of percent within
minutes. So contestants take turns, each round gives one ratio, and what is told is the median, with
the least and the most where it matters. Each contestant runs in a process and a folder of its own;
the peers have environments of their own, in the versions that `benchmarks/peers.toml` names.
Nothing here is a test: no test fails because a machine is slow.
"""


def text(results: Results) -> str:
    """Write the page."""
    parts = [HEAD]
    for name, subject in SUBJECTS.items():
        measured = results.subjects.get(name)
        if measured is not None:
            section = subject.section(measured.rounds).strip()
            parts.append(f"## {subject.TITLE}\n\n{section}\n\n{_conditions(measured)}\n")
    return "\n".join(parts)


def _conditions(measured: Measured) -> str:
    machine = measured.machine
    note = f" Note: {measured.note}." if measured.note else ""
    return (
        f"Measured by `{measured.command}` with Drover {machine['drover']}, Python "
        f"{machine['python']}, SQLite {machine['sqlite']}, on {machine['system']}, "
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"{machine['file_system']}; load before: {machine['load_before']}.{note}"
    )


def usual() -> list[str]:
    """Name the subjects that can be measured here; the others have to be asked for."""
    missing = {name for name, one in CLUSTERS.items() if not one.is_here()}
    return [name for name in SUBJECTS if name not in missing]
