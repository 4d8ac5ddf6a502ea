"""Plain values as JSON text: by orjson, and what it cannot carry by the standard library.

orjson writes UTF-8 and refuses lone surrogates, which stand for bytes that are not UTF-8, and
whole numbers above 64 bits, which a backend's own options may hold. Those are written in ASCII
behind a blank that says so: orjson would read such numbers, and round them.
"""

import json
from typing import Any, Final

import orjson

_dumps_slow: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_loads_slow: Final = json.JSONDecoder().decode

# --- text ------------------------------------------------------------------------------------


def to_text(plain: Any) -> str:
    """Write a plain value as JSON."""
    try:
        return orjson.dumps(plain).decode()
    except TypeError:
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
