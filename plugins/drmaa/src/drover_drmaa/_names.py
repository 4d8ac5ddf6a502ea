"""Names of jobs: what people call them, and the key by which they are found again."""

import re
from typing import Final

SEPARATOR: Final = "+"
"""Neither in a label as it is written here, nor in a key; no pattern and no path for qdel."""
LABEL_LENGTH: Final = 100
_BAD: Final = re.compile(r"[^A-Za-z0-9_.-]")


def job_name(label: str, key: str) -> str:
    """Name a job. Grid Engine takes no blanks, none of `/:@*?` and backslash, and no digit first.

    Source: sge_types(1), "name"; a blank makes libdrmaa 8.1.9 fail with "code 1".
    """
    plain = _BAD.sub("_", label)[:LABEL_LENGTH]
    if not re.match(r"[A-Za-z_]", plain):
        plain = f"_{plain}"
    return f"{plain}{SEPARATOR}{key}"


def key_of(name: str) -> str:
    """Read the key off a name; "" if it is not one of ours."""
    _, separator, key = name.rpartition(SEPARATOR)
    return key if separator else ""
