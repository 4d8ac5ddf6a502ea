"""Paths that users give: with places for the job's id and index, and inside the job's folder."""

import os
import posixpath
import re

from drover.models import Attempt


def expand(path: str | None, attempt: Attempt) -> str | None:
    """Put the job's id for `%j` and its array index for `%a`; `%%` is a percent sign."""
    if path is None:
        return None
    index = "" if attempt.array_index is None else str(attempt.array_index)
    words = {"%": "%", "j": attempt.job_id, "a": index}
    return re.sub("%([%ja])", lambda found: words[found[1]], path)


def base_of(attempt: Attempt) -> str:
    """Say where relative paths of a job start here."""
    cwd = attempt.spec.cwd
    return os.path.abspath(cwd) if cwd else os.path.expanduser("~")  # noqa: PTH100, PTH111


def leaves_folder(path: str) -> bool:
    """Tell whether a path leads out of the folder that it is relative to."""
    normal = posixpath.normpath(path)
    return posixpath.isabs(normal) or normal.split("/", 1)[0] == ".."
