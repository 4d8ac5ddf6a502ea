"""What Drover's processes use while there is nothing to do."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from stage import Round, Scale, Stage, middle
from table import number, table

TITLE: Final = "At rest"
SECONDS: Final[dict[Scale, float]] = {"full": 20.0, "quick": 5.0, "tiny": 0.2}


def measure(stage: Stage) -> list[Round]:
    look = partial(stage.run, "ours.py", "idle", seconds=SECONDS[stage.scale])
    return stage.interleave(1, {"drover": look})


def section(rounds: Sequence[Round]) -> str:
    rows: list[Sequence[str]] = []
    for case, title in (("nothing", "nothing to do"), ("waiting", "a client waits for a job")):
        for name in rounds[0]["drover"][case]:
            seen = [row["drover"][case][name] for row in rounds]
            rows.append(
                (
                    f"{title}: {name}",
                    number(middle([row["cpu_ms_per_s"] for row in seen])),
                    number(middle([row["wakes_per_s"] for row in seen])),
                )
            )
    heading = ("", "ms of CPU per s", "times awake per s")
    return f"""\
Wanted: no CPU time that can be measured.

{table(heading, rows)}
"""
