"""What can be chosen about a Grid Engine, and the command line that chooses it."""

import argparse
from dataclasses import dataclass, field

from clusters import settings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `up` was told. What a later `up` is not told stays as it was."""

    slots: int = 64
    port: int = 16444
    slow: bool = False
    set: list[str] = field(default_factory=list[str])

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon."""
        return {"qmaster": self.port, "execd": self.port + 1}


def parser() -> argparse.ArgumentParser:
    """Build the command line of `up`."""
    made = settings.parser("gridengine", "Grid Engine", "qmaster or execd")
    settings.add_number(made, "slots", 9999, "jobs that all.q runs at a time (default: 64)")
    settings.add_number(made, "port", 60000, "qmaster's; execd +1 (default: 16444)")
    made.add_argument(
        "--slow",
        action=argparse.BooleanOptionalAction,
        help="schedule and write accounting every 15 s, as Grid Engine does if left alone "
        "(default: no, at once)",
    )
    settings.add_lines(made, "a line of sge_conf or sched_conf")
    return made
