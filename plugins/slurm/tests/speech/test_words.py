"""Every word of Slurm's for a state means something here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover.models import SYSTEM, USER, Phase, Reason
from drover_slurm._words import MEANINGS, NEVER, holds, meaning

OF_22_05 = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "CONFIGURING", "COMPLETING", "DEADLINE", "FAILED",
    "NODE_FAIL", "OUT_OF_MEMORY", "PENDING", "PREEMPTED", "RUNNING", "RESV_DEL_HOLD",
    "REQUEUE_FED", "REQUEUE_HOLD", "REQUEUED", "RESIZING", "REVOKED", "SIGNALING",
    "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "TIMEOUT",
)  # fmt: skip
"""Source: squeue(1) of 22.05, "JOB STATE CODES"."""
LATER = ("LAUNCH_FAILED", "RECONFIG_FAIL", "POWER_UP_NODE", "UPDATE_DB", "EXPEDITING")
"""Source: job_state_string and the table of flags in slurm_protocol_defs.c, 22.05 to 24.11."""
ENDS = {
    "COMPLETED": None, "FAILED": None, "CANCELLED": Reason.CANCELLED,
    "TIMEOUT": Reason.WALL_TIME, "DEADLINE": Reason.DEADLINE,
    "OUT_OF_MEMORY": Reason.OUT_OF_MEMORY, "NODE_FAIL": Reason.NODE_LOST,
    "BOOT_FAIL": Reason.NODE_LOST, "PREEMPTED": Reason.PREEMPTED,
    "LAUNCH_FAILED": Reason.LAUNCH_FAILED, "RECONFIG_FAIL": Reason.LAUNCH_FAILED,
}  # fmt: skip


@pytest.mark.parametrize("word", [*OF_22_05, *LATER])
def test_every_word_has_a_meaning(word: str) -> None:
    """A word of the manual that is not in the table is a job that nobody can judge."""
    assert word in MEANINGS
    assert (word == "REVOKED") is (meaning(word).phase is Phase.UNKNOWN)


def test_the_table_holds_nothing_else() -> None:
    """A word that Slurm never says is a mistake in one of two places."""
    assert {*OF_22_05, *LATER} == set(MEANINGS)


@pytest.mark.parametrize("word", sorted(MEANINGS))
def test_an_end_is_an_end(word: str) -> None:
    """A job that may come back must not be called over, nor the other way round."""
    assert (word in ENDS) is (meaning(word).phase is Phase.ENDED)
    assert ENDS.get(word) == meaning(word).reason
    assert not meaning(word).is_leaving or meaning(word).phase is Phase.RUNNING


@pytest.mark.parametrize("word", ["CANCELLED by 1000", "CANCELLED by ann", "CANCELLED+"])
def test_who_cancelled_does_not_matter(word: str) -> None:
    """Accounting adds who it was, and cuts long words off with a plus."""
    assert Reason.CANCELLED is meaning(word).reason


@given(st.text(max_size=20))
def test_an_unknown_word_ends_nothing(word: str) -> None:
    """Nothing is concluded from what nobody understands."""
    known = word.partition(" ")[0].rstrip("+") in MEANINGS

    assert known or (Phase.UNKNOWN, None) == (meaning(word).phase, meaning(word).reason)


@pytest.mark.parametrize(
    ("reason", "who"),
    [
        ("JobHeldUser", {USER}),
        ("JobHeldAdmin", {SYSTEM}),
        ("launch failed requeued held", {SYSTEM}),
        ("job requeued in held state", {SYSTEM}),
        ("Resources", set()),
        ("None", set()),
        ("", set()),
    ],
)
def test_who_holds(reason: str, who: set[str]) -> None:
    """A hold that nobody sees is a job that waits for ever."""
    assert who == holds(reason)


def test_a_reason_to_wait_for_ever_is_told_in_words() -> None:
    """`BadConstraints` says nothing to most people."""
    assert all(len(words.split()) > 3 for words in NEVER.values())
