"""From what a user hands in to what the store holds: checked, completed, planned."""

import getpass
import os
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import evolve

from drover._plugins import scrubbed
from drover._store import Draft, Reader
from drover._wire import encode_spec
from drover.errors import (
    EngineUnavailableError,
    InvalidSpecError,
    KeyConflictError,
    PluginError,
    UnsupportedFieldError,
)
from drover.events import Submitted
from drover.models import (
    SPEC_FIELDS,
    Condition,
    Dependency,
    FieldPlan,
    JobSpec,
    Plan,
    Support,
    check_fields,
    fields_set,
    placed_in,
)

if TYPE_CHECKING:
    from drover.session._session import Session

SpecLike = JobSpec | Sequence[str]
MAX_KEY: Final = 1024
_NOT_PLANNED: Final = ("argv", "name", "env", "tags", "cwd", "stdin", "stdout", "stderr", "after")


def user_name() -> str:
    """Name the user for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def as_spec(given: SpecLike, fields: Mapping[str, Any]) -> JobSpec:
    """Make a specification of an argv and fields, or change one by fields.

    Raises:
        UnknownFieldError: A field does not exist.
        InvalidSpecError: A value cannot be used.
    """
    if not fields and isinstance(given, JobSpec):
        return given
    check_fields("JobSpec", fields, SPEC_FIELDS)
    if isinstance(given, JobSpec):
        return evolve(given, **fields)
    return JobSpec(argv=given, **fields)


def check_key(key: object) -> None:
    """Refuse what is no key: an empty one is a variable that was not set, and fits all.

    Raises:
        InvalidSpecError: It is none.
    """
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= MAX_KEY):
        raise InvalidSpecError("key", key, f"give text of 1 to {MAX_KEY:,} characters")


def fields_list(allow: object) -> tuple[str, ...]:
    """Read what may be ignored: names of fields, or text with commas between them.

    Raises:
        InvalidSpecError: It is neither.
    """
    if isinstance(allow, str):
        return tuple(allow.split(","))
    names = tuple(cast("Iterable[object]", allow)) if isinstance(allow, Iterable) else (allow,)
    for name in names:
        if not isinstance(name, str):
            raise InvalidSpecError("allow", name, "give names of fields")
    return cast("tuple[str, ...]", names)


class Submission:
    """Prepare specifications of one call."""

    def __init__(self, session: "Session", backend: str, allow: Sequence[str]) -> None:
        self._session = session
        self._backend = backend
        self._allow = tuple(allow)
        self._here = str(Path.cwd())
        self._base: dict[str, str] | None = None
        self._base_digest = ""
        self._planned: object = None
        self._refuse_unserved()

    def check(self, spec: JobSpec) -> JobSpec:
        """Let plugins change a specification, and refuse it if it cannot be honoured.

        Raises:
            UnsupportedFieldError: The backend cannot honour it.
            PluginError: A plugin failed.
        """
        spec = self._session.prepare(spec, self._backend)
        # What a plan depends on is alike for most jobs of a call; it is made once for them.
        shape = _shape_of(spec)
        if shape != self._planned:
            refuse(plan_of(self._session, self._placed(spec), self._backend), self._allow)
            self._planned = shape
        return spec

    def draft(self, spec: JobSpec, key: str | None, at: float) -> Draft:
        """Make what is stored of a specification that was checked."""
        base = (self._base or self._inherited()) if spec.inherit_env else None
        event = Submitted(
            at=at,
            spec=self._placed(spec),
            backend=self._backend,
            key=key,
            allow=self._allow,
            base_digest="" if base is None else self._base_digest,
        )
        return Draft(event=event, base=base)

    def _placed(self, spec: JobSpec) -> JobSpec:
        if spec.cwd is None:
            return placed_in(spec, self._here)
        if not os.path.isabs(spec.cwd):  # noqa: PTH117 - a Path per job costs 3 us
            return placed_in(spec, os.path.join(self._here, spec.cwd))  # noqa: PTH118
        return spec

    def _refuse_unserved(self) -> None:
        """Refuse what the engine that works on the store has said it cannot serve."""
        holder = self._session.store.lease()
        for row in holder.info.get("backends", ()) if holder.live else ():
            if row["name"] == self._backend and row.get("broken"):
                raise EngineUnavailableError(
                    str(self._session.home),
                    f"the engine that works cannot load backend {self._backend!r}: {row['error']}",
                    str(holder.info.get("log", "")),
                )

    def _inherited(self) -> dict[str, str]:
        if self._base is None:
            self._base = scrubbed(os.environ)
            self._base_digest = self._session.store.digest(self._base)
        return self._base


_shape_of: Final = attrgetter(*(name for name in SPEC_FIELDS if name not in _NOT_PLANNED))


def plan_of(session: "Session", spec: JobSpec, backend: str) -> Plan:
    """Ask a backend what it would do."""
    answer = session.load_backend(backend).call("drover_plan", spec=spec)
    if answer is None:
        return Plan(
            backend=backend,
            fields=tuple(
                FieldPlan(field=name, support=Support.REFUSED, note="the backend says nothing")
                for name in fields_set(spec)
            ),
        )
    if not isinstance(answer, Plan):
        raise PluginError(backend, "drover_plan", f"answered {answer!r}")
    told = {entry.field for entry in answer.fields}
    silent = tuple(
        FieldPlan(field=name, support=Support.REFUSED, note="the backend does not know it")
        for name in fields_set(spec)
        if name not in told
    )
    return evolve(answer, backend=backend, fields=answer.fields + silent)


def refuse(plan: Plan, allow: Sequence[str]) -> None:
    """Refuse what the backend cannot honour.

    Raises:
        UnsupportedFieldError: It names each field and why.
    """
    refused = plan.refused(allow)
    if refused:
        raise UnsupportedFieldError(plan.backend, [(entry.field, entry.note) for entry in refused])


def with_full_ids(spec: JobSpec, reader: Reader) -> JobSpec:
    """Complete the ids in `after` and `parent`.

    Raises:
        UnknownJobError: A dependency does not exist.
        InvalidSpecError: One job stands in `after` with two conditions.
        AmbiguousJobError: A shortened id fits several.
    """
    if not spec.after and spec.parent is None:
        return spec
    after = tuple(
        Dependency(job=reader.resolve(entry.job)[0], condition=entry.condition)
        for entry in spec.after
    )
    conditions: dict[str, Condition] = {}
    for entry in after:
        if conditions.setdefault(entry.job, entry.condition) is not entry.condition:
            raise InvalidSpecError("after", entry.job, "it stands there with two conditions")
    parent = None if spec.parent is None else reader.resolve(spec.parent)[0]
    return evolve(spec, after=after, parent=parent)


def same_as_before(reader: Reader, key: str, draft: Draft) -> str | None:
    """Find the job that a key belongs to.

    Raises:
        KeyConflictError: It has another specification.
    """
    job_id = reader.by_key(key)
    if job_id is None:
        return None
    full, is_array = reader.resolve(job_id)
    old = reader.array(full)[2] if is_array else None
    spec, backend = (
        (old.spec, old.backend)
        if old is not None
        else ((job := reader.job(full)).spec, job.backend)
    )
    new = draft.event
    same = encode_spec(spec) == encode_spec(new.spec) and dict(spec.env) == dict(new.spec.env)
    if not same or backend != new.backend:
        raise KeyConflictError(key, full)
    return full
