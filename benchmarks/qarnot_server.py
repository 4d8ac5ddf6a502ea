"""What the Qarnot server costs: tasks through the official SDK, and memory with many of them."""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Final

from attrs import frozen
from stage import Round, Scale, Stage, middle, ratios, values
from table import number, ratio, spread, table

TITLE: Final = "Qarnot server"


@frozen
class Sizes:
    """How much is measured."""

    rounds: int
    single: int
    bulk: int
    many: int


SIZES: Final[dict[Scale, Sizes]] = {
    "full": Sizes(3, 500, 2_000, 10_000),
    "quick": Sizes(1, 200, 500, 10_000),
    "tiny": Sizes(1, 3, 3, 5),
}


def is_here() -> bool:
    """Tell whether the SDK and the server's packages are installed."""
    return all(find_spec(name) for name in ("qarnot", "starlette", "uvicorn", "drover_objectstore"))


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    run = partial(stage.run, "on_qarnot.py")
    rounds = stage.interleave(
        size.rounds,
        {
            "bare": partial(run, "bare", jobs=size.bulk),
            "bulk": partial(run, "bulk", jobs=size.bulk),
            "single": partial(run, "one_by_one", jobs=size.single),
        },
    )
    return [{**rounds[0], "many": run("bulk", jobs=size.many)}, *rounds[1:]]


def section(rounds: Sequence[Round]) -> str:
    many = rounds[0]["many"]
    rows = [
        (
            "accepted, each by a call of its own (`task.submit()`)",
            "tasks/s",
            spread(values(rounds, "single", "per_s")),
        ),
        (
            "accepted by the call that takes many",
            "tasks/s",
            spread(values(rounds, "bulk", "handed_per_s")),
        ),
        (
            "from the call to the last task's `Success`",
            "tasks/s",
            spread(values(rounds, "bulk", "per_s")),
        ),
        (
            "beside Drover's own arrays of one in the same round",
            "ratio",
            ratio(ratios(rounds, "bulk", "bare", "per_s")),
        ),
        (
            "the server's own work",
            "ms of CPU per task",
            number(middle(values(rounds, "bulk", "cpu_ms"))),
        ),
        (f"its memory with {many['jobs']:,} tasks", "MiB", number(many["mib"])),
    ]
    return f"""\
Tasks that run `true`, by the unmodified SDK of PyPI over loopback; SDK, server, Drover and the
tasks share this machine's processors. Each creation is a transaction with `synchronous = FULL`.

{table(("", "unit", "measured"), rows)}
"""
