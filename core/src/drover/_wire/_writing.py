"""From facts, records and specifications to text."""

from collections.abc import Callable
from itertools import compress
from operator import attrgetter, is_, is_not
from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints
from uuid import uuid4

import orjson
from attrs import NOTHING, evolve, fields, frozen
from cattrs.gen import make_dict_unstructure_fn

from drover._wire._converter import COLUMNS, converter, is_plain, plain_indices
from drover._wire._text import to_text
from drover.events import EVENTS, Event, Submitted
from drover.models import (
    Array,
    Dependency,
    EndReport,
    JobRecord,
    JobSpec,
    Outcome,
    Predecessor,
    Progress,
    Request,
    Resources,
    Retry,
    Transfer,
    Usage,
)

for _kind in (Progress, Predecessor, Request, Resources, Retry, Dependency, Transfer):
    converter.register_unstructure_hook(
        _kind, make_dict_unstructure_fn(_kind, converter, _cattrs_omit_if_default=True)
    )


def _plain_array(value: Array) -> dict[str, Any]:
    plain: dict[str, Any] = {"indices": plain_indices(value.indices)}
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
    if is_plain(hint):
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


_SPEC_PLAN: Final = _plan(JobSpec, skip=("env", "native"))


def encode_spec(spec: JobSpec) -> dict[str, Any]:
    """Make a specification plain, all but `env`: its values may be secret."""
    plain = _encode(spec, _SPEC_PLAN)
    if spec.native:
        plain["native"] = {name: dict(options) for name, options in spec.native.items()}
    return plain


_EVENT_PLANS: Final = {
    name: _plan(kind, skip=("at", "spec") if kind is Submitted else ("at",))
    for name, kind in EVENTS.items()
}


def encode_event(event: Event, **extra: Any) -> str:
    """Make the text of a fact, without its name and time. *extra* is added to it."""
    plain = _encode(event, _EVENT_PLANS[type(event).__name__])
    if isinstance(event, Submitted):
        plain["spec"] = encode_spec(event.spec)
    if extra:
        plain.update(extra)
    return to_text(plain)


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


_RECORD_PLAN: Final = _plan(JobRecord, skip=COLUMNS)


def encode_record(job: JobRecord) -> str:
    """Make the text of what changes in a record."""
    return to_text(_encode(job, _RECORD_PLAN))
