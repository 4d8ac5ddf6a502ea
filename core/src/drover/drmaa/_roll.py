"""The jobs of a session: which go on, which have ended, which were reaped."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from drover.drmaa._reaped import Reaped
from drover.drmaa.vocabulary import InvalidJobException, fault
from drover.models import JobRecord
from drover.session import Session
from drover.states import ENDED, State

TAG: Final = "drmaa:"
"""Before a session's key, the tag of its jobs: by it they are found again."""


class Roll:
    """Keep the jobs of one session. Used from several threads."""

    def __init__(self, session: Session, key: str) -> None:
        self._session: Final = session
        self.tag: Final = TAG + key
        # A handler of signals may ask while the call that it interrupted holds it.
        self._lock = threading.RLock()
        self._reaped = Reaped(session.home, key)
        self._pending: dict[str, int] = {}
        """Position in the store by id."""
        self._by_n: dict[int, str] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()
        """In the order in which they were seen to have ended."""
        with session.store.read() as reader:
            self._seq, self._forgotten = reader.last_seq(), reader.forgotten()
        known = session.jobs(tag=self.tag, newest=None)
        self._place((job.id, job.n, job.record.state) for job in reversed(known))

    def close(self) -> None:
        """Let go of the file of reaped jobs."""
        self._reaped.close()

    def add(self, ids: Sequence[str]) -> None:
        """Take in jobs that were just submitted."""
        with self._lock, self._session.store.read() as reader:
            known = reader.positions(ids)
            self._place((job_id, *known[job_id]) for job_id in ids if job_id in known)

    def _place(self, rows: Iterable[tuple[str, int, State]]) -> None:
        for job_id, n, state in rows:
            if job_id in self._reaped:
                continue  # A session that goes on for months has many, and few that matter.
            if state in ENDED:
                self._ended[job_id] = n
            else:
                self._pending[job_id] = n
                self._by_n[n] = job_id

    def open_ids(self) -> list[str]:
        """List the jobs that have not ended."""
        with self._lock:
            self._look()
            return list(self._pending)

    def ids(self) -> list[str]:
        """List the jobs that were not reaped."""
        with self._lock:
            return [*self._ended, *self._pending]

    def refuse_reaped(self, job_id: str) -> None:
        """Refuse a job whose record is gone.

        Raises:
            InvalidJobException: It was reaped.
        """
        if job_id in self._reaped:
            raise fault(InvalidJobException, f"job {job_id!r} was waited for already")

    def all_ended(self, ids: Iterable[str]) -> bool:
        """Tell whether none of these goes on. Those of others, and unknown ones, count as ended."""
        with self._lock:
            self._look()
            return self._pending.keys().isdisjoint(ids)

    def dispose(self, ids: Iterable[str]) -> None:
        """Reap those of these jobs that have ended."""
        with self._lock:
            for job_id in ids:
                if job_id in self._ended:
                    self._reaped.claim(job_id)
                    self._ended.pop(job_id, None)

    def reap(self, job_id: str | None) -> JobRecord | None:
        """Take a job that has ended out of the session.

        Args:
            job_id: Which; `None`: any.

        Returns:
            Its record; `None` if none has ended yet.

        Raises:
            InvalidJobException: It is not there to be waited for; or for any, none is left.
        """
        with self._lock:
            self._look()
            if job_id is None:
                while self._ended:
                    record = self._claim(next(iter(self._ended)))
                    if record is not None:
                        return record
                if self._pending:
                    return None
                raise fault(InvalidJobException, "the session has no job that was not waited for")
            record = self._claim(job_id) if job_id in self._ended else None
            if record is not None or job_id in self._pending:
                return record
        self.refuse_reaped(job_id)
        raise fault(InvalidJobException, f"the session has no job {job_id!r}")

    def _claim(self, job_id: str) -> JobRecord | None:
        with self._session.store.read() as reader:
            record = reader.jobs_by_id([job_id]).get(job_id)
        if record is not None and not record.state.ends_wait:
            # Somebody has opened another attempt.
            self._ended.pop(job_id, None)
            self._place([(job_id, record.n, record.state)])
            return None
        mine = self._reaped.claim(job_id)
        self._ended.pop(job_id, None)
        # One that was purged has no record any more.
        return record if mine else None

    def _look(self) -> None:
        """Read what has ended since the last look."""
        with self._session.store.read() as reader:
            self._seq, ns = reader.ends_since(self._seq)
            ours = [n for n in dict.fromkeys(ns) if n in self._by_n]
            if self._forgotten != (forgotten := reader.forgotten()):
                # The end of a job that is forgotten stands nowhere any more: ask for each.
                self._forgotten, ours = forgotten, list(self._by_n)
            states = reader.states_at(ours)
        for n in ours:
            if n in states and not states[n].ends_wait:
                continue
            job_id = self._by_n.pop(n, None)
            if job_id is None:
                continue
            self._pending.pop(job_id, None)
            if n in states:
                self._ended[job_id] = n
