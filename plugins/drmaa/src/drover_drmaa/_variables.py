"""Variables of Grid Engine, as a job has them that was handed over as its owner sees it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from attrs import evolve

from drover.models import Attempt

UNDEFINED: Final = "undefined"
"""What Grid Engine itself says to a job that is in no array."""
TASK: Final = ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE")


def with_own_index(name: str, attempt: Attempt, pe: str) -> Attempt:
    """Let a job find its own index where scripts for Grid Engine look for it.

    Grid Engine counts what is handed over at once from 1: elements of an array with any indices,
    and jobs of no array that ask for the same.

    Args:
        name: The backend's, whose options are read.
        attempt: As it is handed over. What its owner sets wins.
        pe: The parallel environment that keeps slots on one node.
    """
    if _environment(attempt.spec.native.get(name, {})) not in {"", pe}:
        # Its slots may lie on several nodes: `qrsh -inherit` finds it by Grid Engine's own number.
        return attempt
    told = {"JOB_NAME": attempt.spec.label, **dict(zip(TASK, _numbers(attempt), strict=True))}
    return evolve(attempt, variables={**told, **attempt.variables})


def _environment(native: Mapping[str, Any]) -> str:
    words = [*str(native.get("nativeSpecification", "")).split(), *native.get("options", ())]
    named = (word for flag, word in pairwise(words) if flag == "-pe")
    return next(named, str(native.get("pe", "")))


def _numbers(attempt: Attempt) -> tuple[str, ...]:
    array, index = attempt.spec.array, attempt.array_index
    if array is None or index is None:
        return (UNDEFINED,) * len(TASK)
    indices = array.indices
    lowest, highest = sorted((indices[0], indices[-1]))
    if not isinstance(indices, range):
        return str(index), str(lowest), str(highest), UNDEFINED
    # As it was asked for, also where the steps do not meet it.
    last = indices.stop - 1 if indices.step > 0 else highest
    return str(index), str(lowest), str(last), str(abs(indices.step))
