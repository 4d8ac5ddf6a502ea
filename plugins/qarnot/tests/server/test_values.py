"""Spans, instants, ranges and bodies: pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover_qarnot.server._asked import TaskAsked
from drover_qarnot.server._errors import ApiError
from drover_qarnot.server._reading import read, write
from drover_qarnot.server._values import (
    NEVER,
    instant,
    span,
    to_instances,
    to_range,
    to_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:28:04", 1684.0), ("1.03:16:50.5000000", 98210.5), ("1.06:00:00", 108000.0)],
)
def test_spans_are_read(text: str, seconds: float) -> None:
    """A time to live that was read wrong deletes too early."""
    assert seconds == to_seconds(text, "x")


@given(st.integers(0, 10**8))
def test_a_span_comes_back(seconds: int) -> None:
    """What is told of a task must be what was asked for."""
    assert seconds == to_seconds(span(seconds), "x")


@pytest.mark.parametrize("text", ["", "1", "1:2", "x00:00:00", "00:00:00x", "-1.00:00:00"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """The SDK checks only how a span begins."""
    with pytest.raises(ApiError):
        to_seconds(text, "x")


def test_instants_are_what_the_sdk_parses() -> None:
    """Seven digits, `+00:00` or null raise inside the SDK."""
    assert "2024-02-20T22:09:35Z" == instant(1708466975.9)
    assert NEVER == instant(None)


@given(st.sets(st.integers(0, 500), min_size=1))
def test_a_range_comes_back(instances: set[int]) -> None:
    """Status ranges and advanced ranges have one syntax."""
    assert tuple(sorted(instances)) == to_instances(to_range(instances), 501)


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "1-", "0-100", "1;2", "1\n2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """And a large one before it is written out."""
    with pytest.raises(ApiError):
        to_instances(text, 100)


def test_bodies_are_read_whatever_the_case_of_their_names() -> None:
    """Clients of five languages write them as they like, and send what nobody here knows."""
    asked = read(
        TaskAsked,
        {"NAME": "x", "ResultsCacheTTLSec": 7, "unknown": [1], "tags": None, "instancecount": 3,
         "Constants": [{"Key": "A", "Value": 26}, {"key": "B", "value": True}]},
    )  # fmt: skip

    assert ("x", 7, [], 3) == (
        asked.name, asked.results_cache_ttl_sec, asked.tags, asked.instance_count
    )  # fmt: skip
    assert ["26", "true"] == [one.value for one in asked.constants]
    assert 7 == write(asked)["resultsCacheTTLSec"]
    assert asked == read(TaskAsked, write(asked))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["name", "constants", "key", "value", "tags", "dependencies", "x"]), inner
    ), max_leaves=20,
))  # fmt: skip
def test_no_body_is_anything_but_read_or_refused(body: object) -> None:
    """Whatever JSON a client sends, the answer is 400 at worst."""
    try:
        read(TaskAsked, body)
    except ApiError as exc:
        refusal = exc
    else:
        return
    assert 400 == refusal.status
    assert refusal.errors
