"""Ask the worker about several jobs at once: DRMAA itself has a question for one alone."""

import json
from collections.abc import Sequence
from typing import Any

from drover.commandline import Command
from drover.errors import UnreachableError
from drover_drmaa._template import COMMAND


def about(what: str, ids: Sequence[str], timeout_s: float, **more: str) -> Command:
    """Ask *what* of each job."""
    question = {"do": what, "ids": list(ids), **more}
    return Command(
        argv=(COMMAND, what), input=json.dumps(question).encode("ascii"), timeout_s=timeout_s
    )


def answers(text: str, name: str) -> dict[str, Any]:
    """Read the answers, by native id; an error is a table with its `code`.

    Raises:
        UnreachableError: The worker could not ask.
    """
    told: dict[str, Any] = json.loads(text)
    if name not in told:
        raise UnreachableError("drmaa", str(told.get("text", "")))
    found: dict[str, Any] = told[name]
    return found
