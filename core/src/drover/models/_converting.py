"""Read what users give for the fields of a specification, or refuse it with the reason."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, cast

from drover.errors import InvalidSpecError
from drover.models._quantities import parse_bytes, parse_instant, parse_seconds

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
EMPTY: Final = ()
"""The default of many fields, known by identity: most specifications have it."""
MAX_ARRAY: Final = 1_000_000
"""Most elements of one array; sites set Slurm's MaxArraySize to 1,001 or 100,001."""
MAX_INDEX: Final = 2**31 - 1
"""Largest index of an element: schedulers keep it in 32 bits."""
_INDEX: Final = f"an index is a whole number from 0 to {MAX_INDEX:,}"
_SIZE: Final = f"an array has 1 to {MAX_ARRAY:,} elements"
NO_BYTES: Final = "it has a lone surrogate, which stands for no byte"
PathText = str | bytes | os.PathLike[str]
Span = float | str | timedelta
Instant = float | str | datetime
Word = str | bytes | os.PathLike[str]


def to_memory(value: int | str | None) -> int | None:
    """Read `memory`."""
    return None if value is None else parse_bytes("memory", value)


def to_disk(value: int | str | None) -> int | None:
    """Read `disk`."""
    return None if value is None else parse_bytes("disk", value)


def to_wall_time(value: Span | None) -> float | None:
    """Read `wall_time`."""
    return None if value is None else parse_seconds("wall_time", value)


def to_period(value: Span | None) -> float | None:
    """Read `period`."""
    return None if value is None else parse_seconds("period", value)


def to_expiry(value: Span | None) -> float | None:
    """Read `expires_after`."""
    return None if value is None else parse_seconds("expires_after", value)


def to_not_before(value: Instant | None) -> float | None:
    """Read `not_before`."""
    return None if value is None else parse_instant("not_before", value)


def to_deadline(value: Instant | None) -> float | None:
    """Read `deadline`."""
    return None if value is None else parse_instant("deadline", value)


def to_cwd(value: PathText | None) -> str | None:
    """Read `cwd`."""
    return _path("cwd", value)


def to_stdin(value: PathText | None) -> str | None:
    """Read `stdin`."""
    return _path("stdin", value)


def to_stdout(value: PathText | None) -> str | None:
    """Read `stdout`."""
    return _path("stdout", value)


def to_stderr(value: PathText | None) -> str | None:
    """Read `stderr`."""
    return _path("stderr", value)


def to_pre_launch(value: PathText | None) -> str | None:
    """Read `pre_launch`."""
    return _path("pre_launch", value)


def to_post_launch(value: PathText | None) -> str | None:
    """Read `post_launch`."""
    return _path("post_launch", value)


def _path(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | bytes | os.PathLike):
        raise InvalidSpecError(name, value, "give a path")
    text = os.fsdecode(cast("PathText", value))
    if "\0" in text or not text:
        raise InvalidSpecError(name, text, "a path is not empty and has no NUL character")
    if not _has_bytes(text):
        raise InvalidSpecError(name, text, NO_BYTES)
    return text


def _has_bytes(text: str) -> bool:
    """Tell whether a process can be given *text*: lone surrogates must stand for single bytes."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def to_source(value: PathText) -> str:
    """Read where a transfer begins."""
    return _path("transfer.source", value) or ""


def to_target(value: PathText) -> str:
    """Read where a transfer ends."""
    return _path("transfer.target", value) or ""


def to_backoff(value: float) -> float:
    """Read `retry.backoff_s`."""
    return _number("retry.backoff_s", value)


def to_factor(value: float) -> float:
    """Read `retry.factor`."""
    return _number("retry.factor", value)


def to_longest_backoff(value: float) -> float:
    """Read `retry.max_backoff_s`."""
    return _number("retry.max_backoff_s", value)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSpecError(name, value, "give a number")
    try:
        return float(value)
    except OverflowError:
        raise InvalidSpecError(name, value, "the number is too large") from None


def to_exit_codes(value: Iterable[int]) -> frozenset[int]:
    """Read `retry.exit_codes`."""
    given = cast("object", value)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidSpecError("retry.exit_codes", given, "give a list of whole numbers")
    codes = frozenset(cast("Iterable[object]", given))
    for code in codes:
        if isinstance(code, bool) or not isinstance(code, int):
            raise InvalidSpecError("retry.exit_codes", code, "an exit code is a whole number")
    return cast("frozenset[int]", codes)


# One word, or words in no order.
_NO_WORDS: Final = (str, bytes, dict, set, frozenset)


def to_argv(value: Iterable[Word]) -> tuple[str, ...]:
    """Read `argv`."""
    given = cast("object", value)
    if isinstance(given, _NO_WORDS) or not isinstance(given, Iterable):
        raise InvalidSpecError(
            "argv",
            value,
            "give a list of words, such as ['echo', 'hi']; for shell text use drover.script(...)",
        )
    words = tuple(map(_word, cast("Iterable[object]", given)))
    if not words or not words[0]:
        raise InvalidSpecError("argv", list(words), "it needs at least the command's name")
    return words


def _word(given: object) -> str:
    is_path = isinstance(given, bytes | os.PathLike)
    word = os.fsdecode(cast("PathText", given)) if is_path else given
    if not isinstance(word, str):
        raise InvalidSpecError("argv", word, "each word is a str, bytes or a path")
    if "\0" in word:
        raise InvalidSpecError("argv", word, "no argument can hold a NUL character")
    if not _has_bytes(word):
        raise InvalidSpecError("argv", word, NO_BYTES)
    return word


def to_env(value: Mapping[str, str | os.PathLike[str]]) -> Mapping[str, str]:
    """Read `env`."""
    given = cast("object", value)
    if not given:
        return NOTHING
    if not isinstance(given, Mapping):
        # What it holds may be a secret, and in the wrong place: say only what it is.
        raise InvalidSpecError("env", type(given), "give a mapping of names to values")
    out: dict[str, str] = {}
    for name, entry in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            shown = name.partition("=")[0] if isinstance(name, str) else type(name)
            raise InvalidSpecError("env", shown, "a variable's name is text without '=' and NUL")
        text = os.fspath(cast("PathText", entry)) if isinstance(entry, str | os.PathLike) else None
        if not isinstance(text, str) or "\0" in text:
            raise InvalidSpecError("env", name, "its value must be text without NUL")
        if not (_has_bytes(name) and _has_bytes(text)):
            raise InvalidSpecError("env", name, NO_BYTES)
        out[name] = text
    return out


def to_tags(value: Iterable[str]) -> tuple[str, ...]:
    """Read `tags`."""
    if value is EMPTY:
        return EMPTY
    given = cast("object", (value,) if isinstance(value, str) else value)
    if not isinstance(given, Iterable):
        raise InvalidSpecError("tags", given, "a tag is text; give one or a list of them")
    tags: dict[str, None] = {}
    for tag in cast("Iterable[object]", given):
        if not isinstance(tag, str) or not tag:
            raise InvalidSpecError("tags", tag, "a tag is text and not empty")
        tags[tag] = None
    return tuple(tags)


def to_launcher(value: str | None) -> str | None:
    """Read `launcher`."""
    return None if value in (None, "", "none") else value


def to_indices(value: object) -> range | tuple[int, ...]:
    """Read `array.indices`: a count, a range, or distinct whole numbers from 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = range(value)
    if isinstance(value, range):
        _check_span(value)
        return value
    if isinstance(value, str | bool) or not isinstance(value, Iterable):
        raise InvalidSpecError("array.indices", value, "give a number, a range or a list")
    indices: dict[int, None] = {}
    for index in cast("Iterable[object]", value):
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= MAX_INDEX:
            raise InvalidSpecError("array.indices", index, _INDEX)
        if index in indices:
            raise InvalidSpecError("array.indices", index, "this index stands there twice")
        indices[index] = None
        # A generator may have no end.
        if len(indices) > MAX_ARRAY:
            raise InvalidSpecError("array.indices", f"{MAX_ARRAY + 1:,} and more", _SIZE)
    return tuple(indices)


def _check_span(span: range) -> None:
    # Its ends, not its length: `len` takes no number above 2**63.
    if span and not (0 <= span[0] <= MAX_INDEX and 0 <= span[-1] <= MAX_INDEX):
        raise InvalidSpecError("array.indices", span, _INDEX)
    if not 1 <= len(span) <= MAX_ARRAY:
        raise InvalidSpecError("array.indices", len(span), _SIZE)


def show_names(value: object) -> str:
    """Show variables by their names alone: their values may be secret."""
    if not isinstance(value, Mapping):
        return "?"
    return repr(sorted(cast("Mapping[str, object]", value)))
