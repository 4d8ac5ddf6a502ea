"""From text to facts, records and specifications."""

from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields

from drover._wire._converter import COLUMNS, converter, is_plain
from drover._wire._text import from_text
from drover.events import EVENTS, Event, Submitted
from drover.models import EndReport, JobRecord, JobSpec, Outcome, Usage

# By our own loop and not by what is generated: a listing of many jobs is mostly this.
_Readers = dict[str, Callable[[Any], Any]]
_OWN_READERS: Final[dict[Any, Callable[[Any], Any]]] = {}


def _reader_of(hint: Any) -> Callable[[Any], Any]:
    """Choose what reads values of a type; they are not `None`."""
    if hint == tuple[str, ...]:
        return tuple
    is_union = get_origin(hint) in {Union, UnionType}
    options = [one for one in (get_args(hint) if is_union else (hint,)) if one is not NoneType]
    if len(options) == 1 and isinstance(options[0], type) and is_plain(options[0]):
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
    one.name: one.default
    for one in fields(JobRecord)
    if one.name not in COLUMNS and one.default is not NOTHING
}
