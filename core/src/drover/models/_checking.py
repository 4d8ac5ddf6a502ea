"""Refuse values of the wrong kind in fields that no converter reads."""

from collections.abc import Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeVar

from attrs import fields

from drover.errors import InvalidSpecError, UnknownFieldError

T = TypeVar("T")

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


def check_fields(owner: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse the first name in *given* that is not *known*.

    Raises:
        UnknownFieldError: With the nearest known name.
    """
    for name in given:
        if name not in known:
            raise UnknownFieldError(owner, name, known)


def naming_near_misses(kind: type[T]) -> type[T]:
    """Let a class of attrs refuse a field that it has not with the nearest, not a TypeError."""
    made: Any = kind
    make = made.__init__
    known = tuple(attribute.name for attribute in fields(made))

    @wraps(make)
    def init(self: T, *args: Any, **given: Any) -> None:
        try:
            make(self, *args, **given)
        except TypeError:
            check_fields(kind.__name__, given, known)
            raise

    type.__setattr__(kind, "__init__", init)
    return kind
