"""What an instance has made: files that are new or have changed, chosen, and sent to a bucket."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drover_qarnot.server._buckets import Buckets
from drover_qarnot.server._matching import NoPatternError, TooLongError, matched

MATCH_S: Final = 20.0
"""How long all names of an instance may take to be matched."""
_MATCHER: Final = """
import json, re, sys
asked = json.load(sys.stdin)
white = re.compile(asked["white"]) if asked["white"] else None
black = re.compile(asked["black"]) if asked["black"] else None
chosen = [
    name for name in asked["names"]
    if (white is None or white.search(name)) and not (black is not None and black.search(name))
]
json.dump(chosen, sys.stdout)
"""


class FilterError(Exception):
    """A filter cannot be used: it takes too long, or is none."""


def chosen(names: Sequence[str], white: str | None, black: str | None) -> list[str]:
    """Choose names by two regular expressions; an empty one chooses all, or none.

    Raises:
        FilterError: It took too long.
    """
    if not white and not black:
        return list(names)
    asked = {"white": white, "black": black, "names": list(names)}
    try:
        found: list[str] = matched(_MATCHER, asked, MATCH_S)
    except TooLongError as exc:
        raise FilterError("a filter takes too long to match the names of files") from exc
    except NoPatternError as exc:
        raise FilterError("a filter is no regular expression") from exc
    return found


def expanded(pattern: str | None, constants: Mapping[str, str]) -> str | None:
    """Write constants in place in a filter: `${NAME}`."""
    for name, value in constants.items() if pattern else ():
        pattern = (pattern or "").replace(f"${{{name}}}", value)
    return pattern


def manifest_of(place: Path) -> dict[str, list[int]] | None:
    """Read what was laid out for an instance; `None`: nothing yet."""
    try:
        found: dict[str, list[int]] = json.loads((place / "manifest.json").read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    for name in ("renewed.json",):
        try:
            found |= json.loads((place / name).read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
    return found


def made_by(place: Path, most: int) -> list[str]:
    """List files of an instance's folder that its resources have not, or not so.

    Links are followed only to files of the folder itself. Names that are no UTF-8 are told with
    backslashes.

    Returns:
        Relative paths, at most *most* and sorted.
    """
    before = manifest_of(place)
    if before is None:
        return []
    job = place / "job"
    inside = os.path.realpath(job)
    out: list[str] = []
    for folder, _, names in os.walk(job):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - a Path per file costs as much as its stat
            real = os.path.realpath(path)
            if not real.startswith(inside + os.sep) or not os.path.isfile(real):  # noqa: PTH113
                continue
            found = os.stat(real)  # noqa: PTH116
            relative = os.path.relpath(path, job)
            if before.get(relative) != [found.st_size, found.st_mtime_ns]:
                out.append(relative)
                if len(out) >= most:
                    return sorted(out)
    return sorted(out)


def key_of(path: str, prefix: str | None) -> str:
    """Make an object's key of a relative path."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return f"{prefix or ''}{text}"


def send(
    buckets: Buckets,
    owner: str,
    bucket: str,
    place: Path,
    paths: Iterable[str],
    *,
    prefix: str | None,
) -> list[str]:
    """Send files of an instance to a bucket.

    Returns:
        Their keys.

    Raises:
        BucketsError: One could not be sent; the others before it are there.
    """
    keys: list[str] = []
    for path in paths:
        key = key_of(path, prefix)
        real = (place / "job" / path).resolve()
        # It may have been taken away, or become a link to elsewhere, since it was listed.
        if real.is_relative_to((place / "job").resolve()) and real.is_file():
            buckets.send(owner, bucket, key, real)
            keys.append(key)
    return keys


Json = dict[str, Any]
