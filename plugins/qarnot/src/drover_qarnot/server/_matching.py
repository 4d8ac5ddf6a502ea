"""Users' regular expressions, matched in a process of its own with a time limit.

An expression that a user wrote can take for ever, and no other thread would run meanwhile.
"""

import json
import subprocess
import sys
from typing import Any


class TooLongError(Exception):
    """It took too long."""


class NoPatternError(Exception):
    """What was given is no regular expression."""


def matched(program: str, asked: object, seconds: float) -> Any:
    """Give what a program makes of what it is asked: JSON in, JSON out.

    Args:
        program: Python of ours, which compiles the expressions.
        asked: The expressions, and what they are matched with.
        seconds: How long it may take.

    Raises:
        TooLongError: It took longer.
        NoPatternError: It failed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            input=json.dumps(asked), capture_output=True, text=True, timeout=seconds, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise TooLongError from exc
    except subprocess.CalledProcessError as exc:
        raise NoPatternError from exc
    return json.loads(done.stdout)
