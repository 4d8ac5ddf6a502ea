"""What Drover adds to a Grid Engine, beside bare drmaa-python: jobs, looks, memory, latency."""

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
from typing import Any, Final

from attrs import frozen
from stage import Answer, Round, Scale, Stage, middle, ratios, values
from table import number, ratio, spread, table

TITLE: Final = "Grid Engine"
ROOT: Final = Path(__file__).parents[1]
UP: Final = ROOT / "clusters" / "gridengine"
PROGRAMS: Final = "/usr/lib/gridengine"
"""The programs themselves; those of Debian's /usr/bin are scripts that take ten times as long."""
PORT: Final = 23500
SLOTS: Final = 16
MANY_SLOTS: Final = 64
"""Where it is counted how many jobs are run, and not how fast."""


@frozen
class Sizes:
    """How much is measured, of each kind."""

    rounds: int
    handed: int
    run: int
    run_s: float
    there: int
    look_s: float
    memory: int
    bare_memory: int
    ends: int


SIZES: Final[dict[Scale, Sizes]] = {
    "full": Sizes(3, 1000, 160, 2.0, 2000, 120.0, 20_000, 2000, 20),
    "quick": Sizes(2, 200, 64, 2.0, 2000, 40.0, 1000, 200, 8),
    "tiny": Sizes(1, 5, 4, 0.1, 5, 4.0, 5, 5, 1),
}


def is_here() -> bool:
    """Tell whether a cluster can be brought up."""
    return all((Path(PROGRAMS) / name).exists() for name in ("sge_qmaster", "sge_execd", "qstat"))


@contextmanager
def cluster(slots: int) -> Generator[None]:
    """Bring a cluster up in a folder of its own, and let contestants find it."""
    folder = tempfile.mkdtemp(prefix="gridengine-")
    before = dict(os.environ)
    try:
        argv = [sys.executable, str(UP / "up"), folder, f"--port={PORT}", f"--slots={slots}"]
        done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = value
        os.environ["PATH"] = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        os.environ["SGE_BIN"] = PROGRAMS
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        subprocess.run([sys.executable, str(UP / "down"), folder, "--wipe"], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    run = partial(stage.run, "on_gridengine.py")
    handed = ("bare_one_handed", "one_handed", "bare_bulk_handed", "bulk_handed")
    whole = ("bare_one", "one", "bare_bulk", "bulk")
    with cluster(SLOTS):
        rounds = stage.interleave(
            size.rounds,
            {
                **{name: partial(run, name, jobs=size.handed) for name in handed},
                **{name: partial(run, name, jobs=size.run, seconds=size.run_s) for name in whole},
                **{
                    name: partial(run, name, jobs=size.ends, seconds=min(1.0, size.run_s))
                    for name in ("bare_latency", "latency")
                },
            },
        )
        once = {
            "bare_status": run("bare_status", jobs=size.there),
            "status": run("status", jobs=size.there, seconds=size.look_s),
        }
    with cluster(MANY_SLOTS):
        many = {
            "memory": run("memory", jobs=size.memory),
            "bare_memory": run("bare_memory", jobs=size.bare_memory),
        }
    return [{**rounds[0], **once, **many}, *rounds[1:]]


def section(rounds: Sequence[Round]) -> str:
    first = rounds[0]
    rows = [
        *_pair(rounds, "handed over by {} calls of `runJob`", "bare_one_handed", "one_handed"),
        *_pair(rounds, "{} handed over as bulk jobs", "bare_bulk_handed", "bulk_handed"),
        *_pair(rounds, "{} jobs of 2.0 to 2.9 s, one by one", "bare_one", "one"),
        *_pair(rounds, "{} jobs of 2.0 to 2.9 s, as bulk jobs", "bare_bulk", "bulk"),
        *_status(first),
        *_memory(first),
        *_latency("bare, from a job's end to `wait`", rounds, "bare_latency"),
        *_latency("Drover, from a job's end to `wait`", rounds, "latency"),
    ]
    return f"""\
On a cluster with {SLOTS} slots that `clusters/gridengine` brings up on this very machine; it shares
the processors with the jobs and with Drover. Bare is drmaa-python in the same round, one process
with one session. What is handed over is held; what is run is waited for, and asked how it ended.
Bulk jobs are one message of the library, however many they are; Drover writes each job down first.
On a busy machine its wrapper, a Python per job, takes its turn with everything else. Its engine
keeps at most 16 MiB of the store's pages, which the first ten thousand jobs fill.

{table(("", "unit", "measured", "wanted"), rows)}
"""


Row = tuple[str, str, str, str]


def _pair(rounds: Sequence[Round], words: str, bare: str, ours: str) -> list[Row]:
    said = words.format(f"{rounds[0][bare]['jobs']:,}")
    return [
        (f"bare, {said}", "jobs/s", spread(values(rounds, bare, "per_s")), ""),
        ("Drover, as many", "jobs/s", spread(values(rounds, ours, "per_s")), ""),
        (
            "beside bare in the same round",
            "ratio",
            ratio(ratios(rounds, ours, bare, "per_s")),
            "at least 0.9",
        ),
    ]


def _status(first: Round) -> list[Row]:
    bare, ours = first["bare_status"], first["status"]
    jobs = f"{ours['jobs']:,}"
    return [
        (f"bare, the states of {jobs} jobs: a question each", "ms", number(bare["ms"]), ""),
        (f"Drover's question about {jobs} jobs", "ms", number(ours["ms"]), ""),
        ("questions at a look", "", number(ours["questions_per_look"]), "1"),
        ("questions while they are there", "per min", number(ours["questions_per_minute"]), ""),
    ]


def _memory(first: Round) -> list[Row]:
    ours, bare = first["memory"], first["bare_memory"]
    tenth, half, last = _at_tenth(ours), ours["rows"][len(ours["rows"]) // 2 - 1], ours["rows"][-1]
    workers = [row["worker_mib"] for row in ours["rows"]]
    return [
        (f"Drover, {ours['jobs']:,} jobs run to their ends", "jobs/s", number(ours["per_s"]), ""),
        (f"its engine after {tenth['jobs']:,} of them", "MiB", number(tenth["engine_mib"]), ""),
        (f"its engine after {half['jobs']:,}", "MiB", number(half["engine_mib"]), ""),
        (f"its engine after {last['jobs']:,}", "MiB", number(last["engine_mib"]), "as before"),
        (f"the largest of {ours['workers']} workers", "MiB", number(max(workers)), ""),
        (
            f"bare, its process after {_at_tenth(bare)['jobs']:,} and {bare['jobs']:,}",
            "MiB",
            f"{number(_at_tenth(bare)['client_mib'])}, {number(bare['rows'][-1]['client_mib'])}",
            "",
        ),
    ]


def _at_tenth(said: Answer) -> dict[str, Any]:
    rows: list[dict[str, Any]] = said["rows"]
    return next(row for row in rows if row["jobs"] * 10 >= said["jobs"])


def _latency(words: str, rounds: Sequence[Round], name: str) -> list[Row]:
    ends = [late for one in rounds for late in one[name]["end_to_wait_ms"]]
    late = quantiles(ends, n=20, method="inclusive")[18] if len(ends) > 1 else ends[0]
    return [
        (f"{words}, median", "ms", number(middle(ends)), ""),
        ("the same, 95 %", "ms", number(late), ""),
    ]
