"""Partial timestamps and limits as DRMAA writes them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover.drmaa import InvalidAttributeFormatException
from drover.drmaa.vocabulary import limit_of, next_instant


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live where the clock is put forward in spring."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


NOW = "2024-02-28T13:30:00+01:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:00", "2024-02-28T14:00:00+01:00"),
        ("13:30:00", NOW),
        ("13:29:59", "2024-02-29T13:29:59+01:00"),
        ("13:00", "2024-02-29T13:00:00+01:00"),
        ("28 14:00", "2024-02-28T14:00:00+01:00"),
        ("28 13:00", "2024-03-28T13:00:00+01:00"),
        ("27 14:00", "2024-03-27T14:00:00+01:00"),
        ("30 14:00", "2024-03-30T14:00:00+01:00"),
        ("31 14:00", "2024-03-31T14:00:00+02:00"),
        ("02/28 14:00", "2024-02-28T14:00:00+01:00"),
        ("02/27 14:00", "2025-02-27T14:00:00+01:00"),
        ("07/01 14:00", "2024-07-01T14:00:00+02:00"),
        ("25/07/01 14:00", "2025-07-01T14:00:00+02:00"),
        ("20/07/01 14:00", "2020-07-01T14:00:00+02:00"),
        ("2031/07/01 14:00:05", "2031-07-01T14:00:05+02:00"),
        ("1999/12/31 23:59:61", "1999-12-31T23:59:59+01:00"),
        ("14:00 +00:00", "2024-02-28T14:00:00+00:00"),
        ("13:00 +00:00", "2024-02-28T13:00:00+00:00"),
        ("06:00 -08:00", "2024-02-28T06:00:00-08:00"),
        ("  2031/07/01  14:00  -05:30 ", "2031-07-01T14:00:00-05:30"),
    ],
)
def test_what_is_left_out_is_the_nearest_in_the_future(text: str, expected: str) -> None:
    """A start "at six" must not be one that was six hours ago."""
    assert at(expected) == next_instant(text, at(NOW))


def test_the_29th_of_february_is_waited_for() -> None:
    assert at("2028-02-29T12:00:00+01:00") == next_instant("02/29 12:00", at("2024-03-01T00:00Z"))


@pytest.mark.parametrize(
    "text",
    ["", "noon", "25:00", "12:60", "12", "32 12:00", "13/01 12:00", "2023/02/29 12:00",
     "12:00 +1:00", "12:00 +25:00", "12:00+01:00", "1/1 12:00", "2024-01-01 12:00", "02/30 12:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """A time that is misread starts a job in the middle of the night."""
    with pytest.raises(InvalidAttributeFormatException, match=r"^code 13: "):
        next_instant(text, at(NOW))


@given(
    now=st.integers(0, 4_000_000_000),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    day=st.none() | st.integers(1, 31),
    month=st.integers(1, 12),
)
def test_it_is_never_past_and_says_what_was_given(
    now: int, hour: int, minute: int, day: int | None, month: int
) -> None:
    date = "" if day is None else f"{day:02d} "
    if day is not None and day <= 28:
        date = f"{month:02d}/{date}"
    found = next_instant(f"{date}{hour:02d}:{minute:02d} +00:00", float(now))
    told = datetime.fromtimestamp(found, UTC)

    assert found >= now
    assert (hour, minute, 0) == (told.hour, told.minute, told.second)
    assert day in (None, told.day)
    assert "/" not in date or month == told.month


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(1, 1), (3600, 3600), ("90", 90), ("1:30", 90), ("2:00:00", 7200), (" 5 ", 5)],
)
def test_limits(value: object, seconds: int) -> None:
    assert seconds == limit_of(value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "", "0", "x", "1h", "1:2:3:4", None, True])
def test_what_is_no_limit_is_refused(value: object) -> None:
    with pytest.raises(InvalidAttributeFormatException):
        limit_of(value)
