"""Handing in very many jobs by one call, beside bare inserts of the same durability."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from stage import Round, Scale, Size, Stage, middle, ratios, values
from table import number, ratio, spread, table

TITLE: Final = "Submission"
SIZES: Final[dict[Scale, Size]] = {
    "full": Size(jobs=100_000, rounds=5),
    "quick": Size(jobs=20_000, rounds=3),
    "tiny": Size(jobs=100, rounds=1),
}


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    return stage.interleave(
        size.rounds,
        {
            "bare": partial(stage.run, "bare.py", "submission", jobs=size.jobs),
            "drover": partial(stage.run, "ours.py", "submission", jobs=size.jobs),
        },
    )


def section(rounds: Sequence[Round]) -> str:
    jobs = rounds[0]["drover"]["jobs"]
    peaks = [row["drover"]["peak_mib"]["client"] for row in rounds]
    rows = [
        ("bare inserts of two rows", number(middle(values(rounds, "bare", "per_s"))), "", "", ""),
        (
            "**Drover** `submit_many`",
            number(middle(values(rounds, "drover", "per_s"))),
            ratio(ratios(rounds, "drover", "bare", "per_s")),
            spread(peaks),
            "40,000 jobs/s, better 80,000; under 400 MiB",
        ),
    ]
    heading = ("", "durable jobs/s", "of the bare inserts", "peak memory, MiB", "wanted")
    return f"""\
{number(jobs)} jobs by one call, their specifications made before, with no engine at work. Both
write to SQLite with a write-ahead log and `synchronous = FULL`, 20,000 jobs in a transaction;
Drover begins with smaller ones.

{table(heading, rows)}
"""
