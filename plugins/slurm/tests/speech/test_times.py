"""Times as Slurm prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover_slurm._times import instant, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00", 0.0),
        ("2026-01-31T23:59:59", 1769903999.0),
        ("2024-02-29T12:00:00", 1709208000.0),
    ],
)
def test_an_instant_is_in_utc(text: str, seconds: float) -> None:
    """A zone taken for another would move every time by hours."""
    assert seconds == instant(text)


@pytest.mark.parametrize(
    "text", ["", "N/A", "Unknown", "None", "(null)", "2026-02-30T00:00:00", "2026-01-31", "now"]
)
def test_no_instant_is_none(text: str) -> None:
    """A time that was not told must not become 1970."""
    assert instant(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00", 0.0),
        ("00:00.001", 0.001),
        ("01:02.500", 62.5),
        ("01:02:03", 3723.0),
        ("2-01:00:00", 176400.0),
        ("10-23:59:59", 950399.0),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    """CPU times are told in four forms, depending on how long they are."""
    assert seconds == span(text)


@given(st.text(max_size=12))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever stands there, it is a time or nothing."""
    for read in (instant, span):
        told = read(text)
        assert told is None or isinstance(told, float)
