"""What the library answers to a submission, and its three meanings."""

import json
import re
from typing import Any, Final

from drover.commandline import Submission
from drover.hookspecs import Completed
from drover.models import Answer

_REFUSALS: Final = frozenset({3, 4, 7, 13, 14, 15, 17})
"""Authorization, arguments, contact, attributes, and the system's own no."""
_TRY_LATER: Final = 16
_COMMUNICATION: Final = 2
_FULL: Final = re.compile(
    r"jobs are allowed|job limit|too many|try (?:it )?(?:again )?later|max_(?:u_)?jobs|"
    r"MUNGE|authentication",
    re.IGNORECASE,
)
"""A limit or a fault that time heals."""
_UNSENT: Final = re.compile(
    r"Connection refused|unable to contact|can't resolve|access denied|endpoint is not unique|"
    r"got select error|can't connect",
    re.IGNORECASE,
)
"""Nobody has heard it."""


def answer_of(reply: Completed) -> dict[str, Any]:
    """Read what the worker said."""
    told: dict[str, Any] = json.loads(reply.stdout)
    return told


def read(reply: Completed) -> Submission:
    """Read the answer to a submission. What is no clear no is no refusal."""
    told = answer_of(reply)
    ids = told.get("ids", [])
    if ids:
        return Submission(answer=Answer.ACCEPTED, native_id=ids[0].partition(".")[0])
    code, text = int(told.get("code", 0)), str(told.get("text", ""))
    message = f"{text or told.get('error', 'no answer')}".strip()
    if code == _TRY_LATER or (code == _COMMUNICATION and _UNSENT.search(text)):
        return Submission(answer=Answer.REFUSED, message=message, retryable=True)
    if code in _REFUSALS:
        return Submission(
            answer=Answer.REFUSED, message=message, retryable=bool(_FULL.search(text))
        )
    return Submission(answer=Answer.UNKNOWN, message=message)
