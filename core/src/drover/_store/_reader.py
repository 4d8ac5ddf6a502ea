"""What can be read from a store."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import frozen

from drover import machine
from drover._store._filter import JobFilter, as_sql, marks
from drover._store._sealing import Sealer
from drover._wire import UNREADABLE, decode_event, decode_record, decode_submitted
from drover.errors import AmbiguousJobError, UnknownJobError
from drover.events import Event, Submitted
from drover.models import JobRecord, Source
from drover.states import BY_WORD, ENDED, FINAL, PLACED, State

_COLUMNS: Final = "jobs.n, jobs.id, jobs.spec_seq, jobs.array_id, jobs.array_index, jobs.record"
_MANY: Final = 500
"""Parameters in one query. SQLite takes 32,766 at most; short queries share their plan."""
_FACTS: Final = 2048
"""Facts of submission that a reader keeps: an array's is asked for by each of its elements."""
_T = TypeVar("_T")
_UNFINISHED: Final = tuple(state.value for state in State if state not in ENDED)
_AWAITS: Final = (
    f"state = '{State.WAITING}' AND coalesce(json_extract(record, '$.dependencies_met'), 0) = 0"
)
"""What is left to a backend is met as far as the engine goes."""
_STAGING: Final = (State.STAGING_IN, State.STAGING_OUT)


@frozen(kw_only=True)
class JournalEntry:
    """One line of the journal."""

    seq: int
    """Grows; never used again."""
    job_id: str
    at: float
    """Seconds since 1970 UTC."""
    name: str
    """The fact's name, as in `drover.events`."""
    event: Event


def pieces(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Cut what one query cannot take."""
    for start in range(0, len(items), _MANY):
        yield items[start : start + _MANY]


class Reader:
    """Read from the store. Reading consumes nothing and takes no lock that hinders anybody."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer) -> None:
        self._sql = connection
        self._sealer = sealer
        self._facts: dict[int, Submitted] = {}
        self._environments: dict[str, Mapping[str, str]] = {}

    # Environments and specifications

    def environment(self, digest: str) -> Mapping[str, str]:
        """Read variables by their digest; empty if the store does not have them."""
        known = self._environments.get(digest)
        if known is None:
            row = self._sql.execute(
                "SELECT sealed FROM environments WHERE digest = ?", (digest,)
            ).fetchone()
            known = {} if row is None else self._sealer.open(digest, row[0])
            if len(self._environments) > 256:
                self._environments.clear()
            self._environments[digest] = known
        return known

    def _submitted(self, seq: int) -> Submitted:
        fact = self._facts.get(seq)
        if fact is None:
            at, data = self._sql.execute(
                "SELECT at, data FROM journal WHERE seq = ?", (seq,)
            ).fetchone()
            fact = self._decode_submitted(at, data)
            if len(self._facts) > _FACTS:
                self._facts.clear()
            self._facts[seq] = fact
        return fact

    def _read_ahead(self, seqs: Iterable[int]) -> None:
        """Read many facts at once: one query for 500 jobs, not one for each."""
        unknown = sorted({seq for seq in seqs if seq not in self._facts})
        if len(self._facts) + len(unknown) > _FACTS:
            self._facts.clear()
        for piece in pieces(unknown):
            rows = self._sql.execute(
                f"SELECT seq, at, data FROM journal WHERE seq IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
            for seq, at, data in rows:
                try:
                    self._facts[seq] = self._decode_submitted(at, data)
                except UNREADABLE as exc:
                    raise _damaged(f"line {seq} of the journal") from exc

    def _decode_submitted(self, at: float, data: str) -> Submitted:
        return decode_submitted(at, data, self.environment)[1]

    def _jobs(self, rows: Sequence[tuple[Any, ...]]) -> list[JobRecord]:
        out: list[JobRecord] = []
        for piece in pieces(rows):
            self._read_ahead(row[2] for row in piece)
            out.extend(map(self._job, piece))
        return out

    def _job(self, row: tuple[Any, ...]) -> JobRecord:
        n, job_id, seq, array_id, index, record = row
        try:
            made = machine.create(
                self._submitted(seq), job_id=job_id, n=n, array_id=array_id, array_index=index
            )
            return decode_record(made, record)
        except UNREADABLE as exc:
            raise _damaged(f"job {job_id!r}") from exc

    # Jobs

    def jobs_of(self, ns: Iterable[int]) -> list[JobRecord]:
        """Read jobs by position. Those that are not there are left out; order is by position."""
        out: list[JobRecord] = []
        for piece in pieces(sorted(set(ns))):
            rows = self._sql.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE n IN ({marks(len(piece))}) ORDER BY n",  # noqa: S608
                piece,
            ).fetchall()
            out.extend(self._jobs(rows))
        return out

    def job(self, job_id: str) -> JobRecord:
        """Read one job by its full id.

        Raises:
            UnknownJobError: There is none.
        """
        row = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id = ?",  # noqa: S608 - constant
            (job_id,),
        ).fetchone()
        if row is None:
            raise UnknownJobError(job_id)
        return self._job(row)

    def jobs_by_id(self, ids: Sequence[str]) -> dict[str, JobRecord]:
        """Read jobs by full ids. Those that are not there are left out."""
        out: dict[str, JobRecord] = {}
        for piece in pieces(ids):
            rows = self._sql.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE id IN ({marks(len(piece))})",  # noqa: S608
                piece,
            ).fetchall()
            out.update((job.id, job) for job in self._jobs(rows))
        return out

    def states_of(self, ids: Sequence[str]) -> dict[str, State]:
        """Read the states of jobs by full ids. Those that are not there are left out."""
        out: dict[str, State] = {}
        for piece in pieces(ids):
            rows = self._sql.execute(
                f"SELECT id, state FROM jobs WHERE id IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
            out.update((job_id, BY_WORD[state]) for job_id, state in rows)
        return out

    def resolve(self, prefix: str) -> tuple[str, bool]:
        """Find the id that begins with *prefix*.

        Returns:
            The full id, and whether it is an array's.

        Raises:
            UnknownJobError: None begins so.
            AmbiguousJobError: Several do.
        """
        # No id has another character; some of them have no successor, or are no Unicode.
        if not prefix or not prefix.isascii():
            raise UnknownJobError(prefix)
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        arrays = self._sql.execute(
            "SELECT id FROM arrays WHERE id >= ? AND id < ? LIMIT 6", (prefix, after)
        ).fetchall()
        clause = "id >= ? AND id < ?" + ("" if "." in prefix else " AND array_id IS NULL")
        exact = self._sql.execute("SELECT id FROM jobs WHERE id = ?", (prefix,)).fetchone()
        if exact:
            return exact[0], False
        jobs = self._sql.execute(
            f"SELECT id FROM jobs WHERE {clause} LIMIT 6",  # noqa: S608 - constant
            (prefix, after),
        ).fetchall()
        matches = [(row[0], True) for row in arrays] + [(row[0], False) for row in jobs]
        if not matches:
            raise UnknownJobError(prefix)
        if len(matches) > 1:
            raise AmbiguousJobError(prefix, [match[0] for match in matches])
        return matches[0]

    def listing(
        self, which: JobFilter, newest: int | None, after_n: int | None = None
    ) -> list[JobRecord]:
        """Read jobs, newest first."""
        where, values = which.where()
        if after_n is not None:
            where, values = f"{where} AND jobs.n < ?", [*values, after_n]
        limit = "" if newest is None else f" LIMIT {int(newest)}"
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE {where} ORDER BY n DESC{limit}",  # noqa: S608
            values,
        ).fetchall()
        return self._jobs(rows)

    def ids(self, which: JobFilter) -> list[str]:
        """Read the ids of jobs, oldest first."""
        where, values = which.where()
        rows = self._sql.execute(
            f"SELECT id FROM jobs WHERE {where} ORDER BY n",  # noqa: S608 - constant
            values,
        )
        return [row[0] for row in rows]

    def counts(self, which: JobFilter) -> dict[State, int]:
        """Count jobs by state; states without a job are left out."""
        where, values = which.where()
        rows = self._sql.execute(
            f"SELECT state, count(*) FROM jobs WHERE {where} GROUP BY state",  # noqa: S608
            values,
        )
        return {BY_WORD[state]: count for state, count in rows}

    def array(self, array_id: str) -> tuple[int, int, Submitted]:
        """Read an array: position of its first element, number of elements, its fact.

        Raises:
            UnknownJobError: There is none.
        """
        row = self._sql.execute(
            "SELECT first_n, size, spec_seq FROM arrays WHERE id = ?", (array_id,)
        ).fetchone()
        if row is None:
            raise UnknownJobError(array_id)
        return row[0], row[1], self._submitted(row[2])

    def by_key(self, key: str) -> str | None:
        """Find the id that a submission key belongs to."""
        row = self._sql.execute("SELECT id FROM keys WHERE key = ?", (as_sql(key),)).fetchone()
        return None if row is None else str(row[0])

    # The engine's questions

    def unsettled(self) -> list[JobRecord]:
        """Read the jobs that an engine must know of: placed, staging, or asked of something."""
        states = [state.value for state in (*PLACED, *_STAGING)]
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks(len(states))}) UNION "  # noqa: S608
            f"SELECT {_COLUMNS} FROM jobs WHERE asked IS NOT NULL",
            states,
        ).fetchall()
        return self._jobs(rows)

    def turns(
        self, backend: str, room: int, full_arrays: Sequence[str] = (), skip: Sequence[int] = ()
    ) -> list[JobRecord]:
        """Read jobs whose turn it is on a backend: higher priority first, then older first."""
        but = ""
        if full_arrays:
            but += f" AND (array_id IS NULL OR array_id NOT IN ({marks(len(full_arrays))}))"
        if skip:
            but += f" AND n NOT IN ({marks(len(skip))})"
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE backend = ? AND turn IS NOT NULL{but} "  # noqa: S608
            "ORDER BY priority DESC, n LIMIT ?",
            (backend, *full_arrays, *skip, room),
        ).fetchall()
        return self._jobs(rows)

    def due(self, now: float, limit: int = 1000) -> list[JobRecord]:
        """Read the jobs that wanted to be woken by now, in the order of their instants."""
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE wake_at <= ? ORDER BY wake_at LIMIT ?",  # noqa: S608
            (now, limit),
        ).fetchall()
        return self._jobs(rows)

    def delayed(self) -> list[JobRecord]:
        """Read the jobs whose next attempt waits out a delay, in order of position.

        Others that wait for a time may be among them, if few.
        """
        rows = self._sql.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE wake_at IS NOT NULL AND state = ? "  # noqa: S608
            "AND record LIKE '%\"attempt\":%' ORDER BY n",
            (State.WAITING.value,),
        ).fetchall()
        return [self._job(row) for row in rows]

    def next_wake(self) -> float | None:
        """Give the earliest instant at which a job wants to be woken."""
        row = self._sql.execute(
            "SELECT min(wake_at) FROM jobs WHERE wake_at IS NOT NULL"
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def backends_with_turns(self) -> list[str]:
        """List backends that have a job whose turn it is, by name."""
        out: list[str] = []
        after = ""
        while True:
            # One step in the index per backend, however many jobs each has.
            row = self._sql.execute(
                "SELECT min(backend) FROM jobs WHERE turn IS NOT NULL AND backend > ?", (after,)
            ).fetchone()
            if row[0] is None:
                return out
            after = str(row[0])
            out.append(after)

    def has_any(self, state: State) -> bool:
        """Tell whether a job is in a state."""
        row = self._sql.execute(
            "SELECT 1 FROM jobs WHERE state = ? LIMIT 1", (state.value,)
        ).fetchone()
        return row is not None

    def has_unfinished(self) -> bool:
        """Tell whether an engine has anything left to do, now or at a later instant."""
        row = self._sql.execute(
            f"SELECT 1 FROM jobs WHERE state IN ({marks(len(_UNFINISHED))}) LIMIT 1",  # noqa: S608
            _UNFINISHED,
        ).fetchone()
        return row is not None or self._is_asked()

    def _is_asked(self) -> bool:
        row = self._sql.execute("SELECT 1 FROM jobs WHERE asked IS NOT NULL LIMIT 1").fetchone()
        return row is not None

    def stuck(self) -> list[int]:
        """List jobs with an unmet dependency on one that has ended or is gone, or on an array.

        They are left behind where somebody said how a LOST job ended while no engine worked.
        """
        final = [state.value for state in FINAL]
        rows = self._sql.execute(
            "SELECT DISTINCT n FROM dependencies WHERE met = 0 AND (on_id IN "  # noqa: S608
            "(SELECT id FROM arrays) OR NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = on_id "
            f"AND jobs.state NOT IN ({marks(len(final))})))",
            final,
        )
        return [row[0] for row in rows]

    def asked_since(self, seq: int) -> tuple[int, list[int]]:
        """Find what clients have written since.

        Returns:
            The last sequence number, and the positions of jobs that clients asked
            something of.
        """
        rows = self._sql.execute(
            "SELECT seq, n, name FROM journal WHERE seq > ? AND epoch = 0", (seq,)
        ).fetchall()
        last = self._sql.execute("SELECT max(seq) FROM journal").fetchone()[0] or seq
        return last, [n for _, n, name in rows if name != "Submitted"]

    def positions(self, ids: Sequence[str]) -> dict[str, tuple[int, State]]:
        """Read positions and states of jobs by full ids. Those not there are left out."""
        out: dict[str, tuple[int, State]] = {}
        for piece in pieces(ids):
            rows = self._sql.execute(
                f"SELECT id, n, state FROM jobs WHERE id IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
            out.update((job_id, (n, BY_WORD[state])) for job_id, n, state in rows)
        return out

    def elements(self, array_id: str) -> list[tuple[str, int, State]]:
        """Read the elements of an array: id, position, state; in the order of positions."""
        rows = self._sql.execute(
            "SELECT id, n, state FROM jobs WHERE array_id = ? ORDER BY n", (array_id,)
        )
        return [(job_id, n, BY_WORD[state]) for job_id, n, state in rows]

    def placements(self, array_id: str) -> list[tuple[int, State, int, str, bool]]:
        """Read where the elements of an array are: thousands at once, and no more than that.

        Returns:
            Index, state, attempt, native id or "", whether its exit record was seen; in order.
        """
        rows = self._sql.execute(
            "SELECT array_index, state, coalesce(json_extract(record, '$.attempt'), 1), "
            "coalesce(json_extract(record, '$.native_id'), ''), "
            "coalesce(json_extract(record, '$.outcome.evidence'), '') LIKE ? "
            "FROM jobs WHERE array_id = ? ORDER BY n",
            (f'%"{Source.EXIT_RECORD}"%', array_id),
        )
        return [
            (index, BY_WORD[word], number, at, bool(seen)) for index, word, number, at, seen in rows
        ]

    def states_at(self, ns: Sequence[int]) -> dict[int, State]:
        """Read the states of jobs by position. Those not there are left out."""
        out: dict[int, State] = {}
        for piece in pieces(ns):
            rows = self._sql.execute(
                f"SELECT n, state FROM jobs WHERE n IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
            out.update((n, BY_WORD[state]) for n, state in rows)
        return out

    def forgotten(self) -> int:
        """Count how often jobs were forgotten."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = 'forgotten'").fetchone()
        return 0 if row is None else int(row[0])

    def ends_since(self, seq: int) -> tuple[int, list[int]]:
        """Find the jobs that may have ended since.

        Returns:
            The last sequence number, and their positions.
        """
        rows = self._sql.execute(
            "SELECT n FROM journal WHERE seq > ? AND name IN ('Ended', 'Resolved')", (seq,)
        ).fetchall()
        return self.last_seq(), [row[0] for row in rows]

    def settlements_since(self, seq: int) -> tuple[int, list[tuple[int, Event]]]:
        """Find the requests that were settled since.

        Returns:
            The last sequence number, and positions with the fact.
        """
        rows = self._sql.execute(
            "SELECT n, at, name, data FROM journal WHERE seq > ? AND name = 'ControlSettled'",
            (seq,),
        ).fetchall()
        facts = [(n, decode_event(name, at, data)) for n, at, name, data in rows]
        return self.last_seq(), facts

    def dependents_of(self, ids: Sequence[str]) -> list[tuple[int, str, str]]:
        """List unmet dependencies on jobs or arrays: position, id, condition."""
        out: list[tuple[int, str, str]] = []
        for piece in pieces(ids):
            out.extend(
                self._sql.execute(
                    "SELECT n, on_id, condition FROM dependencies WHERE met = 0 AND on_id IN "  # noqa: S608
                    f"({marks(len(piece))})",
                    piece,
                )
            )
        return out

    def awaited(self, jobs: Sequence[JobRecord]) -> set[int]:
        """Pick those that others wait for which have not ended, alone or in their array: by
        position.
        """
        names = sorted({name for job in jobs for name in (job.id, job.array_id) if name})
        over = [state.value for state in ENDED]
        found = {
            row[0]
            for piece in pieces(names)
            for row in self._sql.execute(
                "SELECT DISTINCT on_id FROM dependencies JOIN jobs USING (n) WHERE met = 0 AND "  # noqa: S608
                f"on_id IN ({marks(len(piece))}) AND state NOT IN ({marks(len(over))})",
                [*piece, *over],
            )
        }
        return {job.n for job in jobs if not found.isdisjoint((job.id, job.array_id))}

    def waiting_for(self, ids: Sequence[str]) -> list[tuple[int, str]]:
        """List the jobs that the engine lets wait for jobs or arrays: position, id."""
        out: list[tuple[int, str]] = []
        for piece in pieces(ids):
            out.extend(
                self._sql.execute(
                    "SELECT DISTINCT jobs.n, jobs.id FROM dependencies JOIN jobs USING (n) "  # noqa: S608
                    f"WHERE met = 0 AND on_id IN ({marks(len(piece))}) AND {_AWAITS}",
                    piece,
                )
            )
        return out

    def dependencies_of(self, n: int) -> list[tuple[str, str]]:
        """List the unmet dependencies of a job: id, condition."""
        return self._sql.execute(
            "SELECT on_id, condition FROM dependencies WHERE n = ? AND met = 0", (n,)
        ).fetchall()

    def is_array(self, ids: Sequence[str]) -> set[str]:
        """Pick the ids that are arrays'."""
        return {
            row[0]
            for piece in pieces(ids)
            for row in self._sql.execute(
                f"SELECT id FROM arrays WHERE id IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
        }

    def has_state(self, array_id: str, states: Iterable[State]) -> bool:
        """Tell whether an element of an array is in one of these states."""
        words = [state.value for state in states]
        row = self._sql.execute(
            f"SELECT 1 FROM jobs WHERE array_id = ? AND state IN ({marks(len(words))}) LIMIT 1",  # noqa: S608
            (array_id, *words),
        ).fetchone()
        return row is not None

    def watched(self, tokens: Sequence[str]) -> set[str]:
        """Pick the tokens that were closed."""
        return {
            row[0]
            for piece in pieces(tokens)
            for row in self._sql.execute(
                f"SELECT token FROM closed WHERE token IN ({marks(len(piece))})",  # noqa: S608
                piece,
            )
        }

    # The journal

    def last_seq(self) -> int:
        """Give the sequence number of the newest line; 0 for an empty journal."""
        return int(self._sql.execute("SELECT max(seq) FROM journal").fetchone()[0] or 0)

    def history(self, job: JobRecord) -> list[JournalEntry]:
        """Read the lines about one job, in order."""
        rows = self._sql.execute(
            "SELECT seq, n, at, name, data FROM journal WHERE n = ? AND name <> 'Submitted' "
            "UNION SELECT seq, n, at, name, data FROM journal WHERE seq = "
            "(SELECT spec_seq FROM jobs WHERE n = ?) ORDER BY seq",
            (job.n, job.n),
        ).fetchall()
        return [self._entry(row, job.id) for row in rows]

    def entries(self, since: int, limit: int | None) -> list[JournalEntry]:
        """Read lines after a sequence number, in order. One of an array has the array's id."""
        rows = self._sql.execute(
            "SELECT journal.seq, journal.n, journal.at, journal.name, journal.data, jobs.id "
            "FROM journal LEFT JOIN jobs ON jobs.n = journal.n "
            "WHERE journal.seq > ? ORDER BY journal.seq LIMIT ?",
            (since, -1 if limit is None else limit),
        ).fetchall()
        return [self._entry(row[:5], row[5] or "") for row in rows]

    def _entry(self, row: tuple[Any, ...], job_id: str) -> JournalEntry:
        seq, _n, at, name, data = row
        event: Event
        try:
            if name == "Submitted":
                job_id, event = decode_submitted(at, data, self.environment)
            else:
                event = decode_event(name, at, data)
        except UNREADABLE as exc:
            raise _damaged(f"line {seq} of the journal") from exc
        return JournalEntry(seq=seq, job_id=job_id, at=at, name=name, event=event)

    def replayed(self) -> Iterator[tuple[JobRecord, JobRecord]]:
        """Replay the journal from its beginning.

        Returns:
            Pairs for every job: as replayed, and as projected.
        """
        rebuilt: dict[int, JobRecord] = {}
        for seq, n, at, name, data in self._sql.execute(
            "SELECT seq, n, at, name, data FROM journal ORDER BY seq"
        ):
            try:
                if name == "Submitted":
                    rebuilt.update(self._births(n, at, data))
                elif n in rebuilt:
                    rebuilt[n] = machine.apply(rebuilt[n], decode_event(name, at, data))
            except UNREADABLE as exc:
                raise _damaged(f"line {seq} of the journal") from exc
        cursor = self._sql.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY n")  # noqa: S608
        for row in cursor.fetchall():
            projected = self._job(row)
            yield rebuilt[projected.n], projected

    def _births(self, n: int, at: float, data: str) -> dict[int, JobRecord]:
        job_id, event = decode_submitted(at, data, self.environment)
        if event.spec.array is None:
            return {n: machine.create(event, job_id=job_id, n=n)}
        return {
            n + k: machine.create(
                event, job_id=f"{job_id}.{index}", n=n + k, array_id=job_id, array_index=index
            )
            for k, index in enumerate(event.spec.array.indices)
        }


def _damaged(what: str) -> sqlite3.DatabaseError:
    return sqlite3.DatabaseError(f"database disk image is malformed: {what} cannot be read")
