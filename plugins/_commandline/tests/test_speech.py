"""What is read, and what is not: replies that were recorded, and noise."""

import pytest
from attrs import frozen

from drover.errors import UnreachableError
from drover.models import SPEC_FIELDS, JobSpec, Phase, Reason, Resources, Support
from drover_skeleton._plan import HONOURED, REFUSED
from drover_skeleton._speech import Speech, read_list

LISTED = """\
1 key-a ENDED 7 1770000000
2 key-b RUNNING 0 0
3 key-c PAUSED 0 0
5 key-e CANCELLED 143 1770000000
"""


@frozen
class Reply:
    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    argv: tuple[str, ...] = ("fq",)


def test_a_listing_is_read() -> None:
    """A word that nobody knows is told, and nothing is concluded from it."""
    rows = read_list(Reply(LISTED))

    phases = [Phase.ENDED, Phase.RUNNING, Phase.UNKNOWN, Phase.ENDED]
    assert phases == [row.phase for row in rows]
    assert ["key-a", "key-b", "key-c", "key-e"] == [row.key for row in rows]
    ends = [(row.end.exit_code, row.end.reason) for row in rows if row.end is not None]
    assert [(7, None), (143, Reason.CANCELLED)] == ends


@pytest.mark.parametrize("line", ["", "Welcome!", "4 key", "x key-d ENDED 0 0", "4 ENDED 0 0"])
def test_noise_is_passed_over(line: str) -> None:
    """One line that cannot be read harms no other."""
    assert 4 == len(read_list(Reply(f"{line}\n{LISTED}{line}\n")))


def test_a_listing_that_failed_says_nothing() -> None:
    """An error is no empty list: every job would be called gone."""
    with pytest.raises(UnreachableError):
        read_list(Reply("", "fq: nobody answers", 1))


def test_every_field_is_judged() -> None:
    """A field that drover adds later must be looked at here."""
    judged = {name for name in HONOURED if "." not in name} | set(REFUSED) | {"resources"}

    assert judged == set(SPEC_FIELDS)


def test_what_is_not_to_be_had_is_refused() -> None:
    """Nothing is ignored silently."""
    spec = JobSpec(argv=["true"], resources=Resources(cpus=2, wall_time=60))
    fields = Speech("skeleton").plan(spec, b"").fields

    assert ["resources.cpus"] == [f.field for f in fields if f.support is Support.REFUSED]
