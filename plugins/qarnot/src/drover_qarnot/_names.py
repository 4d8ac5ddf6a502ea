"""Names at the cloud: of tasks, their tags, and where their objects lie."""

import hashlib
from collections.abc import Sequence
from typing import Final

OURS: Final = ".drover"
"""Folder beside the command with what the runner needs. Nothing in it is a result."""
PRIVATE_TAG: Final = "drover"
"""Every task of drover's bears it."""


def short_name(tokens: Sequence[str]) -> str:
    """Name the task of these attempts: unique on earth, and the same whenever it is asked for.

    The cloud takes each short name once, which is what makes a second task of the same tokens
    impossible. Source: a short name is a DNS label, at most 63 of `[a-z0-9-]`.
    """
    digest = hashlib.sha256("\n".join(tokens).encode("utf-8", "surrogateescape")).hexdigest()
    return f"drover-{digest[:40]}"


def token_tag(token: str) -> str:
    """Name the tag that carries a token."""
    return f"drover-token={token}"[:500]


def bucket_name(store_id: str, purpose: str) -> str:
    """Name the store's bucket for `in` or `out`: a digest, for buckets share one name space."""
    digest = hashlib.sha256(store_id.encode("utf-8", "surrogateescape")).hexdigest()
    return f"drover-{digest[:32]}-{purpose}"


def native_id_of(uuid: str, instance: int) -> str:
    """Name one instance of a task."""
    return f"{uuid}.{instance}"


def run_prefix(batch: str) -> str:
    """Say under which keys the runner and the plan of a task lie."""
    return f"run/{batch}/"


def input_prefix(key: str) -> str:
    """Say under which keys inputs lie."""
    return f"in/{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}/"


def result_key(batch: str, instance: int, name: str) -> str:
    """Say under which key a file of an instance's comes back."""
    return f"{batch}/{instance}/{name}"
