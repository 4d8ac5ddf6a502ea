"""From JSON to attrs classes and back, as lenient with names as the real API is.

Names are matched whatever their case, unknown ones are left out, and `null` is as good as absent:
clients of five languages rely on each of these.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar, cast

import cattrs
from attrs import AttrsInstance, fields, has
from cattrs.gen import make_dict_structure_fn

from drover_qarnot.server._errors import ApiError

T = TypeVar("T")
_MOST_ERRORS: Final = 20


class Scalar(str):
    """Text that may be sent as a number or as true or false: official scripts do."""

    __slots__ = ()


@cache
def camel(name: str) -> str:
    """Write an attribute's name as the API does."""
    first, *rest = name.split("_")
    return first + "".join("TTL" if word == "ttl" else word.capitalize() for word in rest)


@cache
def _names(kind: type[AttrsInstance]) -> dict[str, str]:
    return {camel(attribute.name).lower(): attribute.name for attribute in fields(kind)}


def _text(value: object, _kind: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text is needed")
    if "\0" in value:
        raise ValueError("text without NUL is needed")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("lone surrogates are no text") from None
    return value


def _scalar(value: object, _kind: object) -> Scalar:
    if isinstance(value, bool):
        return Scalar("true" if value else "false")
    if isinstance(value, int | float):
        return Scalar(str(value))
    return Scalar(_text(value, str))


def _whole(value: object, _kind: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**12:
        raise ValueError("a whole number is needed")
    return value


def _number(value: object, _kind: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 10**12:
        raise ValueError("a number is needed")
    return float(value)


def _truth(value: object, _kind: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError("true or false is needed")


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(Scalar, _scalar)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _truth)

    def of_class(kind: type[AttrsInstance]) -> Any:
        plain = make_dict_structure_fn(kind, converter)
        names = _names(kind)

        def structure(value: object, _kind: object) -> Any:
            if not isinstance(value, Mapping):
                raise TypeError("an object is needed")
            given = cast("Mapping[object, object]", value)
            picked = {
                names[str(key).lower()]: entry
                for key, entry in given.items()
                if entry is not None and str(key).lower() in names
            }
            return plain(picked, kind)

        return structure

    converter.register_structure_hook_factory(has, of_class)

    def of_list(kind: Any) -> Any:
        (inner,) = kind.__args__

        def structure(value: object, _kind: object) -> list[Any]:
            if not isinstance(value, list):
                raise TypeError("a list is needed")
            return [converter.structure(entry, inner) for entry in cast("list[object]", value)]

        return structure

    converter.register_structure_hook_factory(
        lambda kind: getattr(kind, "__origin__", None) is list, of_list
    )
    return converter


_converter: Final = _make_converter()


def read(kind: type[T], body: object) -> T:
    """Make a *kind* of a request's JSON.

    Raises:
        ApiError: 400, it names each field that cannot be used.
    """
    try:
        return _converter.structure(body, kind)
    except (cattrs.BaseValidationError, ValueError, TypeError, KeyError) as exc:
        errors: dict[str, list[str]] = {}
        for line in cattrs.transform_error(exc)[:_MOST_ERRORS]:
            text, _, path = line.rpartition(" @ ")
            field = ".".join(camel(part) for part in path.removeprefix("$").strip(".").split("."))
            errors.setdefault(field or "body", []).append(text.removeprefix("invalid value for "))
        shown = "; ".join(f"{name}: {texts[0]}" for name, texts in errors.items())
        raise ApiError(400, shown, errors) from exc


def write(value: object) -> Any:
    """Make JSON of attrs classes, in the order of their fields."""
    if has(type(value)):
        owner = cast("AttrsInstance", value)
        return {
            camel(attribute.name): write(getattr(owner, attribute.name))
            for attribute in fields(type(owner))
        }
    if isinstance(value, list | tuple):
        return [write(entry) for entry in cast("list[object]", value)]
    return value
