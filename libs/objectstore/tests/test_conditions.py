"""Conditions of requests and ranges of bytes, each with what decides it."""

from email.utils import formatdate

import pytest

from drover_objectstore._http._conditions import check_read, check_write, wanted
from drover_objectstore.errors import (
    InvalidRangeError,
    NoSuchKeyError,
    NotModifiedError,
    PreconditionFailedError,
    UnsupportedError,
)
from drover_objectstore.models import ObjectInfo

AT = 1_700_000_000
THERE = ObjectInfo(key="k", size=10, etag="e", modified=AT + 0.5)


def date(seconds: int) -> str:
    return formatdate(AT + seconds, usegmt=True)


def read(prefix: str = "", **conditions: str) -> str:
    """Tell which condition refuses to read, or that none does."""
    headers = {prefix + name.replace("_", "-"): text for name, text in conditions.items()}
    try:
        check_read(headers, THERE, prefix)
    except PreconditionFailedError as error:
        return str(error.facts["Condition"])
    except NotModifiedError:
        return "not modified"
    return "read"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "read"),
        ({"if_match": '"e"'}, "read"),
        ({"if_match": 'W/"e"'}, "read"),
        ({"if_match": '"x", "e"'}, "read"),
        ({"if_match": "*"}, "read"),
        ({"if_match": '"x"'}, "If-Match"),
        ({"if_unmodified_since": date(0)}, "read"),
        ({"if_unmodified_since": date(-1)}, "If-Unmodified-Since"),
        ({"if_unmodified_since": "yesterday"}, "read"),
        # The tag says more than a date: RFC 9110, 13.2.2.
        ({"if_match": '"e"', "if_unmodified_since": date(-1)}, "read"),
        ({"if_none_match": '"x"'}, "read"),
        ({"if_none_match": '"e"'}, "not modified"),
        ({"if_modified_since": date(-1)}, "read"),
        ({"if_modified_since": date(0)}, "not modified"),
        ({"if_none_match": '"x"', "if_modified_since": date(0)}, "read"),
    ],
)
def test_a_reader_gets_what_it_supposes(conditions: dict[str, str], expected: str) -> None:
    """A download that goes on must not mix two objects."""
    assert expected == read(**conditions)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"if_none_match": '"e"'}, "If-None-Match"),
        ({"if_modified_since": date(0)}, "If-Modified-Since"),
        ({"if_match": '"x"'}, "If-Match"),
        ({"if_match": '"e"', "if_none_match": '"x"'}, "read"),
    ],
)
def test_a_copy_is_refused_and_never_not_modified(
    conditions: dict[str, str], expected: str
) -> None:
    """Nobody keeps an older copy that "not modified" could speak of."""
    assert expected == read("x-amz-copy-source-", **conditions)
    assert "read" == read(**{f"other_{name}": text for name, text in conditions.items()})


@pytest.mark.parametrize(
    ("headers", "there", "expected"),
    [
        ({"if-none-match": "*"}, None, None),
        ({"if-none-match": "*"}, THERE, PreconditionFailedError),
        ({"if-match": '"e"'}, THERE, None),
        ({"if-match": '"x"'}, THERE, PreconditionFailedError),
        ({"if-match": '"e"'}, None, NoSuchKeyError),
    ],
)
def test_a_writer_overwrites_what_it_supposes(
    headers: dict[str, str], there: ObjectInfo | None, expected: type[Exception] | None
) -> None:
    """Of two that write at once, one learns that it was second."""
    check = check_write(headers, "b", "k")

    assert check is not None
    if expected is None:
        check(there)
    else:
        with pytest.raises(expected):
            check(there)


def test_a_writer_without_a_condition_overwrites_anything() -> None:
    assert check_write({}, "b", "k") is None


def test_a_condition_that_cannot_be_kept_is_refused() -> None:
    """As S3 does: to ignore it would overwrite what was to be spared."""
    with pytest.raises(UnsupportedError):
        check_write({"if-none-match": '"e"'}, "b", "k")


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        (None, 10, None),
        ("bytes=0-3", 10, (0, 4)),
        ("bytes=2 - 3", 10, (2, 4)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=5-99", 10, (5, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-99", 10, (0, 10)),
        # Not to be read, or more than one: all of it.
        ("bytes=-", 10, None),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=99999999999999999999-", 10, None),
    ],
)
def test_a_range_is_what_http_says(
    text: str | None, size: int, expected: tuple[int, int] | None
) -> None:
    assert expected == wanted(text, size)


@pytest.mark.parametrize(
    ("text", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-3", 0)]
)
def test_a_range_behind_the_end_is_refused(text: str, size: int) -> None:
    with pytest.raises(InvalidRangeError):
        wanted(text, size)
