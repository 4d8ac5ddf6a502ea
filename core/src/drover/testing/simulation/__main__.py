"""`python -m drover.testing.simulation`: run seeds, and see again what one did."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

from drover.testing.simulation._many import Sum, simulate_many
from drover.testing.simulation._run import SimulationFailed, simulate

SHOWN: Final = 3
"""Failures that are told in full; of the others the seed says all."""


EVERY: Final = 500
"""Seeds between two lines where there is no terminal."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line says.

    Returns:
        0 if all is as it must be, 1 if a seed fails.
    """
    parser = argparse.ArgumentParser(
        prog="python -m drover.testing.simulation",
        description="Run engines, clients and an outside world on a virtual clock, with faults.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="run one seed and tell its story")
    which.add_argument("--seeds", type=_range, metavar="A..B", help="run these, B included")
    which.add_argument("--count", type=int, metavar="N", help="run the seeds 0 to N-1")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at a time"
    )
    given = parser.parse_args(words)
    if given.seed is not None:
        return _tell_one(given.seed)
    seeds = given.seeds or range(100 if given.count is None else given.count)
    return _tell_many(seeds, max(1, given.jobs))


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots or not first.isdecimal() or not last.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0..99")
    return range(int(first), int(last) + 1)


def _tell_one(seed: int) -> int:
    try:
        report = simulate(seed)
    except SimulationFailed as failure:
        print(*failure.story, f"seed {seed} failed:", *failure.findings, sep="\n")
        return 1
    sums = [f"{times:9d}  {what}" for what, times in sorted(report.counts.items())]
    about = f"seed {seed}: {report.kind}, {report.jobs} jobs, digest {report.digest}"
    print(*report.story, about, *sums, sep="\n")
    return 0


def _tell_many(seeds: range, processes: int) -> int:
    began = time.monotonic()
    at_terminal = sys.stderr.isatty()
    told: list[SimulationFailed] = []

    def progress(total: Sum) -> None:
        for failure in total.failed[len(told) :]:
            told.append(failure)
            print(f"{failure.findings[-1]}\n    {failure.command}", file=sys.stderr, flush=True)
        last = total.seeds == len(seeds)
        if at_terminal or last or total.seeds % EVERY == 0:
            text = f"{total.seeds} of {len(seeds)} seeds, {len(total.failed)} failed"
            end = "\r" if at_terminal and not last else "\n"
            print(text, end=end, file=sys.stderr, flush=True)

    total = simulate_many(seeds, processes=processes, progress=progress)
    lines = [str(failure) for failure in total.failed[:SHOWN]]
    lines += [f"{failure.findings[-1]}\n    {failure.command}" for failure in total.failed]
    print(*lines, *total.lines(), f"{time.monotonic() - began:.1f} s", sep="\n")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
