"""Hold what plugins answer to its types: a row that cannot be used harms its own job alone.

What a plugin puts into a field can be anything. It must not reach the machine or the store, where
it would stop the engine for everybody.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from itertools import compress
from operator import attrgetter, is_not
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

from attrs import fields, frozen, has

from drover.errors import PluginError
from drover.models import (
    Capabilities,
    Chunk,
    CloseAnswer,
    Diagnosis,
    Found,
    Observation,
    Observed,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    StageAnswer,
    SubmitAnswer,
)

_log: Final = logging.getLogger(__name__)

_ONE: Final[Mapping[str, type]] = {
    "drover_capabilities": Capabilities,
    "drover_plan": Plan,
    "drover_read_output": Chunk,
}
_ROWS: Final[Mapping[str, type]] = {
    "drover_submit": SubmitAnswer,
    "drover_find": Found,
    "drover_control": OrderAnswer,
    "drover_close": CloseAnswer,
    "drover_stage_in": StageAnswer,
    "drover_stage_out": StageAnswer,
    "drover_diagnose": Diagnosis,
}
LONGEST_REST_S: Final = 300.0
"""Longest time that a backend may ask to be left alone: its jobs' ends are waited for."""
Check = Callable[[Any], bool]


def checked(plugin: str, hook: str, answer: Any) -> Any:
    """Give the part of an answer that can be used.

    Raises:
        PluginError: None of it can.
    """
    if answer is None:
        return None
    if hook in _ONE:
        _refuse(plugin, hook, answer, _ONE[hook])
        return answer
    if hook == "drover_observe":
        if not isinstance(answer, Observed):
            raise PluginError(plugin, hook, f"answered {answer!r:.200}, not an Observed")
        seen = sound_rows(plugin, answer.observations)
        told: Any = answer.rest_s
        rest_s = float(told) if isinstance(told, int | float) else 0.0
        return Observed(
            observations=seen,
            complete=bool(answer.complete),
            rest_s=min(max(rest_s, 0.0), LONGEST_REST_S) if math.isfinite(rest_s) else 0.0,
        )
    if hook in _ROWS:
        kind = _ROWS[hook]
        if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
            raise PluginError(plugin, hook, f"answered {answer!r:.200}, not a list")
        rows = tuple(cast("Iterable[object]", answer))
        return tuple(row for row in rows if _is_sound(plugin, hook, row, kind))
    return answer


def sound_rows(plugin: str, rows: object) -> tuple[Observation, ...]:
    """Give observations that can be used.

    One that cannot, but names its token, counts as listed with a word that says nothing.
    """
    if not isinstance(rows, Iterable):
        _log.error("plugin %r observed %r, not a list", plugin, rows)
        return ()
    out: list[Observation] = []
    for row in cast("Iterable[object]", rows):
        if _is_sound(plugin, "observations", row, Observation):
            out.append(cast("Observation", row))
        elif isinstance(token := getattr(row, "token", None), str):
            out.append(Observation(token=token, phase=Phase.UNKNOWN, source=Source.QUEUE, at=0.0))
    return tuple(out)


def _is_sound(plugin: str, hook: str, row: object, kind: type) -> bool:
    try:
        _refuse(plugin, hook, row, kind)
    except PluginError as exc:
        _log.error("%s", exc)
        return False
    return True


def _refuse(plugin: str, hook: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise PluginError(plugin, hook, f"answered {value!r:.200}, not a {kind.__name__}")
    name = _misfit(value, kind)
    if name is not None:
        why = f"{kind.__name__}.{name} cannot be {getattr(value, name)!r:.200}"
        raise PluginError(plugin, hook, why)


def _misfit(value: object, kind: type) -> str | None:
    """Name the first field whose value does not have its type, `None` if all have."""
    plan = _plan(kind)
    values = plan.values(value)
    # Most fields hold the very object that is their default: those are passed over in C.
    for place in compress(plan.places, map(is_not, values, plan.defaults)):
        given = values[place]
        if given.__class__ is not plan.classes[place] and not plan.fits[place](given):
            return plan.names[place]
    return None


@frozen
class _Plan:
    """How the fields of a class are checked, one place for each."""

    names: tuple[str, ...]
    defaults: tuple[Any, ...]
    classes: tuple[type | None, ...]
    """A value of this very class fits, whatever it is."""
    fits: tuple[Check, ...]
    values: Callable[[Any], tuple[Any, ...]]
    places: range


@cache
def _plan(kind: type) -> _Plan:
    hints = get_type_hints(kind)
    names = tuple(one.name for one in fields(kind))
    return _Plan(
        names,
        tuple(one.default for one in fields(kind)),
        tuple(_sure_class(hints[name]) for name in names),
        tuple(_check_of(hints[name]) for name in names),
        attrgetter(*names),
        range(len(names)),
    )


def _sure_class(hint: Any) -> type | None:
    (one, *more) = [option for option in get_args(hint) or (hint,) if option is not NoneType]
    if more or get_origin(hint) not in {None, Union, UnionType} or not isinstance(one, type):
        return None
    return one if one in {str, bytes, bool, int} or issubclass(one, Enum) else None


def _is_number(value: Any) -> bool:
    if value.__class__ is float:
        return math.isfinite(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_of(hint: Any) -> Check:
    """Make the check of one type; containers are looked into."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is float:
        return _is_number
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if origin in {Union, UnionType}:
        (one,) = [option for option in inner if option is not NoneType]
        fits_one = _check_of(one)
        return lambda value: value is None or fits_one(value)
    if origin in {tuple, frozenset}:
        fits = _check_of(inner[0])
        return lambda value: (
            isinstance(value, origin) and all(map(fits, cast("Iterable[Any]", value)))
        )
    if origin is not None and issubclass(origin, Mapping):
        fits = _check_of(inner[1])
        return lambda value: (
            isinstance(value, Mapping) and all(map(fits, cast("Mapping[str, Any]", value).values()))
        )
    return _check_of_class(cast("type[Any]", hint))


def _check_of_class(kind: type[Any]) -> Check:
    if kind in {str, bytes, bool, NoneType} or issubclass(kind, Enum):
        return lambda value: isinstance(value, kind)
    assert has(kind), f"no rule for {kind}"

    return lambda value: isinstance(value, kind) and _misfit(value, kind) is None
