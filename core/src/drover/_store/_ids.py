"""Names that nobody else gives: of jobs, arrays, requests and stores."""

import os
from base64 import b32encode
from collections.abc import Callable
from typing import Final

# Crockford's base 32 in lower case: no letter that looks like a figure.
_TO_OURS: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz"
)
ID_LENGTH: Final = 12
"""60 random bits: among a million jobs two are alike with a chance of 4e-7, and then the
second insert is refused by the table, not merged."""

entropy: Callable[[int], bytes] = os.urandom
"""Gives as many random bytes as asked for. A simulation puts its seed in this place."""


def new_id() -> str:
    """Make the id of a job, an array, a batch or a request."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Make many ids at once."""
    # 15 bytes are 24 letters, which are two ids.
    text = b32encode(entropy(15 * ((count + 1) // 2))).translate(_TO_OURS).decode()
    return [text[start : start + ID_LENGTH] for start in range(0, count * ID_LENGTH, ID_LENGTH)]


def new_store_id() -> str:
    """Make the id of a store."""
    return entropy(8).hex()
