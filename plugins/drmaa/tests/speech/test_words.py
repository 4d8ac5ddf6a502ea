"""Grid Engine's letters and numbers all mean something."""

from itertools import combinations

import pytest

from drover.models import SYSTEM, USER, Phase, Reason
from drover_drmaa._words import FAILURES, LETTERS, failure_of, state_of

# Source: qstat(1), and what a real 8.1.9 was seen to print.
SEEN = {
    "qw": Phase.QUEUED, "hqw": Phase.QUEUED, "Eqw": Phase.QUEUED, "Ehqw": Phase.QUEUED,
    "Rq": Phase.QUEUED, "hRwq": Phase.QUEUED, "t": Phase.RUNNING, "r": Phase.RUNNING,
    "Rr": Phase.RUNNING, "Rt": Phase.RUNNING, "hr": Phase.RUNNING, "s": Phase.SUSPENDED,
    "ts": Phase.SUSPENDED, "S": Phase.SUSPENDED, "tS": Phase.SUSPENDED, "T": Phase.SUSPENDED,
    "Rs": Phase.SUSPENDED, "dr": Phase.RUNNING, "dt": Phase.RUNNING, "dRr": Phase.RUNNING,
    "ds": Phase.RUNNING, "z": Phase.ENDED, "n": Phase.QUEUED, "x": Phase.ENDED,
    "": Phase.UNKNOWN, "Q": Phase.UNKNOWN, "r?": Phase.UNKNOWN,
}  # fmt: skip


@pytest.mark.parametrize(("letters", "phase"), SEEN.items())
def test_letters_that_were_seen(letters: str, phase: Phase) -> None:
    """A job that runs is no job that waits."""
    assert phase is state_of(letters).phase


def test_every_combination_of_letters_means_something() -> None:
    """A state that nobody thought of must not stop the look at all other jobs."""
    states = [state_of("".join(some)) for n in range(1, 4) for some in combinations(LETTERS, n)]

    assert all(state.phase is not Phase.UNKNOWN for state in states)
    assert {state.phase for state in states} == set(Phase) - {Phase.UNKNOWN, Phase.UNRUN}


def test_who_suspended_a_job() -> None:
    """What a user stopped he can let go on; what the site stopped he cannot."""
    assert frozenset({USER}) == state_of("s").suspended_by
    assert frozenset({SYSTEM}) == state_of("S").suspended_by
    assert frozenset({SYSTEM}) == state_of("T").suspended_by
    assert frozenset({USER, SYSTEM}) == state_of("sS").suspended_by
    assert None is state_of("r").suspended_by


def test_a_job_that_is_deleted_is_leaving() -> None:
    """Its end is not told yet, and it does not run on."""
    assert state_of("dr").is_leaving
    assert not state_of("r").is_leaving


@pytest.mark.parametrize("number", FAILURES)
def test_each_number_of_failed(number: int) -> None:
    """Which numbers say that nothing was begun, and which that it is run again."""
    what = failure_of(number)
    again, told = {24, 25}, {0, 12, 13, 14, 15, 16, 17, 18, 100}
    lost, limit = {19, 22}, {37}

    assert (number not in again) == what.is_end
    if number in again | told:
        assert None is what.reason
    elif number in lost:
        assert Reason.NODE_LOST is what.reason
    else:
        assert (Reason.WALL_TIME if number in limit else Reason.LAUNCH_FAILED) is what.reason


def test_an_unknown_number_says_nothing() -> None:
    """A newer version may have more; the exit status still counts."""
    assert failure_of(0) == failure_of(77)
