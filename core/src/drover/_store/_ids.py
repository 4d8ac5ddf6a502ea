"""Names that nobody else gives: of jobs, arrays, requests and stores."""

import os
from collections.abc import Callable
from typing import Final

# Crockford's base 32 in lower case: no letter that looks like a figure.
_LETTERS: Final = b"0123456789abcdefghjkmnpqrstvwxyz"
# Each of the 256 values of a byte gives one of 32 letters, all equally often.
_LETTER_OF: Final = bytes(_LETTERS[value % 32] for value in range(256))
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
    text = entropy(ID_LENGTH * count).translate(_LETTER_OF).decode()
    return [text[start : start + ID_LENGTH] for start in range(0, count * ID_LENGTH, ID_LENGTH)]


def new_store_id() -> str:
    """Make the id of a store."""
    return entropy(8).hex()
