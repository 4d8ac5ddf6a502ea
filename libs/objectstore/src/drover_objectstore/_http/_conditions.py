"""What a client supposes of an object, and which bytes of it are wanted."""

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from drover_objectstore.errors import (
    InvalidRangeError,
    NoSuchKeyError,
    NotModifiedError,
    PreconditionFailedError,
    UnsupportedError,
)
from drover_objectstore.models import ObjectInfo

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def check_read(headers: Mapping[str, str], info: ObjectInfo, prefix: str = "") -> None:
    """Refuse to read what is not as it was supposed to be.

    Raises:
        PreconditionFailedError: It has changed.
        NotModifiedError: It has not.

    Source: RFC 9110, 13.2.2; a copy's conditions have the same names behind *prefix*.
    """
    match, none = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    since = _date(headers.get(f"{prefix}if-modified-since"))
    until = _date(headers.get(f"{prefix}if-unmodified-since"))
    modified = int(info.modified)
    if match is not None:
        if not _names(match, info.etag):
            raise PreconditionFailedError("If-Match")
    elif until is not None and modified > until:
        raise PreconditionFailedError("If-Unmodified-Since")
    if none is not None:
        if _names(none, info.etag):
            raise PreconditionFailedError("If-None-Match") if prefix else NotModifiedError
    elif since is not None and modified <= since:
        raise PreconditionFailedError("If-Modified-Since") if prefix else NotModifiedError


def check_write(
    headers: Mapping[str, str], bucket: str, key: str
) -> Callable[[ObjectInfo | None], None] | None:
    """Make what refuses to write over what is not as it was supposed to be; `None`: anything goes.

    Raises:
        UnsupportedError: The condition is one that S3 does not take either.
    """
    match, none = headers.get("if-match"), headers.get("if-none-match")
    if none is not None and none != "*":
        raise UnsupportedError("If-None-Match with anything but *")
    if match is None and none is None:
        return None

    def check(there: ObjectInfo | None) -> None:
        if none is not None and there is not None:
            raise PreconditionFailedError("If-None-Match")
        if match is not None and there is None:
            raise NoSuchKeyError(bucket, key)
        if match is not None and there is not None and not _names(match, there.etag):
            raise PreconditionFailedError("If-Match")

    return check


def _names(text: str, etag: str) -> bool:
    words = (word.strip().removeprefix("W/").strip('"') for word in text.split(","))
    return any(word in ("*", etag) for word in words)


def _date(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def wanted(text: str | None, size: int) -> tuple[int, int] | None:
    """Give begin and end of the range that is asked for; `None`: all.

    What cannot be read, or names several ranges, means all, as on S3.

    Raises:
        InvalidRangeError: It begins behind the end.
    """
    match = _RANGE.fullmatch(text.replace(" ", "")) if text else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise InvalidRangeError(size)
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise InvalidRangeError(size)
    return int(first), min(size, int(last) + 1) if last else size
