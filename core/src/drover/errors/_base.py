"""What all errors have, and how their messages are written."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

# A word of megabytes is near to nothing, and would take minutes to compare.
_LONGEST: Final = 100


class DroverError(Exception):
    """Catch anything that drover raises on purpose. Never raised itself.

    Raised when: a call cannot do what it was asked.

    Left behind: what the page of the class says that was raised.

    What to do: read the message: it ends with the next step. Catch this class where any failure
        is alike.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made again from its message, which no `__init__` here takes.
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(
    kind: type[DroverError], args: tuple[object, ...], facts: dict[str, object]
) -> DroverError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Write the end of a sentence about a word that is not *known*: the nearest, if one is near."""
    near = get_close_matches(word[:_LONGEST], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def short(value: object) -> str:
    """Show a value, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]}... ({len(text)} characters)"
