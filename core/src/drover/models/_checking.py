"""Refuse values of the wrong kind in fields that no converter reads."""

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeVar

from attrs import fields

from drover.errors import ConfigError, InvalidSpecError, UnknownFieldError

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


def read_settings(
    kind: type[T], where: str, table: Mapping[str, Any], *, zero: Container[str] = ()
) -> T:
    """Make a class of attrs, all of whose fields have defaults, of a table of the configuration.

    Fields are text, yes or no, whole numbers that may be 0, and numbers that may not: seconds, if
    the name ends in `_s`.

    Args:
        kind: The class.
        where: The table's name, for errors: `backends.slurm`.
        table: What the user wrote.
        zero: The fields that may be 0 all the same.

    Raises:
        ConfigError: A value of the wrong kind.
        UnknownFieldError: A name that is not there.
    """
    made: Any = kind
    kinds = {attribute.name: attribute.type for attribute in fields(made)}
    check_fields(where, table, tuple(kinds))
    for name, value in table.items():
        if not _fits(value, kinds[name], may_be_zero=name in zero):
            word = _WORDS[kinds[name]]
            if kinds[name] is float:
                word = f"{'seconds' if name.endswith('_s') else 'a number'}, {word}"
            raise ConfigError(f"{where}.{name}", f"it must be {word}, not {value!r}")
    return kind(**table)


_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    float: "more than 0",
    int: "a whole number, 0 or more",
    bool: "true or false",
}


def _fits(value: object, kind: Any, *, may_be_zero: bool) -> bool:
    if kind in {int, float}:
        if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
            return False
        return value > 0 or (value == 0 and (kind is int or may_be_zero))
    return isinstance(value, kind)


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
