"""Instants and limits as DRMAA writes them."""

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from drover.drmaa.vocabulary._faults import InvalidAttributeFormatException, fault

_PARTIAL: Final = re.compile(
    r"(?:(?:(?:(?P<century>\d\d)?(?P<year>\d\d)/)?(?P<month>\d\d)/)?(?P<day>\d\d)\s+)?"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?:\s+(?P<sign>[-+])(?P<ahead>\d\d):(?P<ahead_minutes>\d\d))?"
)
_LIMIT: Final = re.compile(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,15})")
_FORM: Final = "[[[[CC]YY/]MM/]DD] hh:mm[:ss] [{-|+}UU:uu]"
_YEARS: Final = 8
"""29 February may be that far away: 1896 and 1904 have one, 1900 has none."""


def next_instant(text: str, now: float) -> float:
    """Read a partial timestamp: what is left out is the nearest in the future.

    Args:
        text: `[[[[CC]YY/]MM/]DD] hh:mm[:ss] [{-|+}UU:uu]`. Without an offset it is local time.
        now: Seconds since 1970 UTC.

    Returns:
        Seconds since 1970 UTC. In the past only if the year is given.

    Raises:
        InvalidAttributeFormatException: It is written otherwise, or there is no such instant.

    Source: GFD.133, "drmaa_start_time".
    """
    match = _PARTIAL.fullmatch(text.strip())
    if match is None:
        raise fault(InvalidAttributeFormatException, f"{text!r} is no time; write it as {_FORM}")
    zone = _zone(match)
    here = datetime.fromtimestamp(now, zone)
    parts = {name: int(value) for name, value in match.groupdict().items() if _is_number(value)}
    for candidate in _candidates(parts, here):
        instant = candidate.replace(tzinfo=zone).timestamp()
        if instant >= now or "year" in parts:
            return instant
    raise fault(InvalidAttributeFormatException, f"there is no such time: {text!r}")


def _is_number(value: str | None) -> bool:
    return value is not None and value.isdecimal()


def _zone(match: re.Match[str]) -> timezone | None:
    if match["sign"] is None:
        return None
    ahead = timedelta(hours=int(match["ahead"]), minutes=int(match["ahead_minutes"]))
    try:
        return timezone(-ahead if match["sign"] == "-" else ahead)
    except ValueError:
        raise fault(
            InvalidAttributeFormatException, f"{match[0]!r} is more than a day off UTC"
        ) from None


def _candidates(parts: dict[str, int], here: datetime) -> list[datetime]:
    """List the instants that fit, from the earliest, those that the calendar has."""
    year, month = here.year, here.month
    if "year" in parts:
        century = parts.get("century", year // 100)
        dates = [(century * 100 + parts["year"], parts["month"], parts["day"])]
    elif "month" in parts:
        dates = [(year + k, parts["month"], parts["day"]) for k in range(_YEARS + 1)]
    elif "day" in parts:
        months = [year * 12 + month - 1 + k for k in range(13)]
        dates = [(count // 12, count % 12 + 1, parts["day"]) for count in months]
    else:
        days = [here + timedelta(days=k) for k in range(2)]
        dates = [(one.year, one.month, one.day) for one in days]
    found: list[datetime] = []
    for date in dates:
        try:
            # A leap second is the one before it: no clock here counts it.
            second = min(parts.get("second", 0), 59)
            found.append(datetime(*date, parts["hour"], parts["minute"], second))  # noqa: DTZ001
        except ValueError:
            continue
    return found


def limit_of(value: object) -> int:
    """Read a limit: seconds, or `[[h:]m:]s` as text.

    Raises:
        InvalidAttributeFormatException: It is neither, or not positive.
    """
    seconds = 0
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _LIMIT.fullmatch(value.strip())):
        hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = (hours * 60 + minutes) * 60 + rest
    if seconds <= 0:
        raise fault(
            InvalidAttributeFormatException, f"{value!r} is no limit; give seconds or [[h:]m:]s"
        )
    return seconds
