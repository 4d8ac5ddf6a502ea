"""What cattrs converts, and what needs no conversion."""

from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

from cattrs import Converter

converter: Final = Converter(detailed_validation=False, forbid_extra_keys=True)


def plain_indices(value: range | tuple[int, ...]) -> Any:
    """Make the indices of an array plain."""
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    return list(value)


def _read_indices(value: Any, _kind: object) -> range | tuple[int, ...]:
    if isinstance(value, dict):
        return range(*cast("dict[str, list[int]]", value)["range"])
    return tuple(value)


def _plain_set(value: frozenset[Any]) -> list[Any]:
    return sorted(value)


converter.register_unstructure_hook_func(
    lambda kind: getattr(kind, "__origin__", None) is frozenset, _plain_set
)
converter.register_structure_hook_func(lambda kind: kind == range | tuple[int, ...], _read_indices)


def is_plain(hint: Any) -> bool:
    """Tell whether values of a type are written as they are."""
    if get_origin(hint) in {Union, UnionType}:
        return all(map(is_plain, get_args(hint)))
    if get_origin(hint) is tuple:
        return is_plain(get_args(hint)[0])
    return isinstance(hint, type) and (
        hint in {str, int, float, bool, NoneType} or issubclass(hint, Enum)
    )


COLUMNS: Final = (
    "id", "n", "backend", "spec", "array_id", "array_index", "key", "allow", "base_digest",
    "submitted_at",
)  # fmt: skip
"""Fields of a record that are no part of its text: they are columns of the jobs table, or stand in
the fact that made the record."""
