"""Forget jobs that have ended, and all they left."""

import fcntl
import logging
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drover._engine import attempts_of
from drover._store import JobFilter
from drover.commandline.tokens import attempt_path
from drover.errors import DroverError, IllegalRequestError
from drover.models import JobRecord
from drover.states import ENDED, FINAL

if TYPE_CHECKING:
    from drover.session._session import Session

_log: Final = logging.getLogger(__name__)
PIECE: Final = 1000


def purge(session: "Session", ids: Sequence[str] | None, ended_before: float | None) -> int:
    """Forget jobs.

    Args:
        session: The session.
        ids: Full ids; `None`: all that are final. LOST ones have to be named.
        ended_before: Only those that ended before.

    Returns:
        How many were forgotten.
    """
    # Before anything outside the store is deleted: what lies beside a copy is all it has.
    session.store.refuse_if_read_only()
    jobs = _chosen(session, ids, ended_before)
    count = 0
    for start in range(0, len(jobs), PIECE):
        with no_attempt_opened(session.home):
            piece = _still(session, jobs[start : start + PIECE])
            _forget_outside(session, piece)
            with session.store.write() as (writer, reader):
                present = reader.jobs_by_id([job.id for job in piece])
                writer.forget([job.n for job in present.values() if job.state in ENDED])
        count += len(piece)
    return count


@contextmanager
def no_attempt_opened(home: Path) -> Generator[None]:
    """Keep retries and purges of ended jobs apart: what is deleted belongs to no new attempt.

    Not by a lock of the store, since files are many and others have to write meanwhile.
    """
    # The key is a file that is always there, also on a full disk, and that SQLite does not lock.
    handle = os.open(home / "key", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _still(session: "Session", jobs: Sequence[JobRecord]) -> list[JobRecord]:
    """Pick those that nobody has retried, or begun to, since they were chosen."""
    with session.store.read() as reader:
        present = reader.jobs_by_id([job.id for job in jobs])
    return [
        now
        for job in jobs
        if (now := present.get(job.id)) is not None
        and (now.state, now.attempt, now.pending) == (job.state, job.attempt, ())
    ]


def _chosen(
    session: "Session", ids: Sequence[str] | None, ended_before: float | None
) -> list[JobRecord]:
    with session.store.read() as reader:
        if ids is None:
            jobs = reader.listing(JobFilter(states=tuple(FINAL)), None)
        else:
            jobs = list(reader.jobs_by_id(ids).values())
        awaited = reader.awaited(jobs)
    if ids is None:
        jobs = [job for job in jobs if job.n not in awaited]
    for job in jobs:
        if job.state not in ENDED:
            raise IllegalRequestError(job.id, "purge", job.state, "it has not ended")
        if job.n in awaited:
            raise IllegalRequestError(job.id, "purge", job.state, "other jobs wait for it")
    if ended_before is None:
        return jobs
    return [job for job in jobs if (job.ended_at or 0.0) < ended_before]


def _forget_outside(session: "Session", jobs: Sequence[JobRecord]) -> None:
    by_backend: dict[str, list[JobRecord]] = {}
    for job in jobs:
        by_backend.setdefault(job.backend, []).append(job)
    for name, group in by_backend.items():
        attempts = tuple(each for job in group for each in attempts_of(job, session.store_id))
        try:
            session.load_backend(name).call("drover_forget", attempts=attempts)
        except DroverError as exc:
            _log.warning("%s", exc)
    with session.store.read() as reader:
        for job in jobs:
            tokens = [attempt.token for attempt in attempts_of(job, session.store_id)]
            # The folder of a closed attempt is what keeps it from starting: it stays.
            if not reader.watched(tokens):
                folder = attempt_path(session.home, job.id, 1).parent
                shutil.rmtree(folder, ignore_errors=True)
