"""`nativeSpecification`: text for one backend alone."""

import shlex
import tomllib
from typing import Any, Final

from drover.drmaa.vocabulary._faults import InvalidAttributeFormatException, fault

NATIVE_OPTION: Final = "options"
"""The option of a backend for words that it passes on as they are:
`native={"slurm": {"options": ["--mem-bind=local"]}}`."""


def native_options(text: str) -> dict[str, Any]:
    """Read a native specification as options of a backend.

    Words that are all `name=value` are options by their names, with values as TOML writes them
    (`affinity=true`) or else text. Others are handed on as they are, as NATIVE_OPTION: flags of
    Slurm or Grid Engine are for their backends to read, or to refuse.

    Raises:
        InvalidAttributeFormatException: Its quotes do not match.
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise fault(
            InvalidAttributeFormatException, f"nativeSpecification {text!r}: {exc}"
        ) from None
    pairs = [word.partition("=") for word in words]
    if all(equals and name.isidentifier() for name, equals, _ in pairs):
        return {name: _value(value) for name, _, value in pairs}
    return {NATIVE_OPTION: words}


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["v"] if len(read) == 1 else text
