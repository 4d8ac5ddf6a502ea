"""What a person waits for who types a command, beside a Python that does nothing."""

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from stage import Answer, Round, Scale, Size, Stage, set_apart, values
from table import number, spread, table

TITLE: Final = "Starting"
SIZES: Final[dict[Scale, Size]] = {
    "full": Size(jobs=100_000, rounds=15),
    "quick": Size(jobs=10_000, rounds=7),
    "tiny": Size(jobs=100, rounds=1),
}
WANTED: Final = {"import": "60 over bare", "version": "150", "ps": "300"}


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    place = stage.folder("ps")
    stage.run("ours.py", "submission", jobs=size.jobs, folder=place)
    drover = str(Path(sys.executable).with_name("drover"))
    commands = {
        "bare": [sys.executable, "-c", ""],
        "import": [sys.executable, "-c", "import drover"],
        "version": [drover, "--version"],
        "ps": [drover, "--home", str(place / "store"), "ps"],
    }
    for argv in commands.values():
        timed(argv, place, size.jobs)  # The first one writes and reads what the others find.
    return stage.interleave(
        size.rounds,
        {name: partial(timed, argv, place, size.jobs) for name, argv in commands.items()},
    )


def timed(argv: Sequence[str], place: Path, jobs: int) -> Answer:
    environment = set_apart(place)
    began = time.perf_counter()
    subprocess.run(
        argv,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return {"ms": (time.perf_counter() - began) * 1000, "jobs": jobs}


def section(rounds: Sequence[Round]) -> str:
    jobs = number(rounds[0]["ps"]["jobs"])
    titles = {
        "bare": "`python -c ''`",
        "import": "`python -c 'import drover'`",
        "version": "`drover --version`",
        "ps": f"`drover ps` on {jobs} waiting jobs",
    }
    rows: list[Sequence[str]] = []
    for name, title in titles.items():
        over = [row[name]["ms"] - row["bare"]["ms"] for row in rounds if name != "bare"]
        more = number(median(over)) if over else ""
        rows.append((title, spread(values(rounds, name, "ms")), more, WANTED.get(name, "")))
    heading = ("", "ms", "over bare, median of each round", "wanted at most")
    return f"""\
Whole processes, {len(rounds)} of each in turn.

{table(heading, rows)}
"""
