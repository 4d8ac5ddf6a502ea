"""Choose and arrange what is told of jobs, for people and for `--json`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from drover.cli import _documents
from drover.cli._render import Table, span
from drover.states import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import TypeIs

    from drover.models import JobRecord
    from drover.session import BackendStatus, Job, JobArray, Session

UNFINISHED: Final = frozenset(State) - ENDED
_NAME_WIDTH: Final = 30
_TEXT_WIDTH: Final = 60


def is_array(job: Job | JobArray) -> TypeIs[JobArray]:
    """Tell an array from a job."""
    return hasattr(job, "counts")


def document_of(job: Job | JobArray) -> _documents.Document:
    """Tell a job, or an array as a whole."""
    if not is_array(job):
        return _documents.of_job(job.record)
    first = next(iter(job))
    return _documents.of_array(job.id, job.spec, len(job), job.counts, first.backend)


def jobs_named(session: Session, ids: Sequence[str]) -> list[Job | JobArray]:
    """Find all jobs of a command line, in its order.

    Raises:
        UnknownJobError: One is not there; nothing was done to any.
        AmbiguousJobError: A shortened id fits several.
    """
    return [session.job(word) for word in ids]


def elements_of(jobs: Iterable[Job | JobArray]) -> list[Job]:
    """Open arrays: every element is a job of its own."""
    flat: list[Job] = []
    for job in jobs:
        flat.extend(job if is_array(job) else [job])
    return flat


def job_table(records: Iterable[JobRecord], now: float | None = None) -> Table:
    """Arrange jobs as `ps` and `top` show them."""
    from drover.cli._terminal import shortened

    now = time.time() if now is None else now
    headings = ("ID", "NAME", "STATE", "BACKEND", "TRY", "AGE", "TIME", "ABOUT")
    table = Table(*headings, right=_RIGHT, elastic=_ELASTIC, fold=False)
    for record in records:
        table.row(
            record.id,
            shortened(record.spec.label, _NAME_WIDTH),
            record.state.value,
            record.backend,
            record.counted_attempt,
            span(now - record.submitted_at),
            span(run_time(record, now)),
            shortened(about(record), _TEXT_WIDTH),
        )
    return table


_RIGHT: Final = frozenset({"TRY", "AGE", "TIME"})
_ELASTIC: Final = frozenset({"NAME", "ABOUT"})


def run_time(record: JobRecord, now: float) -> float | None:
    """Give the seconds it has run, or ran; `None` before the start."""
    if record.started_at is None:
        return None
    return (now if record.ended_at is None else record.ended_at) - record.started_at


def about(record: JobRecord) -> str:
    """Say in a few words what matters most about a job now."""
    if record.outcome is not None and record.state in ENDED:
        return record.outcome.describe()
    words: list[str] = []
    if record.hold:
        words.append(f"held by {' and '.join(sorted(record.hold))}")
    words.extend(f"{request.verb} {request.verdict}" for request in record.pending)
    if record.progress is not None:
        if record.progress.fraction is not None:
            words.append(f"{record.progress.fraction:.0%}")
        words.append(record.progress.text)
    if not words and record.native_state:
        words.append(record.native_state)
    return ", ".join(word for word in words if word)


def warn_if_unwatched(session: Session, records: Iterable[JobRecord]) -> None:
    """Say so where nobody works on jobs that have not ended: they stand as they were last seen.

    After a restart of the machine what ran looks as if it ran, until an engine looks at it.
    """
    from drover.cli._terminal import complain

    for message in trouble_with(session, records):
        complain(message)


def trouble_with(session: Session, records: Iterable[JobRecord]) -> Iterator[str]:
    """Say why nothing becomes of jobs that have not ended, where no engine works on them."""
    backends = {record.backend for record in records if record.state not in ENDED}
    if not backends or session.read_only:
        return
    status = session.engine_status()
    if not status.running:
        yield (
            "no engine works on this store: what has not ended is as it was last seen. "
            "Try: drover engine restart"
        )
    for row in status.backends:
        if row.error and row.name in backends:
            yield f"backend {row.name!r} takes no jobs now: {row.error}. {_cure(row)}"


def _cure(row: BackendStatus) -> str:
    # The engine may have been started in another project, or before the backend was installed.
    if row.broken:
        return "To let the engine read the settings of this folder anew: drover engine restart"
    return f"See: drover doctor {row.name}"
