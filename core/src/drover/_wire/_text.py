"""Plain values as JSON text: by orjson, and what it cannot carry by the standard library.

orjson writes UTF-8 and refuses lone surrogates, which stand for bytes that are not UTF-8, and
whole numbers above 64 bits; NaN, which a backend's own options may hold, it would make null. All
that is written in ASCII behind a blank that says so.
"""

import json
from typing import Any, Final

import orjson

_dumps_slow: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_loads_slow: Final = json.JSONDecoder().decode

# --- text ------------------------------------------------------------------------------------


def to_text(plain: Any, *, exact: bool = False) -> str:
    """Write a plain value as JSON.

    Args:
        plain: What JSON has: no other keys than text.
        exact: Whether it may hold NaN, which orjson would turn into null.
    """
    if not exact:
        try:
            return orjson.dumps(plain).decode()
        except TypeError:
            pass
    return " " + _dumps_slow(plain)


def from_text(text: str) -> Any:
    """Read what `to_text` wrote."""
    if text[0] == " ":
        return _loads_slow(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Format 1 wrote lone surrogates without a blank.
        return _loads_slow(text)
