"""What a job costs as there are more of them: submitted only, and really run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen
from stage import Answer, Round, Scale, Stage, middle, values
from startup import timed
from table import number, table

TITLE: Final = "As the work grows"
MILLION: Final = 1_000_000


@frozen(kw_only=True)
class Sizes:
    """How many jobs at a time."""

    submitted: tuple[int, ...]
    run: tuple[int, ...]


SIZES: Final[dict[Scale, Sizes]] = {
    "full": Sizes(
        submitted=(1000, 3000, 10_000, 30_000, 100_000, 300_000, MILLION),
        run=(1000, 3000, 10_000, 30_000, 100_000),
    ),
    "quick": Sizes(submitted=(1000, 3000, 10_000, 30_000), run=(1000, 3000, 10_000)),
    "tiny": Sizes(submitted=(20, 40), run=(20,)),
}
BASE: Final = 10_000
"""The cost per job of larger sizes is compared with that of this one, or the largest below it."""


def measure(stage: Stage) -> list[Round]:
    sizes = SIZES[stage.scale]
    row: Round = {}
    for jobs in sizes.submitted:
        row[f"submitted {jobs}"] = stage.run("ours.py", "submission", jobs=jobs)
        stage.tell(f"  {number(jobs)} submitted")
    for jobs in (*sizes.run, *((MILLION,) if stage.million else ())):
        row[f"run {jobs}"] = _one(stage, jobs)
        stage.tell(f"  {number(jobs)} run")
    return [row]


def _one(stage: Stage, jobs: int) -> Answer:
    place = stage.folder(f"growth-{jobs}")
    said = stage.run("ours.py", "growth", jobs=jobs, folder=place)
    read = stage.run("ours.py", "reading", jobs=jobs, folder=place)
    read["peak_mib"] = {"reader": read["peak_mib"]["client"]}
    drover = str(Path(sys.executable).with_name("drover"))
    argv = [drover, "--home", str(place / "store"), "ps"]
    listed = sorted(timed(argv, place, jobs)["ms"] for _ in range(3))
    peaks = said["peak_mib"] | read["peak_mib"]
    return said | read | {"peak_mib": peaks, "ps_ms": listed[1]}


def points(rounds: Sequence[Round], kind: str) -> list[int]:
    """List the sizes of one kind that were measured, smallest first."""
    names = {name for row in rounds for name in row if name.startswith(f"{kind} ")}
    return sorted(int(name.removeprefix(f"{kind} ")) for name in names)


def speed(rounds: Sequence[Round], kind: str, jobs: int) -> float:
    """Give jobs per second."""
    return middle(values(rounds, f"{kind} {jobs}", "per_s"))


def cpu_us(rounds: Sequence[Round], kind: str, jobs: int) -> float:
    """Give the CPU time that all of Drover's processes used per job, in microseconds."""
    answers = [row[f"{kind} {jobs}"] for row in rounds if f"{kind} {jobs}" in row]
    return middle([sum(one["cpu_s"].values()) * 1e6 / jobs for one in answers])


def peaks(rounds: Sequence[Round], kind: str, jobs: int) -> dict[str, float]:
    """Give the peak memory by process, in MiB."""
    answers = [row[f"{kind} {jobs}"] for row in rounds if f"{kind} {jobs}" in row]
    names = list(answers[0]["peak_mib"])
    return {name: middle([one["peak_mib"][name] for one in answers]) for name in names}


def section(rounds: Sequence[Round]) -> str:
    return f"""\
![jobs per second and memory against the number of jobs](growth.svg)

Submitted by one call, with no engine at work; each size in a store of its own.

{_submitted(rounds)}

Submitted and run: `/bin/true`, two at a time, output files kept.

{_run_table(rounds)}

The same stores, read by another process when all has ended. Wanted with 100,000 jobs: under 1 s for
a page of 100, the counts, and one `wait` on all; under 300 ms for `drover ps`.

{_read_table(rounds)}

{compared(rounds)}
"""


def _submitted(rounds: Sequence[Round]) -> str:
    rows = [
        (
            number(jobs),
            number(speed(rounds, "submitted", jobs)),
            number(cpu_us(rounds, "submitted", jobs)),
            number(peaks(rounds, "submitted", jobs)["client"]),
        )
        for jobs in points(rounds, "submitted")
    ]
    return table(("jobs", "jobs/s", "CPU per job, us", "peak memory, MiB"), rows)


def _run_table(rounds: Sequence[Round]) -> str:
    names = ("client", "engine", "keeper", "agent")
    rows: list[Sequence[str]] = []
    for jobs in points(rounds, "run"):
        memory = peaks(rounds, "run", jobs)
        bytes_of = {
            key: middle(values(rounds, f"run {jobs}", key)) / jobs
            for key in ("store_bytes", "output_bytes")
        }
        rows.append(
            (
                number(jobs),
                number(speed(rounds, "run", jobs)),
                number(cpu_us(rounds, "run", jobs)),
                ", ".join(number(memory[name]) for name in names),
                number(bytes_of["store_bytes"]),
                number(bytes_of["output_bytes"]),
            )
        )
    memory_heading = f"peak memory, MiB: {', '.join(names)}"
    heading = ("jobs", "jobs/s", "CPU per job, us", memory_heading, "store, bytes per job")
    return table((*heading, "output folder, bytes per job"), rows)


def _read_table(rounds: Sequence[Round]) -> str:
    keys = ("list_s", "count_s", "wait_s")
    rows = [
        (
            number(jobs),
            *(number(1000 * middle(values(rounds, f"run {jobs}", key))) for key in keys),
            number(middle(values(rounds, f"run {jobs}", "ps_ms"))),
            number(peaks(rounds, "run", jobs)["reader"]),
        )
        for jobs in points(rounds, "run")
    ]
    heading = ("jobs", "a page, ms", "counts, ms", "wait, ms", "`drover ps`, ms")
    return table((*heading, "peak memory of the reader, MiB"), rows)


def compared(rounds: Sequence[Round]) -> str:
    """Say how much more a job costs at the largest size than at the base."""
    lines: list[str] = []
    for kind, title in (("submitted", "submitting"), ("run", "submitting and running")):
        sizes = points(rounds, kind)
        base = max([size for size in sizes if size <= BASE], default=sizes[0])
        most = sizes[-1]
        cpu = cpu_us(rounds, kind, most) / cpu_us(rounds, kind, base)
        wall = speed(rounds, kind, base) / speed(rounds, kind, most)
        lines.append(
            f"- {title}: one of {number(most)} costs {cpu:.2f} times the CPU and {wall:.2f} times "
            f"the time of one of {number(base)}"
        )
    return (
        "Wanted: at most 1.3 times per job at 1,000,000 of what it is at 10,000.\n\n"
        + "\n".join(lines)
    )
