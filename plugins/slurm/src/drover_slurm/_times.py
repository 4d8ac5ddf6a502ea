"""Times as Slurm prints them."""

import re
from datetime import UTC, datetime
from typing import Final

_SPAN: Final = re.compile(
    r"(?:(?:(?P<days>\d+)-)?(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)"
)


def instant(text: str) -> float | None:
    """Read `2026-01-31T23:59:59` UTC as seconds since 1970; `None` for N/A, Unknown, None."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def span(text: str) -> float | None:
    """Read `[[D-]HH:]MM:SS[.mmm]` as seconds; `None` if it is none."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    parts = {name: float(value or 0) for name, value in match.groupdict().items()}
    return parts["days"] * 86400 + parts["hours"] * 3600 + parts["minutes"] * 60 + parts["seconds"]
