"""Read sizes and durations as people write them."""

import re
from datetime import datetime, timedelta
from typing import Final

from drover.errors import InvalidSpecError

_SIZES: Final = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_SPANS: Final = {
    "": 1.0, "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
# At most 18 digits: longer numbers are typing errors, and Python refuses to read very long ones.
_NUMBER_UNIT: Final = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)(?!\d)\s*([a-zA-Z]*)\s*")
# [days-]hours:minutes[:seconds], as Slurm and Grid Engine print it.
_CLOCK: Final = re.compile(r"(?:(\d{1,9})-)?(\d{1,9}):([0-5]?\d)(?::([0-5]?\d))?")
MAX_QUANTITY: Final = 2**62


def parse_bytes(field: str, value: object) -> int:
    """Read a size: an int in bytes, or text such as `"8GiB"`, `"500 MB"`, `"8G"`.

    Single letters are binary (`8G` is `8GiB`), as batch systems have them.

    Raises:
        InvalidSpecError: Not a size, not positive, or too large to be one.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidSpecError(field, value, 'give bytes as an int, or text such as "8GiB"')
    if isinstance(value, str):
        match = _NUMBER_UNIT.fullmatch(value.strip())
        factor = _SIZES.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise InvalidSpecError(field, value, 'give a size such as "8GiB", "500MB" or "64k"')
        number, unit = match[1], factor
        value = int(number) * unit if number.isdecimal() else int(float(number) * unit)
    if not 0 < value < MAX_QUANTITY:
        raise InvalidSpecError(field, value, "a size lies between 1 byte and 4 EiB")
    return value


def parse_seconds(field: str, value: object) -> float:
    """Read a duration: seconds, a timedelta, or text such as `"2h"`, `"1h30m"`, `"1-00:00:00"`.

    Raises:
        InvalidSpecError: Not a duration, not positive, or not finite.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidSpecError(field, value, 'give seconds as a number, or text such as "2h"')
    seconds = _text_seconds(field, value) if isinstance(value, str) else value
    # Compared before it is made a float, which a very large int cannot be.
    if not 0 < seconds < MAX_QUANTITY:
        raise InvalidSpecError(field, value, "a duration is positive and finite")
    return float(seconds)


def _text_seconds(field: str, text: str) -> float:
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    total, rest = 0.0, text.strip()
    while rest:
        match = _NUMBER_UNIT.match(rest)
        factor = _SPANS.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise InvalidSpecError(
                field, text, 'give a duration such as "90s", "2h", "1h30m" or "1-00:00:00"'
            )
        total += float(match[1]) * factor
        rest = rest[match.end() :]
    return total


def parse_instant(field: str, value: object) -> float:
    """Read a point in time: seconds since 1970 UTC, an aware datetime, or ISO text with a zone.

    Raises:
        InvalidSpecError: Not an instant, or a date without a time zone.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidSpecError(
                field, value, 'give ISO 8601 with a zone, such as "2026-11-20T18:00:00+01:00"'
            ) from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidSpecError(field, value.isoformat(), "the date has no time zone; add one")
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSpecError(field, value, "give a datetime with a zone, or seconds since 1970")
    if not 0 <= value < MAX_QUANTITY:
        raise InvalidSpecError(field, value, "an instant lies after 1970")
    return float(value)
