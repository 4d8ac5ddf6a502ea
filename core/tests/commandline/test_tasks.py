"""What a wrapper is told: the names of a job's files."""

import pytest
from attrs import evolve

from drover.commandline.tasks import expand
from drover.models import Attempt, JobSpec

ATTEMPT = Attempt(job_id="k3x9.4", number=1, token="t", spec=JobSpec(argv=("x",)), array_index=4)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, None),
        ("out", "out"),
        ("out-%j", "out-k3x9.4"),
        ("%a/%a", "4/4"),
        ("100%%", "100%"),
        ("%%j-%j", "%j-k3x9.4"),
        ("%%%a", "%4"),
        ("%d %", "%d %"),
    ],
)
def test_letters_after_a_percent_sign(path: str | None, expected: str | None) -> None:
    """A path that holds `%j` itself must be writable, by `%%j`, as it is on the local backend."""
    assert expected == expand(path, ATTEMPT)


def test_a_job_that_is_in_no_array_has_no_index() -> None:
    assert "out-" == expand("out-%a", evolve(ATTEMPT, array_index=None))
