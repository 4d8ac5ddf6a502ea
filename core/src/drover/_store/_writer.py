"""What can be written to a store, inside one transaction."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drover import machine
from drover._store import _rows
from drover._store._agenda import agenda
from drover._store._drafts import Batch
from drover._store._filter import as_sql, marks
from drover._store._reader import Reader, pieces
from drover._store._sealing import Sealer
from drover._wire import encode_event, encode_record
from drover.events import ControlAsked, Event, Submitted
from drover.models import JobRecord


class Writer:
    """Write to the store. Lives as long as one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, reader: Reader, sealer: Sealer, epoch: int
    ) -> None:
        self._sql = connection
        self._reader = reader
        self._sealer = sealer
        self._epoch = epoch

    # Journal and projection

    def append_all(self, rows: Iterable[tuple[int, Event]]) -> None:
        """Add facts to the journal, in order."""
        epoch = self._epoch
        _rows.insert(
            self._sql,
            "INSERT INTO journal (n, epoch, at, name, data) VALUES ",
            "(?, ?, ?, ?, ?)",
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

    def insert(self, batch: Batch) -> None:
        """Store jobs and arrays."""
        for digest, variables in batch.environments.items():
            self._keep(digest, variables)
        last_n = self._last_n()
        last_seq = self._sql.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0)"
        ).fetchone()[0]
        fact = f"(? + {last_seq}, ? + {last_n}, {self._epoch}, ?, 'Submitted', ?)"
        _rows.insert(self._sql, "INSERT INTO journal VALUES ", fact, batch.facts)
        job = f"(? + {last_n}, ?, ? + {last_seq}, NULL, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        _rows.insert(self._sql, "INSERT INTO jobs VALUES ", job, batch.jobs)
        for (first, job_id, number, *columns), event in batch.arrays:
            self._insert_array(event, job_id, first + last_n, number + last_seq, columns)
        for n, job_id, event in batch.marked:
            self._index(event, job_id, n + last_n)

    def _insert_array(
        self, event: Submitted, array_id: str, first: int, seq: int, columns: Sequence[Any]
    ) -> None:
        assert event.spec.array is not None
        indices = event.spec.array.indices
        self._sql.execute(
            "INSERT INTO arrays VALUES (?, ?, ?, ?)", (array_id, first, len(indices), seq)
        )
        _rows.insert(
            self._sql,
            "INSERT INTO jobs VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (first + k, f"{array_id}.{index}", seq, array_id, index, *columns)
                for k, index in enumerate(indices)
            ],
        )

    def _last_n(self) -> int:
        """Give the largest position ever given: those of forgotten jobs are not used again."""
        row = self._sql.execute(
            "SELECT max(coalesce((SELECT max(n) FROM jobs), 0), "
            "coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_n'), 0))"
        ).fetchone()
        return int(row[0])

    def _index(self, event: Submitted, job_id: str, first: int) -> None:
        spec = event.spec
        size = 1 if spec.array is None else len(spec.array.indices)
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
        if event.key is not None:
            self._sql.execute("INSERT INTO keys VALUES (?, ?)", (as_sql(event.key), job_id))

    def _keep(self, digest: str, variables: Mapping[str, str]) -> None:
        known = self._sql.execute(
            "SELECT 1 FROM environments WHERE digest = ?", (digest,)
        ).fetchone()
        if known is None:
            self._sql.execute(
                "INSERT INTO environments VALUES (?, ?)",
                (digest, self._sealer.seal(digest, variables)),
            )

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
        self._sql.executemany(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [
                ("last_n", str(self._last_n())),
                ("forgotten", str(self._reader.forgotten() + 1)),
            ],
        )
        rows = [(n,) for n in ns]
        arrays = {
            row[0]
            for n in ns
            for row in self._sql.execute(
                "SELECT array_id FROM jobs WHERE n = ? AND array_id IS NOT NULL", (n,)
            )
        }
        self._forget_keys("SELECT id FROM jobs WHERE n", ns)
        for table in ("tags", "dependencies"):
            self._sql.executemany(f"DELETE FROM {table} WHERE n = ?", rows)  # noqa: S608 - constant
        # The fact of an array stands at its first element, and stays while another is there.
        self._sql.executemany(
            "DELETE FROM journal WHERE n = ? AND (name <> 'Submitted' OR "
            "EXISTS (SELECT 1 FROM jobs WHERE jobs.n = journal.n AND array_id IS NULL))",
            rows,
        )
        self._sql.executemany("DELETE FROM jobs WHERE n = ?", rows)
        self._forget_arrays(
            [
                array_id
                for array_id in arrays
                if not self._sql.execute(
                    "SELECT 1 FROM jobs WHERE array_id = ? LIMIT 1", (array_id,)
                ).fetchone()
            ]
        )

    def _forget_arrays(self, array_ids: Sequence[str]) -> None:
        rows = [(array_id,) for array_id in array_ids]
        self._sql.executemany(
            "DELETE FROM journal WHERE seq = (SELECT spec_seq FROM arrays WHERE id = ?)", rows
        )
        self._forget_keys("SELECT id FROM arrays WHERE id", array_ids)
        self._sql.executemany("DELETE FROM arrays WHERE id = ?", rows)

    def _forget_keys(self, of: str, wanted: Sequence[object]) -> None:
        """Delete keys by whose they are, which no index tells: many in one pass over all."""
        for piece in pieces(wanted):
            self._sql.execute(
                f"DELETE FROM keys WHERE id IN ({of} IN ({marks(len(piece))}))",  # noqa: S608
                list(piece),
            )
