"""What Drover adds to a Slurm cluster: by the job, by the array, and while many wait."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Final

from attrs import frozen
from stage import Round, Scale, Stage, middle, ratios, values
from table import number, ratio, spread, table

TITLE: Final = "Slurm"
UP: Final = Path(__file__).parents[1] / "clusters" / "slurm"


@frozen
class Sizes:
    """How much is measured, of each kind."""

    rounds: int
    single: int
    array: int
    waiting: int
    pending: int
    seconds: float
    ends: int


SIZES: Final[dict[Scale, Sizes]] = {
    "full": Sizes(3, 200, 10_000, 10_000, 50_000, 120.0, 20),
    "quick": Sizes(1, 100, 10_000, 10_000, 20_000, 60.0, 5),
    "tiny": Sizes(1, 5, 20, 5, 5, 0.5, 1),
}


def is_here() -> bool:
    """Tell whether a cluster can be brought up."""
    return all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in PROGRAMS)


PROGRAMS: Final = ("sbatch", "slurmctld", "slurmd", "munged")


@contextmanager
def cluster() -> Generator[None]:
    """Bring a cluster up in a folder of its own, and let contestants find it."""
    # Its sockets want a short path, shorter than that of the scratch folder may be.
    folder = tempfile.mkdtemp(prefix="slurm-")
    before = os.environ.get("SLURM_CONF")
    try:
        argv = [sys.executable, str(UP / "up"), folder, "--port=23400"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.environ["SLURM_CONF"] = f"{folder}/etc/slurm.conf"
        yield
    finally:
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before
        subprocess.run([sys.executable, str(UP / "down"), folder, "--wipe"], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    run = partial(stage.run, "on_slurm.py")
    with cluster():
        rounds = stage.interleave(
            size.rounds,
            {
                "sbatch": partial(run, "bare", jobs=size.single),
                "drover": partial(run, "one_by_one", jobs=size.single),
                "array": partial(run, "arrays", jobs=size.array),
            },
        )
        once = {
            "waiting": run("waiting", jobs=size.waiting, seconds=size.seconds),
            "pending": run("waiting", jobs=size.pending, seconds=min(30.0, size.seconds)),
            "ends": run("latency", jobs=size.ends),
        }
    return [{**rounds[0], **once}, *rounds[1:]]


def section(rounds: Sequence[Round]) -> str:
    first = rounds[0]
    ends = first["ends"]["end_to_wait_ms"]
    late = quantiles(ends, n=20, method="inclusive") if len(ends) > 1 else [ends[0]] * 19
    speeds = {name: spread(values(rounds, name, "per_s")) for name in ("sbatch", "drover", "array")}
    rows = [
        ("bare `sbatch`, one after the other", "jobs/s", speeds["sbatch"], ""),
        ("Drover, each job a submission", "jobs/s", speeds["drover"], ""),
        (
            "beside bare `sbatch` in the same round",
            "ratio",
            ratio(ratios(rounds, "drover", "sbatch", "per_s")),
            "at least 0.9",
        ),
        (
            f"Drover, {first['array']['jobs']:,} like jobs as arrays",
            "jobs/s",
            speeds["array"],
            "",
        ),
        (
            "beside bare `sbatch` in the same round",
            "ratio",
            ratio(ratios(rounds, "array", "sbatch", "per_s")),
            "at least 50",
        ),
        (
            "beside Drover's own jobs one by one",
            "ratio",
            ratio(ratios(rounds, "array", "drover", "per_s")),
            "",
        ),
        (
            f"asked of the controller while {first['waiting']['jobs']:,} wait",
            "requests/min",
            number(first["waiting"]["requests_per_minute"]),
            "at most 4",
        ),
        ("the engine meanwhile", "ms of CPU per s", number(first["waiting"]["cpu_ms_per_s"]), ""),
        (
            f"the engine's memory with {first['pending']['jobs']:,} pending",
            "MiB",
            number(first["pending"]["engine_mib"]),
            "",
        ),
        ("from a job's end to `wait`, median", "ms", number(middle(ends)), ""),
        ("the same, 95 %", "ms", number(late[18]), ""),
    ]
    return f"""\
On a cluster of four nodes that `clusters/slurm` brings up on this very machine; it shares the
processors with the jobs and with Drover.

{table(("", "unit", "measured", "wanted"), rows)}
"""
