"""What `--json` prints: pure functions from records to plain data.

`docs/reference/json-schema.json` describes every document here; tests compare the two. A key,
once there, keeps its name and meaning for as long as `schema` stays the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drover.events import Event
    from drover.models import (
        CancelVerdict,
        Capabilities,
        Diagnosis,
        EndReport,
        JobRecord,
        JobSpec,
        Outcome,
        Plan,
        Usage,
        Verb,
    )
    from drover.states import State

SCHEMA: Final = 1
Document: TypeAlias = dict[str, Any]

MASK: Final = "***"
_INSTANTS: Final = frozenset({"at", "not_before", "deadline", "until"})


class Entry(Protocol):
    """One line of the journal, as the session gives it."""

    @property
    def seq(self) -> int: ...
    @property
    def job_id(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def name(self) -> str: ...
    @property
    def event(self) -> Event: ...


def text_of(document: Document) -> str:
    """Write a document, its schema number in front: pure ASCII, which drives no terminal."""
    return json.dumps({"schema": SCHEMA, **document}, indent=2)


def instant(at: float | None) -> str | None:
    """Write seconds since 1970 UTC as ISO 8601 with milliseconds and `Z`."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def plain(value: object, *, show_env: bool = False) -> Any:
    """Turn any of drover's frozen data into what JSON can hold.

    Instants become ISO text, sets sorted lists, and values of `env` are masked unless asked for.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind: type[Any] = type(value)
    if attrs.has(kind):
        return {
            field.name: of_fact(field.name, getattr(value, field.name), show_env=show_env)
            for field in attrs.fields(kind)
        }
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): plain(entry, show_env=show_env) for key, entry in pairs}
    if isinstance(value, AbstractSet):
        members = cast("AbstractSet[object]", value)
        return sorted((plain(entry, show_env=show_env) for entry in members), key=str)
    if isinstance(value, range):
        return {"start": value.start, "stop": value.stop, "step": value.step}
    if isinstance(value, Sequence):
        entries = cast("Sequence[object]", value)
        return [plain(entry, show_env=show_env) for entry in entries]
    return str(value)


def of_fact(name: str, value: object, *, show_env: bool = False) -> Any:
    """Turn the value of one field into plain data; its name tells instants and variables."""
    if name == "env" and isinstance(value, Mapping):
        variables = cast("Mapping[str, str]", value)
        return {key: entry if show_env else MASK for key, entry in variables.items()}
    if isinstance(value, float | int) and (name in _INSTANTS or name.endswith("_at")):
        return instant(value)
    return plain(value, show_env=show_env)


def of_usage(usage: Usage) -> Document:
    """Tell what a job used."""
    return {**plain(usage), "cpu_s": usage.cpu_s}


def of_report(report: EndReport) -> Document:
    """Tell what one channel said about an end."""
    return {
        **plain(report),
        "usage": None if report.usage is None else of_usage(report.usage),
    }


def of_outcome(outcome: Outcome | None) -> Document | None:
    """Tell how an attempt ended."""
    if outcome is None:
        return None
    return {
        "reason": outcome.reason.value,
        "started": outcome.started.value,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "core_dumped": outcome.core_dumped,
        "succeeded": outcome.succeeded,
        "retryable": outcome.retryable,
        "message": outcome.message,
        "description": outcome.describe(),
        "evidence": [of_report(report) for report in outcome.evidence],
        "usage": of_usage(outcome.usage),
    }


def of_job(record: JobRecord) -> Document:
    """Tell what every listing tells of a job."""
    return {
        "id": record.id,
        "name": record.spec.label,
        "state": record.state.value,
        "backend": record.backend,
        "native_id": record.native_id,
        "native_state": record.native_state,
        "attempt": record.attempt,
        "restart": record.restart,
        "submitted_at": instant(record.submitted_at),
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
        "outcome": of_outcome(record.outcome),
        "tags": list(record.spec.tags),
        "hold": sorted(record.hold),
        "pending": [request.verb.value for request in record.pending],
        "progress": plain(record.progress),
        "array_id": record.array_id,
        "array_index": record.array_index,
        "key": record.key,
        "argv": list(record.spec.argv),
    }


def of_job_in_full(
    record: JobRecord, *, blockers: Sequence[str] = (), show_env: bool = False
) -> Document:
    """Tell all that is known of one job."""
    return {
        **of_job(record),
        "requests": [plain(request) for request in record.pending],
        "ready_at": instant(record.ready_at),
        "observed_at": instant(record.observed_at),
        "observed_source": plain(record.observed_source),
        "blockers": list(blockers),
        "allow": list(record.allow),
        "spec": plain(record.spec, show_env=show_env),
    }


def of_array(
    array_id: str, spec: JobSpec, size: int, counts: Mapping[State, int], backend: str
) -> Document:
    """Tell of an array as a whole."""
    return {
        "id": array_id,
        "name": spec.label,
        "backend": backend,
        "size": size,
        "counts": of_counts(counts),
        "tags": list(spec.tags),
        "argv": list(spec.argv),
    }


def of_counts(counts: Mapping[State, int]) -> dict[str, int]:
    """Count jobs by state, in the order of a life; states without a job are left out."""
    from drover.states import State

    return {state.value: counts[state] for state in State if counts.get(state)}


def jobs_document(
    records: Iterable[JobRecord], counts: Mapping[State, int] | None = None
) -> Document:
    """Make the document of a list of jobs."""
    document: Document = {"jobs": [of_job(record) for record in records]}
    if counts is not None:
        document["counts"] = of_counts(counts)
    return document


def verdicts_document(verb: Verb | str, verdicts: Iterable[CancelVerdict]) -> Document:
    """Make the document of what requests came to."""
    return {
        "verb": str(verb),
        "verdicts": [
            {
                "id": entry.job,
                "verdict": entry.verdict.value,
                "message": entry.message,
                "survivors": list(entry.survivors),
                "outcome": of_outcome(entry.outcome),
            }
            for entry in verdicts
        ],
    }


def history_document(job_id: str, entries: Iterable[Entry], *, show_env: bool = False) -> Document:
    """Make the document of a job's story."""
    return {
        "id": job_id,
        "events": [
            {
                "seq": entry.seq,
                "at": instant(entry.at),
                "job": entry.job_id,
                "event": entry.name,
                "facts": _facts(entry.event, show_env=show_env),
            }
            for entry in entries
        ],
    }


def _facts(event: Event, *, show_env: bool) -> Document:
    facts: Document = plain(event, show_env=show_env)
    return {name: value for name, value in facts.items() if name != "at"}


def plan_document(plan: Plan, allow: Sequence[str] = ()) -> Document:
    """Make the document of what a backend would do."""
    document: Document = plain(plan)
    document["accepted"] = not plan.refused(allow)
    return {"plan": document}


def of_capabilities(capabilities: Capabilities | None) -> Document | None:
    """Tell what a backend declares."""
    return None if capabilities is None else plain(capabilities)


def doctor_document(findings: Sequence[Diagnosis]) -> Document:
    """Make the document of what the doctor found."""
    return {
        "healthy": all(finding.health.value != "error" for finding in findings),
        "findings": [plain(finding) for finding in findings],
    }


def printable_path(path: Path | str | None) -> str | None:
    """Write a path; `None` stays."""
    return None if path is None else str(path)
