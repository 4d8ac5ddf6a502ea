"""Facts, records and specifications as JSON text, and back.

The text is ASCII: what is not valid Unicode (names of files, arguments) is kept as escaped
lone surrogates. What equals its default is left out. `FORMAT` counts versions: a change that an
older drover would misread raises it together with the store's schema.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_type_hints

from attrs import NOTHING, evolve, fields
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from drover.events import EVENTS, Event, Submitted
from drover.models import (
    Array,
    Dependency,
    EndReport,
    JobRecord,
    JobSpec,
    Outcome,
    Progress,
    Request,
    Resources,
    Retry,
    Transfer,
    Usage,
)

FORMAT: Final = 1

_dumps: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_loads: Final = json.JSONDecoder().decode

converter: Final = Converter(detailed_validation=False, forbid_extra_keys=True)


def _plain_indices(value: range | tuple[int, ...]) -> Any:
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
for _kind in (Usage, EndReport, Outcome, Progress, Request, Resources, Retry, Dependency, Transfer):
    converter.register_unstructure_hook(
        _kind, make_dict_unstructure_fn(_kind, converter, _cattrs_omit_if_default=True)
    )


def _plain_array(value: Array) -> dict[str, Any]:
    plain: dict[str, Any] = {"indices": _plain_indices(value.indices)}
    if value.max_running is not None:
        plain["max_running"] = value.max_running
    return plain


converter.register_unstructure_hook(Array, _plain_array)

# A field's name, its default, and what makes its value plain (None: it is plain).
_Plan = tuple[tuple[str, Any, Callable[[Any], Any] | None], ...]
_PLAIN_TYPES: Final = frozenset(
    {str, int, float, bool, str | None, int | None, float | None, tuple[str, ...]}
)


def _plan(kind: type, skip: tuple[str, ...] = ()) -> _Plan:
    hints = get_type_hints(kind)
    rows: list[tuple[str, Any, Callable[[Any], Any] | None]] = []
    for attribute in fields(kind):
        if attribute.name in skip:
            continue
        hint = hints[attribute.name]
        plain = None if hint in _PLAIN_TYPES else _unstructurer(hint)
        rows.append((attribute.name, attribute.default, plain))
    return tuple(rows)


def _unstructurer(hint: Any) -> Callable[[Any], Any]:
    return lambda value: converter.unstructure(value, unstructure_as=hint)


def _encode(owner: object, plan: _Plan) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, default, plain in plan:
        value = getattr(owner, name)
        if value is default or (default is not NOTHING and value == default):
            continue
        out[name] = value if plain is None or value is None else plain(value)
    return out


_SPEC_PLAN: Final = _plan(JobSpec, skip=("env", "native"))
# These are columns of the jobs table, or stand in the fact that made the record.
_FIXED: Final = (
    "id", "n", "backend", "spec", "array_id", "array_index", "key", "allow", "base_digest",
    "submitted_at",
)  # fmt: skip
_RECORD_PLAN: Final = _plan(JobRecord, skip=_FIXED)
_EVENT_PLANS: Final = {
    name: _plan(kind, skip=("at", "spec") if kind is Submitted else ("at",))
    for name, kind in EVENTS.items()
}


def encode_spec(spec: JobSpec) -> dict[str, Any]:
    """Make a specification plain, all but `env`: its values may be secret."""
    plain = _encode(spec, _SPEC_PLAN)
    if spec.native:
        plain["native"] = {name: dict(options) for name, options in spec.native.items()}
    return plain


_structure_spec: Final = make_dict_structure_fn(JobSpec, converter)


def decode_spec(plain: Mapping[str, Any], env: Mapping[str, str] | None = None) -> JobSpec:
    """Read what `encode_spec` made.

    Args:
        plain: The mapping.
        env: The variables, which are kept elsewhere.
    """
    spec = _structure_spec(dict(plain), JobSpec)
    return evolve(spec, env=env) if env else spec


def encode_event(event: Event, **extra: Any) -> str:
    """Make the text of a fact, without its name and time. *extra* is added to it."""
    plain = _encode(event, _EVENT_PLANS[type(event).__name__])
    if isinstance(event, Submitted):
        plain["spec"] = encode_spec(event.spec)
    return _dumps({**plain, **extra} if extra else plain)


def decode_event(
    name: str, at: float, text: str, env: Callable[[str], Mapping[str, str]] | None = None
) -> Event:
    """Read what `encode_event` made.

    Args:
        name: The fact's name.
        at: Its time.
        text: The rest.
        env: Gives the variables of a digest; only needed for `Submitted`.
    """
    plain = _loads(text)
    plain["at"] = at
    kind = EVENTS[name]
    if kind is Submitted:
        digest = plain.pop("env", None)
        variables = env(digest) if env is not None and digest else None
        spec = decode_spec(plain.pop("spec"), variables)
        plain["allow"] = tuple(plain.get("allow", ()))
        return Submitted(spec=spec, **plain)
    return converter.structure(plain, kind)


def encode_record(job: JobRecord) -> str:
    """Make the text of what changes in a record."""
    return _dumps(_encode(job, _RECORD_PLAN))


_HINTS: Final = get_type_hints(JobRecord)


def decode_record(made: JobRecord, text: str) -> JobRecord:
    """Read what `encode_record` made, on top of the record as it was made by its first fact."""
    plain = _loads(text)
    if not plain:
        return made
    changes = {name: converter.structure(value, _HINTS[name]) for name, value in plain.items()}
    copy = object.__new__(JobRecord)
    # Fields at their defaults are left out of the text, also where `create` sets them otherwise.
    copy.__dict__.update(made.__dict__)
    copy.__dict__.update(_DEFAULTS)
    copy.__dict__.update(changes)
    return copy


_DEFAULTS: Final = {
    name: default for name, default, _plain in _RECORD_PLAN if default is not NOTHING
}
