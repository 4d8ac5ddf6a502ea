"""What jobs find in the variables of Grid Engine: themselves, however they were handed over."""

from typing import Any

import pytest

from drover import Array, JobSpec
from drover.models import Attempt
from drover_drmaa._variables import TASK, with_own_index


def told(index: int | None, array: Any = None, **fields: Any) -> dict[str, str]:
    """Give the variables of a job, or of an element of an array."""
    variables = fields.pop("variables", {})
    made = JobSpec(
        argv=("/bin/true",), array=None if array is None else Array(indices=array), **fields
    )
    attempt = Attempt(
        job_id="j", number=1, token="t", spec=made, array_index=index, variables=variables
    )
    return dict(with_own_index("drmaa", attempt, "smp").variables)


@pytest.mark.parametrize(
    ("index", "array", "values"),
    [
        (None, None, ("undefined",) * 4),
        (5, range(5, 10, 2), ("5", "5", "9", "2")),
        (9, range(5, 11, 2), ("9", "5", "10", "2")),
        (5, range(7, 4, -2), ("5", "5", "7", "2")),
        (0, 3, ("0", "0", "2", "1")),
        (4, (4, 6, 9), ("4", "4", "9", "undefined")),
    ],
)
def test_a_job_finds_its_own_index(
    index: int | None, array: object, values: tuple[str, ...]
) -> None:
    """A script that reads SGE_TASK_ID must not do the work of another element."""
    assert dict(zip(TASK, values, strict=True)) == {
        name: text for name, text in told(index, array).items() if name in TASK
    }


def test_it_finds_its_own_name() -> None:
    """Jobs that go as one array have one name there, with drover's key in it."""
    assert "true" == told(None)["JOB_NAME"]
    assert "mine" == told(None, name="mine")["JOB_NAME"]


def test_what_the_owner_sets_wins() -> None:
    assert {"SGE_TASK_ID": "7", "JOB_NAME": "x"}.items() <= told(
        1, 3, variables={"SGE_TASK_ID": "7", "JOB_NAME": "x"}
    ).items()


@pytest.mark.parametrize(
    ("native", "changed"),
    [
        ({"pe": "mpi"}, False),
        ({"nativeSpecification": "-q all.q -pe mpi 8"}, False),
        ({"options": ["-pe", "mpi", "8"]}, False),
        ({"pe": "smp"}, True),
        ({"options": ["-pe", "smp", "8"]}, True),
        ({"options": ["-q", "mpi"]}, True),
    ],
)
def test_one_that_may_lie_on_several_nodes_has_grid_engines_numbers(
    native: dict[str, Any], changed: bool
) -> None:
    """By them `qrsh -inherit`, which starts the rest of an MPI job, finds it."""
    assert changed == bool(told(1, 3, native={"drmaa": native}))
    assert told(1, 3, native={"other": native})
