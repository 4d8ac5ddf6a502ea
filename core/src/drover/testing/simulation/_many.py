"""Run many seeds, on several processors."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field

from drover.testing.simulation._run import Report, SimulationFailed, simulate

_PIECE: Final = 10
"""Seeds that a worker takes at a time."""


@define(kw_only=True)
class Sum:
    """What happened under many seeds."""

    seeds: int = 0
    jobs: int = 0
    virtual_s: float = 0.0
    kinds: Counter[str] = field(factory=Counter[str])
    counts: Counter[str] = field(factory=Counter[str])
    failed: list[SimulationFailed] = field(factory=list[SimulationFailed])

    def add(self, result: Report | SimulationFailed) -> None:
        """Count one seed in."""
        self.seeds += 1
        if isinstance(result, SimulationFailed):
            self.failed.append(result)
            return
        self.jobs += result.jobs
        self.virtual_s += result.virtual_s
        self.kinds[result.kind] += 1
        self.counts.update(result.counts)

    def lines(self) -> list[str]:
        """Tell it for people."""
        hours = self.virtual_s / 3600
        return [
            f"{self.seeds} seeds, {len(self.failed)} failed; {self.jobs} jobs, {hours:.0f} hours",
            *(f"{times:9d}  {kind}" for kind, times in sorted(self.kinds.items())),
            *(f"{times:9d}  {what}" for what, times in sorted(self.counts.items())),
        ]


def _one(seed: int) -> Report | SimulationFailed:
    try:
        return simulate(seed)
    except SimulationFailed as failure:
        return failure


def simulate_many(
    seeds: Sequence[int],
    *,
    processes: int = 1,
    progress: Callable[[Sum], None] = lambda _sum: None,
) -> Sum:
    """Run seeds and add up what happened; a failure stops none of the others.

    Args:
        seeds: Any; each is run by itself.
        processes: How many at a time.
        progress: Called after each.
    """
    total = Sum()
    if processes == 1:
        for seed in seeds:
            total.add(_one(seed))
            progress(total)
        return total
    # A fresh interpreter each: a fork would copy threads' locks as they happen to be.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        for result in pool.imap_unordered(_one, seeds, chunksize=_PIECE):
            total.add(result)
            progress(total)
    return total
