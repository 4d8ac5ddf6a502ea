"""How the API writes instants, spans of time and ranges of instances."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from drover_qarnot.server._errors import invalid

NEVER: Final = "0001-01-01T00:00:00Z"
NO_SPAN: Final = "00:00:00"
DAY_S: Final = 86_400
_SPAN: Final = re.compile(r"(?:(\d{1,6})\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?")
_RANGE: Final = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def instant(at: float | None) -> str:
    """Write seconds since 1970 as the SDK's parser wants it: UTC, `Z`, no seven-digit fractions."""
    if at is None:
        return NEVER
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """Write seconds as `[d.]hh:mm:ss`."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, DAY_S)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}.{text}" if days else text


def to_seconds(text: str, field: str) -> float:
    """Read a span; the SDK checks only how its text begins.

    Raises:
        ApiError: 400, it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise invalid(field, f"{text[:40]!r} is no time span [d.]hh:mm:ss")
    days, hours, minutes, seconds, part = found.groups()
    whole = int(days or 0) * DAY_S + int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{part or 0}")


def to_instances(text: str, most: int) -> tuple[int, ...]:
    """Read an advanced range such as `1,3-8,9`: ascending, each instance once.

    Raises:
        ApiError: 400, it is none, or it names more than *most*.
    """
    chosen = set[int]()
    for part in text.replace(" ", "").split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise invalid("advancedRanges", f"{text[:80]!r} is no list of ids and ranges a-b")
        first, last = int(found[1]), int(found[2] or found[1])
        # Before it is written out: `0-999999999` would take all memory.
        if last < first or last - first >= most:
            raise invalid("advancedRanges", f"{part!r} has not 1 to {most} instances")
        chosen.update(range(first, last + 1))
        if len(chosen) > most:
            raise invalid("advancedRanges", f"more than {most} instances")
    return tuple(sorted(chosen))


def to_range(instances: Iterable[int]) -> str:
    """Write ids as a range; empty for none."""
    parts: list[list[int]] = []
    for one in sorted(instances):
        if parts and one == parts[-1][1] + 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
