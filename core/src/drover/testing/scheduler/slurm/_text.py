"""Times, lengths and sizes, read and written as Slurm has them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

DAY_S: Final = 86_400.0
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}
_NAMED: Final = {"midnight": 0, "noon": 12, "fika": 15, "teatime": 16}
_PLACES_MB: Final = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0 * 1024}


def zone_of(environment: Mapping[str, str], site_zone: str) -> tzinfo:
    """Give the time zone that a command prints in."""
    name = environment.get("TZ", site_zone).lstrip(":")
    return UTC if name in ("", "UTC", "UTC0", "GMT") else ZoneInfo(name)


def clock_text(
    at: float | None, environment: Mapping[str, str], zone: tzinfo, unknown: str = "N/A"
) -> str:
    """Write an instant, as SLURM_TIME_FORMAT wants it.

    Args:
        at: Seconds since 1970 UTC.
        environment: Of the command.
        zone: What `zone_of` gave.
        unknown: What stands for `None`.
    """
    if at is None:
        return unknown
    style = environment.get("SLURM_TIME_FORMAT", "standard") or "standard"
    moment = datetime.fromtimestamp(int(at), zone)
    if style == "standard":
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    return moment.strftime(style)


def read_clock(text: str, now: float, zone: tzinfo) -> float | None:
    """Read an instant as users write it; `None` if it is none."""
    text = text.strip()
    if match := re.fullmatch(r"now(?:([+-])(\d+)([a-z]*))?", text, re.IGNORECASE):
        sign, count, unit = match.groups()
        factor = _UNITS_S.get((unit or "s")[:1].lower())
        if factor is None:
            return None
        return now + (int(count) * factor if count else 0.0) * (-1 if sign == "-" else 1)
    moment = datetime.fromtimestamp(now, zone).replace(microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0)
    if text.lower() == "today":
        return day.timestamp()
    if text.lower() == "tomorrow":
        return (day + timedelta(days=1)).timestamp()
    if text.lower() in _NAMED:
        return day.replace(hour=_NAMED[text.lower()]).timestamp()
    for pattern in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%m/%d/%y", "%m%d%y"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=zone).timestamp()
        except ValueError:
            continue
    if match := re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text):
        hour, minute, second = (int(part or 0) for part in match.groups())
        if hour < 24 and minute < 60 and second < 60:
            then = day.replace(hour=hour, minute=minute, second=second)
            return (then if then >= moment else then + timedelta(days=1)).timestamp()
    return None


def length_text(seconds: float | None, *, padded: bool = False) -> str:
    """Write a length as `[days-]hours:minutes:seconds`.

    Args:
        seconds: `None` is UNLIMITED.
        padded: Always with hours, as in accounting; else `0:07` as in the queue.
    """
    if seconds is None:
        return "UNLIMITED"
    whole = int(seconds)
    days, rest = divmod(whole, int(DAY_S))
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{left:02}"
    if padded:
        return f"{hours:02}:{minutes:02}:{left:02}"
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def read_length(text: str) -> float | None:
    """Read a time limit: minutes, minutes:seconds, hours:minutes:seconds, days-hours...

    Returns:
        Seconds, rounded up to whole minutes as the controller does; infinite for UNLIMITED;
        `None` if it is no length.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "-1"):
        return float("inf")
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not match:
        return None
    days, *parts = match.groups()
    first, second, third = (int(part) if part else 0 for part in parts)
    if days is not None:
        seconds = int(days) * DAY_S + first * 3600 + second * 60 + third
    elif parts[2] is not None:
        seconds = first * 3600.0 + second * 60 + third
    else:
        seconds = first * 60.0 + second
    return -(-seconds // 60) * 60.0


def read_size_mb(text: str) -> int | None:
    """Read a memory size in megabytes; `None` if it is none."""
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", text, re.IGNORECASE)
    if not match:
        return None
    return max(int(match[1]) and 1, int(int(match[1]) * _PLACES_MB[match[2].upper() or "M"]))


def size_text(megabytes: float, *, convert: bool = True) -> str:
    """Write a memory size, with the largest unit in which it is whole enough."""
    value, unit = megabytes, "M"
    for larger in ("G", "T", "P"):
        if not convert or value < 1024 or value % 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:g}{unit}" if value == int(value) else f"{value:.2f}{unit}"


def expand_hosts(text: str) -> list[str]:
    """Expand `node[1-3,7],other`."""
    names: list[str] = []
    for part in re.findall(r"[^,\[\]]+(?:\[[^\]]*\])?[^,\[\]]*", text):
        match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", part)
        if not match:
            names.append(part)
            continue
        head, inner, tail = match.groups()
        for piece in inner.split(","):
            low, _, high = piece.partition("-")
            width = len(low)
            names += [
                f"{head}{number:0{width}}{tail}" for number in range(int(low), int(high or low) + 1)
            ]
    return names


def fold_hosts(names: tuple[str, ...]) -> str:
    """Write host names as `node[1-3,7],other`."""
    groups: dict[str, list[int]] = {}
    order: list[str] = []
    for name in names:
        match = re.fullmatch(r"(.*?)([1-9]\d*|0)", name)
        head = match[1] if match else name
        if head not in groups:
            order.append(head)
        groups.setdefault(head, []).extend([int(match[2])] if match else [])
    parts: list[str] = []
    for head in order:
        numbers = sorted(set(groups[head]))
        if not numbers:
            parts.append(head)
        elif len(numbers) == 1:
            parts.append(f"{head}{numbers[0]}")
        else:
            parts.append(f"{head}[{_runs(numbers)}]")
    return ",".join(parts)


def _runs(numbers: list[int]) -> str:
    pieces: list[str] = []
    start = numbers[0]
    for before, after in zip(numbers, [*numbers[1:], None], strict=True):
        if after != before + 1:
            pieces.append(str(start) if start == before else f"{start}-{before}")
            start = after if after is not None else start
    return ",".join(pieces)
