"""What can be written to a store, inside one transaction."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

from drover import machine
from drover._store._ids import new_ids
from drover._store._reader import Reader, as_sql
from drover._store._sealing import Sealer
from drover._wire import SubmittedEncoder, encode_event, encode_record
from drover.events import ControlAsked, Event, Submitted
from drover.instructions import (
    AdmitJob,
    DecideEnd,
    EndAt,
    ForgetJob,
    SettleRequest,
    StageIn,
    SubmitJob,
    WakeJob,
)
from drover.models import JobRecord, JobSpec
from drover.states import State

_PIECE: Final = 100
"""Rows handed to SQLite at a time: fewer objects than make the collector of garbage look."""
_TIMED: Final = (DecideEnd, EndAt, ForgetJob, SettleRequest, WakeJob)
_UNTIMED: Final = frozenset({State.SUBMITTING, State.QUEUED, State.RUNNING, State.SUSPENDED})
"""States in which nothing but a request or a deadline has its time."""
LOOK_AGAIN_S: Final = 1.0


class Draft(NamedTuple):
    """A job or an array that is about to be stored.

    A tuple and no attrs class: one is made per job, in a third of the time.
    """

    event: Submitted
    base: Mapping[str, str] | None = None
    """What it inherits; its digest is in `event.base_digest`."""

    def __repr__(self) -> str:
        # Values of variables may be secret.
        return f"Draft(event={self.event!r})"


def agenda(job: JobRecord, now: float) -> tuple[int | None, float | None]:
    """Say whether it is the job's turn to be looked at, and when it wants to be woken.

    Returns:
        1 or `None`; the earliest instant at which something falls due, or `None`.
    """
    if job.state in _UNTIMED and not job.pending and job.spec.deadline is None:
        return None, None
    turn: int | None = None
    wakes: list[float] = []
    for order in machine.owed(job):
        if isinstance(order, SubmitJob | StageIn):
            if order.at is not None and order.at > now:
                wakes.append(order.at)
            elif job.state is not State.STAGING_IN:
                turn = 1
        elif isinstance(order, AdmitJob):
            turn = 1
        elif isinstance(order, _TIMED) and order.at is not None:
            # What is due and still owed could not be done now: look again soon, not at once.
            wakes.append(order.at if order.at > now else now + LOOK_AGAIN_S)
    return turn, min(wakes, default=None)


class Writer:
    """Write to the store. Lives as long as one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, reader: Reader, sealer: Sealer, epoch: int
    ) -> None:
        self._sql = connection
        self._reader = reader
        self._sealer = sealer
        self._epoch = epoch
        self._sealed: set[str] = set()

    # Journal and projection

    def append_all(self, rows: Iterable[tuple[int, Event]]) -> None:
        """Add facts to the journal, in order."""
        epoch = self._epoch
        self._sql.executemany(
            "INSERT INTO journal (n, epoch, at, name, data) VALUES (?, ?, ?, ?, ?)",
            [(n, epoch, event.at, type(event).__name__, encode_event(event)) for n, event in rows],
        )

    def save_all(self, jobs: Iterable[JobRecord], now: float) -> None:
        """Write what has become of jobs."""
        rows: list[tuple[Any, ...]] = []
        for job in jobs:
            turn, wake_at = agenda(job, now)
            rows.append(
                (
                    job.state.value,
                    turn,
                    wake_at,
                    1 if job.pending else None,
                    job.ended_at,
                    encode_record(job),
                    job.n,
                )
            )
        self._sql.executemany(
            "UPDATE jobs SET state = ?, turn = ?, wake_at = ?, asked = ?, ended_at = ?, "
            "record = ? WHERE n = ?",
            rows,
        )

    def record(self, job: JobRecord, *events: Event, now: float) -> JobRecord:
        """Apply facts to one job: journal and projection together.

        Raises:
            IllegalTransitionError: A fact does not fit; the transaction should be left.
        """
        for event in events:
            job = machine.apply(job, event)
        self.append_all((job.n, event) for event in events)
        self.save_all([job], now)
        return job

    # Submission

    def insert(self, drafts: Iterable[Draft], now: float) -> list[str]:
        """Store jobs and arrays.

        Args:
            drafts: Taken as they come: what is made for one job is gone soon after, so that
                the collector of garbage never meets it.
            now: The instant, for what is due when.

        Returns:
            Their ids, in the order of *drafts*.
        """
        ids: list[str] = []
        encode = SubmittedEncoder().encode
        n = self._last_n()
        seq = self._sql.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0)"
        ).fetchone()[0]
        base: Mapping[str, str] | None = None
        remaining = iter(drafts)
        while piece := list(islice(remaining, _PIECE)):
            facts: list[tuple[Any, ...]] = []
            jobs: list[tuple[Any, ...]] = []
            for job_id, draft in zip(new_ids(len(piece)), piece, strict=True):
                seq += 1
                event, env = draft.event, draft.event.spec.env
                if draft.base is not base and draft.base is not None:
                    base = draft.base
                    self._keep(base)
                text = encode(event, job_id, self._keep(env) if env else None)
                facts.append((seq, n + 1, self._epoch, event.at, "Submitted", text))
                ids.append(job_id)
                n = self._add_rows(jobs, event, job_id, n + 1, seq, now=now)
            self._sql.executemany(
                "INSERT INTO journal (seq, n, epoch, at, name, data) VALUES (?, ?, ?, ?, ?, ?)",
                facts,
            )
            self._insert_jobs(jobs)
        return ids

    def _insert_jobs(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._sql.executemany(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )

    def _add_rows(
        self,
        rows: list[tuple[Any, ...]],
        event: Submitted,
        job_id: str,
        first: int,
        seq: int,
        *,
        now: float,
    ) -> int:
        """Add the row of a job, or store those of all elements of an array.

        Returns:
            The position of the last one.
        """
        spec = event.spec
        changing = _changing(event, job_id, first, now)
        fixed = (event.backend, as_sql(spec.label), spec.resources.priority, event.at)
        size = 1
        if spec.array is None:
            rows.append((first, job_id, seq, None, None, *fixed, *changing))
        else:
            size = len(spec.array.indices)
            self._insert_jobs(
                (first + k, f"{job_id}.{index}", seq, job_id, index, *fixed, *changing)
                for k, index in enumerate(spec.array.indices)
            )
        if spec.array is not None or spec.tags or spec.after:
            self._index(spec, job_id, first, size, seq)
        if event.key is not None:
            self._sql.execute("INSERT INTO keys VALUES (?, ?)", (as_sql(event.key), job_id))
        return first + size - 1

    def _last_n(self) -> int:
        """Give the largest position ever given: those of forgotten jobs are not used again."""
        row = self._sql.execute(
            "SELECT max(coalesce((SELECT max(n) FROM jobs), 0), "
            "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_n'), 0))"
        ).fetchone()
        return int(row[0])

    def _index(self, spec: JobSpec, job_id: str, first: int, size: int, seq: int) -> None:
        if spec.array is not None:
            self._sql.execute("INSERT INTO arrays VALUES (?, ?, ?, ?)", (job_id, first, size, seq))
        for tag in spec.tags:
            self._sql.executemany(
                "INSERT OR IGNORE INTO tags VALUES (?, ?)",
                ((as_sql(tag), first + k) for k in range(size)),
            )
        for dependency in spec.after:
            self._sql.executemany(
                "INSERT OR IGNORE INTO dependencies (n, on_id, condition) VALUES (?, ?, ?)",
                ((first + k, dependency.job, dependency.condition.value) for k in range(size)),
            )

    def _keep(self, variables: Mapping[str, str]) -> str:
        digest = self._sealer.digest(variables)
        if digest not in self._sealed:
            known = self._sql.execute(
                "SELECT 1 FROM environments WHERE digest = ?", (digest,)
            ).fetchone()
            if known is None:
                self._sql.execute(
                    "INSERT INTO environments VALUES (?, ?)",
                    (digest, self._sealer.seal(digest, variables)),
                )
            self._sealed.add(digest)
        return digest

    # Requests, dependencies, tokens

    def ask(self, job: JobRecord, event: ControlAsked, now: float) -> JobRecord:
        """Record a request."""
        return self.record(job, event, now=now)

    def meet_dependencies(self, n: int, on_ids: Iterable[str]) -> None:
        """Note that jobs came to what job *n* asked of them."""
        self._sql.executemany(
            "UPDATE dependencies SET met = 1 WHERE n = ? AND on_id = ?",
            ((n, on_id) for on_id in on_ids),
        )

    def note_clock(self, boot: str, offset_s: float) -> float | None:
        """Note how far the wall clock is from the monotonic one.

        Returns:
            What was noted before, `None` if that was in another boot.
        """
        row = self._sql.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
        known, _, before = ("" if row is None else row[0]).rpartition(" ")
        self._sql.execute(
            "INSERT INTO meta VALUES ('clock', ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (f"{boot} {offset_s!r}",),
        )
        return float(before) if known == boot else None

    def watch_token(self, token: str, backend: str, n: int, at: float) -> None:
        """Put a token that was closed on the watch list."""
        self._sql.execute(
            "INSERT OR IGNORE INTO closed VALUES (?, ?, ?, ?)", (token, backend, n, at)
        )

    def forget(self, ns: Sequence[int]) -> None:
        """Delete jobs with their journal. The specification of an array stays while one of
        its elements is there.
        """
        rows = [(n,) for n in ns]
        self._sql.executemany(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [
                ("last_n", str(self._last_n())),
                ("forgotten", str(self._reader.forgotten() + 1)),
            ],
        )
        arrays = {
            row[0]
            for n in ns
            for row in self._sql.execute(
                "SELECT array_id FROM jobs WHERE n = ? AND array_id IS NOT NULL", (n,)
            )
        }
        self._sql.executemany("DELETE FROM keys WHERE id = (SELECT id FROM jobs WHERE n = ?)", rows)
        for table in ("tags", "dependencies"):
            self._sql.executemany(f"DELETE FROM {table} WHERE n = ?", rows)  # noqa: S608 - constant
        self._sql.executemany(
            "DELETE FROM journal WHERE n = ? AND seq NOT IN (SELECT spec_seq FROM arrays)",
            rows,
        )
        self._sql.executemany("DELETE FROM jobs WHERE n = ?", rows)
        for array_id in arrays:
            self._forget_array(array_id)

    def _forget_array(self, array_id: str) -> None:
        left = self._sql.execute(
            "SELECT 1 FROM jobs WHERE array_id = ? LIMIT 1", (array_id,)
        ).fetchone()
        if left is None:
            self._sql.execute(
                "DELETE FROM journal WHERE seq = (SELECT spec_seq FROM arrays WHERE id = ?)",
                (array_id,),
            )
            self._sql.execute("DELETE FROM keys WHERE id = ?", (array_id,))
            self._sql.execute("DELETE FROM arrays WHERE id = ?", (array_id,))


# What makes a new record differ from the default, or lets it wait: most jobs have none of it.
_unplain: Final = attrgetter("after", "hold", "inputs", "not_before", "deadline")
_PLAIN: Final = ((), False, (), None, None)
_NEW_ROW: Final = (State.NEW.value, 1, None, None, None, "{}")


def _changing(event: Submitted, job_id: str, first: int, now: float) -> tuple[Any, ...]:
    """Make the columns that change later, as they are at first."""
    if _unplain(event.spec) == _PLAIN:
        return _NEW_ROW
    pristine = machine.create(event, job_id=job_id, n=first)
    turn, wake_at = agenda(pristine, now)
    return (pristine.state.value, turn, wake_at, None, None, encode_record(pristine))
