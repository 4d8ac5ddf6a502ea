"""Facts, records and specifications as JSON text, and back.

The text is UTF-8. What `orjson` cannot carry (lone surrogates, which stand for bytes that are not
UTF-8; whole numbers above 64 bits; NaN in a backend's own options) is written by the standard
library's encoder instead, in ASCII, behind a blank that says so. What equals its default is left
out. `FORMAT` counts versions: a change that an older drover would misread raises it together with
the store's schema.
"""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import compress
from operator import attrgetter, is_, is_not
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints
from uuid import uuid4

import orjson
from attrs import NOTHING, evolve, fields, frozen
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn

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

FORMAT: Final = 2

_dumps_slow: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_loads_slow: Final = json.JSONDecoder().decode

# --- text ------------------------------------------------------------------------------------


def to_text(plain: Any, *, exact: bool = False) -> str:
    """Write a plain value as JSON.

    Args:
        plain: What JSON has: no other keys than text.
        exact: Whether it may hold NaN, which orjson would turn into null.
    """
    if not exact:
        try:
            return orjson.dumps(plain).decode()
        except TypeError:
            pass
    return " " + _dumps_slow(plain)


def from_text(text: str) -> Any:
    """Read what `to_text` wrote."""
    if text[0] == " ":
        return _loads_slow(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Format 1 wrote lone surrogates without a blank.
        return _loads_slow(text)


# --- plain values ------------------------------------------------------------------------------

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
for _kind in (Progress, Request, Resources, Retry, Dependency, Transfer):
    converter.register_unstructure_hook(
        _kind, make_dict_unstructure_fn(_kind, converter, _cattrs_omit_if_default=True)
    )


def _plain_array(value: Array) -> dict[str, Any]:
    plain: dict[str, Any] = {"indices": _plain_indices(value.indices)}
    if value.max_running is not None:
        plain["max_running"] = value.max_running
    return plain


converter.register_unstructure_hook(Array, _plain_array)


@frozen
class _Plan:
    """How a class is made plain: its fields, one place for each."""

    names: tuple[str, ...]
    defaults: tuple[Any, ...]
    to_plain: tuple[Callable[[Any], Any] | None, ...]
    """`None`: the value is plain."""
    values: Callable[[Any], tuple[Any, ...]]
    """Gives the values of all fields."""
    places: range


def _is_plain(hint: Any) -> bool:
    """Tell whether values of a type are written as they are."""
    if get_origin(hint) in {Union, UnionType}:
        return all(map(_is_plain, get_args(hint)))
    if get_origin(hint) is tuple:
        return _is_plain(get_args(hint)[0])
    return isinstance(hint, type) and (
        hint in {str, int, float, bool, NoneType} or issubclass(hint, Enum)
    )


def _plan(kind: type, skip: tuple[str, ...] = ()) -> _Plan:
    hints = get_type_hints(kind)
    kept = [one for one in fields(kind) if one.name not in skip]
    names = tuple(one.name for one in kept)
    return _Plan(
        names,
        tuple(one.default for one in kept),
        tuple(_to_plain(hints[name]) for name in names),
        # Of one name, attrgetter gives no tuple, and it takes no less.
        attrgetter(*names)
        if len(names) > 1
        else lambda owner: tuple(getattr(owner, name) for name in names),
        range(len(names)),
    )


def _to_plain(hint: Any) -> Callable[[Any], Any] | None:
    """Choose what makes values of a type plain; they are not `None`."""
    if _is_plain(hint):
        return None
    options = [one for one in get_args(hint) or (hint,) if one is not NoneType and one is not ...]
    own = _OWN.get(options[0]) if len(options) == 1 else None
    if own is None:
        return lambda value: converter.unstructure(value, unstructure_as=hint)
    if get_origin(hint) is tuple:
        return lambda value: [own(one) for one in value]
    return own


def _encode(owner: object, plan: _Plan) -> dict[str, Any]:
    out: dict[str, Any] = {}
    values, defaults = plan.values(owner), plan.defaults
    # Most fields hold the very object that is their default: those are passed over in C.
    for place in compress(plan.places, map(is_not, values, defaults)):
        value, default = values[place], defaults[place]
        if default is not NOTHING and value == default:
            continue
        plain = plan.to_plain[place]
        out[plan.names[place]] = value if plain is None or value is None else plain(value)
    return out


# The end of a job is written twice, in its fact and in its record: by our own loop, which costs
# a third of what is generated for classes with defaults that are objects.
def _plain_usage(value: Usage) -> dict[str, Any]:
    return _encode(value, _USAGE_PLAN)


def _plain_report(value: EndReport) -> dict[str, Any]:
    return _encode(value, _REPORT_PLAN)


def _plain_outcome(value: Outcome) -> dict[str, Any]:
    known = _OUTCOMES.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    plain = _make_plain_outcome(value)
    if len(_OUTCOMES) > _KEPT:
        _OUTCOMES.clear()
    _OUTCOMES[id(value)] = (value, plain)
    return plain


_KEPT: Final = 2048
_OUTCOMES: Final[dict[int, tuple[Outcome, dict[str, Any]]]] = {}
"""Made plain for the facts of a round, and used again for its records. Never changed."""


def _make_plain_outcome(value: Outcome) -> dict[str, Any]:
    plain = _encode(value, _OUTCOME_PLAN)
    usage = value.usage
    for place, report in enumerate(value.evidence):
        if report.usage is usage:
            # It is what this piece of evidence says: written once.
            plain["usage"] = place
            return plain
    if usage != _NO_USAGE:
        plain["usage"] = _plain_usage(usage)
    return plain


_OWN: Final[dict[Any, Callable[[Any], Any]]] = {
    Usage: _plain_usage,
    EndReport: _plain_report,
    Outcome: _plain_outcome,
}
_NO_USAGE: Final = Usage()
_USAGE_PLAN: Final = _plan(Usage)
_REPORT_PLAN: Final = _plan(EndReport)
_OUTCOME_PLAN: Final = _plan(Outcome, skip=("usage",))
for _kind, _own in _OWN.items():
    converter.register_unstructure_hook(_kind, _own)

# The same for reading: a listing of many jobs is mostly this.
_Readers = dict[str, Callable[[Any], Any]]
_OWN_READERS: Final[dict[Any, Callable[[Any], Any]]] = {}


def _reader_of(hint: Any) -> Callable[[Any], Any]:
    """Choose what reads values of a type; they are not `None`."""
    if hint == tuple[str, ...]:
        return tuple
    is_union = get_origin(hint) in {Union, UnionType}
    options = [one for one in (get_args(hint) if is_union else (hint,)) if one is not NoneType]
    if len(options) == 1 and isinstance(options[0], type) and _is_plain(options[0]):
        return _by_word(options[0]) if issubclass(options[0], Enum) else _as_it_is
    own = _OWN_READERS.get(options[0]) if len(options) == 1 else None
    if own is not None:
        return own
    if get_origin(hint) is tuple and (item := _OWN_READERS.get(get_args(hint)[0])) is not None:
        return lambda value: tuple(map(item, value))
    return lambda value: converter.structure(value, hint)


def _by_word(kind: type[Enum]) -> Callable[[Any], Any]:
    # Ten times faster than the call of an Enum.
    words = {member.value: member for member in kind}
    return words.__getitem__


def _as_it_is(value: Any) -> Any:
    return value


def _readers(kind: type) -> _Readers:
    hints = get_type_hints(kind)
    return {one.name: _reader_of(hints[one.name]) for one in fields(kind)}


def _decode(readers: _Readers, plain: dict[str, Any]) -> dict[str, Any]:
    return {
        # A key that nobody knows is refused by the class.
        name: value if value is None else readers.get(name, _as_it_is)(value)
        for name, value in plain.items()
    }


def _read_usage(plain: dict[str, Any]) -> Usage:
    return Usage(**_decode(_USAGE_READERS, plain))


def _read_report(plain: dict[str, Any]) -> EndReport:
    return EndReport(**_decode(_REPORT_READERS, plain))


def _read_outcome(plain: dict[str, Any]) -> Outcome:
    known = _decode(_OUTCOME_READERS, plain)
    place = plain.get("usage")
    if isinstance(place, int):
        known["usage"] = known["evidence"][place].usage
    return Outcome(**known)


def _read_usage_or_place(value: Any) -> Any:
    return value if isinstance(value, int) else _read_usage(value)


_OWN_READERS[Usage] = _read_usage
_USAGE_READERS: Final = _readers(Usage)
_OWN_READERS[EndReport] = _read_report
_REPORT_READERS: Final = _readers(EndReport)
_OWN_READERS[Outcome] = _read_outcome
_OUTCOME_READERS: Final = {**_readers(Outcome), "usage": _read_usage_or_place}


def _structure_by(own: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda plain, _kind: own(plain)


for _kind, _own in _OWN_READERS.items():
    converter.register_structure_hook(_kind, _structure_by(_own))

# --- specifications ----------------------------------------------------------------------------

_SPEC_PLAN: Final = _plan(JobSpec, skip=("env", "native"))


def encode_spec(spec: JobSpec) -> dict[str, Any]:
    """Make a specification plain, all but `env`: its values may be secret."""
    plain = _encode(spec, _SPEC_PLAN)
    if spec.native:
        plain["native"] = {name: dict(options) for name, options in spec.native.items()}
    return plain


_READ_SPEC: Final = _readers(JobSpec)
"""What reads a field. What is not checked again was checked when it was handed in."""
_BLANK_SPEC: Final[dict[str, Any]] = {
    one.name: None if one.default is NOTHING else one.default for one in fields(JobSpec)
}


def decode_spec(plain: Mapping[str, Any], env: Mapping[str, str] | None = None) -> JobSpec:
    """Read what `encode_spec` made.

    Args:
        plain: The mapping.
        env: The variables, which are kept elsewhere.
    """
    if not plain.keys() <= _READ_SPEC.keys():
        # Says which key nobody knows.
        return converter.structure(dict(plain), JobSpec)
    known = _BLANK_SPEC.copy()
    for name, value in plain.items():
        known[name] = value if value is None else _READ_SPEC[name](value)
    if env:
        known["env"] = env
    spec = object.__new__(JobSpec)
    object.__setattr__(spec, "__dict__", known)
    return spec


# --- facts -------------------------------------------------------------------------------------

_EVENT_PLANS: Final = {
    name: _plan(kind, skip=("at", "spec") if kind is Submitted else ("at",))
    for name, kind in EVENTS.items()
}


def encode_event(event: Event, **extra: Any) -> str:
    """Make the text of a fact, without its name and time. *extra* is added to it."""
    plain = _encode(event, _EVENT_PLANS[type(event).__name__])
    exact = False
    if isinstance(event, Submitted):
        plain["spec"] = encode_spec(event.spec)
        exact = bool(event.spec.native)
    if extra:
        plain.update(extra)
    return to_text(plain, exact=exact)


class SubmittedEncoder:
    """Write facts of submission, most of which differ from the one before in their argv alone."""

    def __init__(self) -> None:
        self._facts: tuple[Any, ...] = ()
        self._values: tuple[Any, ...] = ()
        self._parts = ("", "", "")

    def encode(self, event: Submitted, job_id: str, env: str | None = None) -> str:
        """Make the text of a fact.

        Args:
            event: The fact.
            job_id: The id that is given to the job or array.
            env: The digest of `event.spec.env`, if there is any.
        """
        facts = (event.backend, event.key, event.allow, event.base_digest, env)
        values = _ALL_BUT_ARGV(event.spec)
        if facts != self._facts or not all(map(is_, values, self._values)):
            self._parts = _cut(event, env)
            self._facts, self._values = facts, values
        head, middle, tail = self._parts
        try:
            argv = orjson.dumps(event.spec.argv).decode()
        except TypeError:
            return encode_event(event, **_given(job_id, env))
        return f"{head}{argv}{middle}{job_id}{tail}"


_ALL_BUT_ARGV: Final = attrgetter(*(one.name for one in fields(JobSpec) if one.name != "argv"))
# Drawn anew by each process, so that no text of a user can be taken for them.
_ARGV_MARK: Final = f"argv-{uuid4().hex}"
_ID_MARK: Final = f"id-{uuid4().hex}"


def _given(job_id: str, env: str | None) -> dict[str, str]:
    return {"id": job_id} if env is None else {"id": job_id, "env": env}


def _cut(event: Submitted, env: str | None) -> tuple[str, str, str]:
    """Give what stands before the argv, between it and the id, and after the id."""
    spec = object.__new__(JobSpec)
    object.__setattr__(spec, "__dict__", {**event.spec.__dict__, "argv": (_ARGV_MARK,)})
    text = encode_event(evolve(event, spec=spec), **_given(_ID_MARK, env))
    head, _, rest = text.partition(f'["{_ARGV_MARK}"]')
    middle, _, tail = rest.partition(_ID_MARK)
    return head, middle, tail


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
    if name == "Submitted":
        return decode_submitted(at, text, env)[1]
    plain = from_text(text)
    plain["at"] = at
    return converter.structure(plain, EVENTS[name])


def decode_submitted(
    at: float, text: str, env: Callable[[str], Mapping[str, str]] | None = None
) -> tuple[str, Submitted]:
    """Read the fact that makes a job or an array.

    Returns:
        The id that was given to it, empty if the text has none; the fact.
    """
    plain = from_text(text)
    job_id, digest = plain.pop("id", ""), plain.pop("env", None)
    variables = env(digest) if env is not None and digest else None
    spec = decode_spec(plain.pop("spec"), variables)
    if "allow" in plain:
        plain["allow"] = tuple(plain["allow"])
    return job_id, Submitted(at=at, spec=spec, **plain)


# --- records -----------------------------------------------------------------------------------

# These are columns of the jobs table, or stand in the fact that made the record.
_FIXED: Final = (
    "id", "n", "backend", "spec", "array_id", "array_index", "key", "allow", "base_digest",
    "submitted_at",
)  # fmt: skip
_RECORD_PLAN: Final = _plan(JobRecord, skip=_FIXED)


def encode_record(job: JobRecord) -> str:
    """Make the text of what changes in a record."""
    return to_text(_encode(job, _RECORD_PLAN))


_READ_RECORD: Final = _readers(JobRecord)


def decode_record(made: JobRecord, text: str) -> JobRecord:
    """Read what `encode_record` made, on top of the record as it was made by its first fact."""
    plain = from_text(text)
    if not plain:
        return made
    known = made.__dict__.copy()
    # Fields at their defaults are left out of the text, also where `create` sets them otherwise.
    known.update(_DEFAULTS)
    for name, value in plain.items():
        known[name] = value if value is None else _READ_RECORD[name](value)
    copy = object.__new__(JobRecord)
    object.__setattr__(copy, "__dict__", known)
    return copy


_DEFAULTS: Final = {
    name: default
    for name, default in zip(_RECORD_PLAN.names, _RECORD_PLAN.defaults, strict=True)
    if default is not NOTHING
}
