"""Tokens, and the folders of the attempts that bear them."""

import os
from collections.abc import Iterable
from pathlib import Path


def token_of(store_id: str, job_id: str, attempt: int) -> str:
    """Name an attempt to the outside: unique on earth, and its job can be read off it."""
    return f"{store_id}-{job_id}-{attempt}"


def job_of_token(store_id: str, token: str) -> tuple[str, int] | None:
    """Read job id and attempt off a token of this store; `None` if it is of no attempt here."""
    head, _, attempt = token.rpartition("-")
    if not head.startswith(store_id + "-") or not attempt.isdecimal():
        return None
    return head[len(store_id) + 1 :], int(attempt)


def attempt_path(home: Path, job_id: str, number: int) -> Path:
    """Name the folder of an attempt; it need not be there."""
    return Path(attempt_paths(home, [(job_id, number)])[0])


def attempt_paths(home: Path, attempts: Iterable[tuple[str, int]]) -> list[str]:
    """Name the folders of many attempts, by job and number."""
    folder = os.fspath(home / "jobs")
    return [f"{folder}/{job_id}/{number}" for job_id, number in attempts]


def element_paths(home: Path, array_id: str, number: int) -> tuple[str, str]:
    """Name the folders of an array's elements: what stands before the index, and behind it."""
    return f"{os.fspath(home / 'jobs')}/{array_id}.", f"/{number}"
