"""Listings as a real Grid Engine printed them."""

import pytest
from ge_speech import Reply, known, number_of, page

from drover.commandline import Listing, Row
from drover.errors import UnreachableError, UnreadableReplyError
from drover.models import SYSTEM, USER, Phase
from drover_drmaa import _qstat


def rows(name: str = "listing") -> list[Row]:
    return _qstat.rows_of(_qstat.read(page("queue")[name]))


def held() -> list[Row]:
    others = [*rows("held by operator"), *rows("held by system")]
    return _qstat.with_holds(rows(), rows("held by user"), others)


def found(label: str, index: int | None = None) -> Row:
    """Look a recorded job up as the backend does."""
    number, key = number_of(label), f"KEY-{label}"
    if index is None:
        entry = known(number, key)
    else:
        entry = known(f"{number}.{index + 1}", key, index=index, size=10)
    row = Listing(held()).find(entry)
    assert row is not None
    return row


def test_a_job_that_runs() -> None:
    """What is listed as running is that."""
    row = found("run")

    assert (Phase.RUNNING, "r", frozenset()) == (row.phase, row.word, row.hold)
    assert row.started_at is not None
    assert None is row.submitted_at


def test_elements_of_an_array_are_told_apart() -> None:
    """Each has its own state, under the number that its job has for itself."""
    phases = [found("array", k).phase for k in range(3)]

    assert [Phase.RUNNING, Phase.SUSPENDED, Phase.RUNNING] == phases
    assert frozenset({USER}) == found("array", 1).suspended_by
    assert frozenset({USER}) == found("array", 2).hold


def test_a_range_of_elements_is_one_line() -> None:
    """A thousand that wait are one line; each is found in it, and one that was released is not."""
    number = number_of("held")
    ranges = [row for row in rows() if row.native_id == number]

    assert 1 <= len(ranges) <= 2
    assert [frozenset({USER}), frozenset(), *[frozenset({USER})] * 8] == [
        found("held", k).hold for k in range(10)
    ]
    assert {Phase.QUEUED} == {found("held", k).phase for k in range(10)}


def test_who_holds_a_job() -> None:
    """A user can lift his own hold alone; to wait for another job is none."""
    assert frozenset({SYSTEM}) == found("system").hold
    assert frozenset() == found("waits").hold
    assert "waits for other jobs" in found("waits").word


def test_a_job_in_the_error_state_says_why() -> None:
    """Eqw alone helps nobody."""
    reasons = _qstat.read_reasons(page("queue")["why it failed"])

    assert {
        number_of("failed"): "can't chdir to /nonexistent: No such file or directory"
    } == reasons
    assert {} == _qstat.read_reasons(page("queue")["why of one that is gone"])


def test_a_strangers_job_with_the_same_number_is_not_ours() -> None:
    """Numbers are handed out again."""
    assert None is Listing(rows()).find(known(number_of("run"), "KEY-other"))


def test_what_is_not_ours_has_no_key() -> None:
    """Names of other jobs may hold anything."""
    odd = [row for row in rows() if not row.key]

    assert [Phase.RUNNING] == [row.phase for row in odd]


def test_an_empty_listing_is_one() -> None:
    """Nothing there is an answer, nothing said is none."""
    assert [] == rows("nobody's")
    with pytest.raises(UnreachableError, match="Connection refused"):
        _qstat.read(page("site")["no master"])


def test_half_a_listing_is_none() -> None:
    """A reply that was cut off would let jobs vanish."""
    whole = page("queue")["listing"].stdout

    with pytest.raises(UnreadableReplyError):
        _qstat.read(Reply(whole[: len(whole) // 2]))


def test_one_bad_row_harms_one_job() -> None:
    """A control character in somebody's job name is no XML; the other rows still count."""
    whole = page("queue")["listing"].stdout
    bad = whole.replace("system+KEY-system", "sys\x01tem+KEY-system")

    assert len(rows()) == len(_qstat.rows_of(_qstat.read(Reply(bad))))
