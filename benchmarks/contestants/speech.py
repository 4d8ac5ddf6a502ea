"""What every contestant is told and says: words in, one line of JSON out.

`python CONTESTANT.py SUBJECT --jobs N --slots S --folder DIR`. Runs on each peer's own Python, so
it takes nothing but the standard library.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Answer = dict[str, Any]
Run = Callable[[list[str]], tuple[int, int, str]]
"""Runs an argv; gives when it was handed in, when its end was known, and what it printed. Times in
nanoseconds since 1970, as `date` tells them."""

REST_S = 0.03
"""Between two jobs of a latency measurement, so that the machine is idle when one comes."""


class Task(NamedTuple):
    """What a contestant has to do."""

    jobs: int
    slots: int
    folder: Path
    seconds: float


def answer(version: str, **subjects: Callable[[Task], Answer]) -> None:
    """Do what the command line asks, and tell the result.

    Whatever libraries print goes to standard error: the answer stands alone on standard output.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=sorted(subjects))
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    words = parser.parse_args()
    out = os.dup(1)
    os.dup2(2, 1)
    task = Task(words.jobs, words.slots, words.folder, words.seconds)
    said = {"version": version, **subjects[words.subject](task)}
    os.write(out, json.dumps(said).encode() + b"\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # Some libraries leave threads or processes behind that would keep this one.
    os._exit(0)


def took(jobs: int, seconds: float, **more: Any) -> Answer:
    return {"jobs": jobs, "seconds": seconds, "per_s": jobs / seconds, **more}


def latency(run: Run, jobs: int) -> Answer:
    """Measure from submission to the start of a process, and from its end to the knowledge of it.

    `date` tells the time as the first and last thing that it does: its own start (under 1 ms) is in
    every contestant's number, the bare one's too.
    """
    dice = random.Random(0)
    starts: list[float] = []
    ends: list[float] = []
    run(["true"])  # The first one opens connections.
    for _ in range(jobs):
        time.sleep(REST_S)
        handed_in, _, text = run(["date", "+%s%N"])
        starts.append((int(text) - handed_in) / 1e6)
        time.sleep(REST_S)
        # Not always the same: a poll that began with the job must not be met at its best.
        nap = 0.05 + 0.05 * dice.random()
        _, known, text = run(["sh", "-c", f"sleep {nap:.4f}; exec date +%s%N"])
        ends.append((known - int(text)) / 1e6)
    return {"jobs": jobs, "start_ms": starts, "end_ms": ends}
