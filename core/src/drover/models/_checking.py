"""Refuse values of the wrong kind in fields that no converter reads."""

from collections.abc import Mapping
from typing import Any, Final

from drover.errors import InvalidSpecError

Kinds = Mapping[str, tuple[tuple[type, ...], str]]
"""By a field's name: the types that it may have, and what to give."""

TEXT: Final = ((str, type(None)), "give text")
YES_OR_NO: Final = ((bool,), "give True or False")


def check_kinds(owner: object, prefix: str, kinds: Kinds) -> None:
    """Refuse the first field of *owner* whose value has none of its types.

    Raises:
        InvalidSpecError: It names the field, *prefix* before it.
    """
    for name, (types, why) in kinds.items():
        value: Any = getattr(owner, name)
        if not isinstance(value, types):
            raise InvalidSpecError(prefix + name, value, why)


def whole(name: str, value: object, minimum: int, maximum: int) -> None:
    """Refuse what is not a whole number from *minimum* to *maximum*.

    Raises:
        InvalidSpecError: It names the field.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSpecError(name, value, "give a whole number")
    if not minimum <= value <= maximum:
        raise InvalidSpecError(name, value, f"it lies between {minimum:,} and {maximum:,}")
