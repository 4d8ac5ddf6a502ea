"""The jobs that the engine works on, and the facts of the round that is under way."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from drover import machine
from drover.errors import IllegalTransitionError
from drover.events import AttemptEvent, Ended, Event, EvidenceNoted
from drover.models import JobRecord
from drover.states import ENDED, PLACED, State

_log: Final = logging.getLogger(__name__)

_KEPT: Final = PLACED | {State.STAGING_IN, State.STAGING_OUT}
_UNSTARTED: Final = frozenset({State.SUBMITTING, State.QUEUED})


class Desk:
    """Hold the records of live jobs and collect facts until they are committed."""

    def __init__(self, retry_delay: Callable[[JobRecord, Ended], Ended]) -> None:
        self.jobs: Final[dict[int, JobRecord]] = {}
        self.tokens: Final[dict[str, int]] = {}
        self.unstarted: Final[Counter[str]] = Counter()
        """Attempts handed to a backend that have not started, by backend."""
        self.placed: Final[Counter[str]] = Counter()
        """Elements that are placed, by array."""
        self.facts: list[tuple[int, Event]] = []
        self.dirty: dict[int, None] = {}
        self.touched: dict[int, None] = {}
        self.due: dict[int, None] = {}
        """Touched, and not looked at since for what is due."""
        self.ended: list[JobRecord] = []
        self._retry_delay = retry_delay

    def put(self, job: JobRecord) -> None:
        """Lay a record on the desk, in the place of an older one."""
        old = self.jobs.get(job.n)
        if old is job:
            return
        self.jobs[job.n] = job
        if old is None or old.token != job.token:
            if old is not None and self.tokens.get(old.token) == job.n:
                del self.tokens[old.token]
            if job.token:
                self.tokens[job.token] = job.n
        if old is None:
            self._count(job, 1)
        elif old.state is not job.state:
            self._count(old, -1)
            self._count(job, 1)

    def drop(self, n: int) -> None:
        """Take a record off the desk."""
        job = self.jobs.pop(n, None)
        if job is not None:
            if self.tokens.get(job.token) == n:
                del self.tokens[job.token]
            self._count(job, -1)

    def _count(self, job: JobRecord, step: int) -> None:
        if job.state in _UNSTARTED:
            self.unstarted[job.backend] += step
        if job.array_id is not None and job.state in _KEPT:
            self.placed[job.array_id] += step
            if not self.placed[job.array_id]:
                del self.placed[job.array_id]

    def touch(self, job: JobRecord) -> None:
        """Lay a record on the desk and look at it in this round."""
        self.put(job)
        self.touched[job.n] = self.due[job.n] = None

    def tell(self, n: int, *events: Event) -> JobRecord:
        """Fold facts into a job. One that does not fit is noted and moves nothing.

        Returns:
            The record after them.
        """
        job = self.jobs[n]
        for event in events:
            if isinstance(event, Ended) and not event.outcome.succeeded:
                event = self._retry_delay(job, event)  # noqa: PLW2901 - a policy decides
            try:
                after = machine.apply(job, event)
            except IllegalTransitionError as exc:
                _log.error("%s", exc)
                attempt = event.attempt if isinstance(event, AttemptEvent) else job.attempt
                event = EvidenceNoted(  # noqa: PLW2901 - recorded instead
                    at=event.at, attempt=min(attempt, job.attempt), what=str(exc)
                )
                after = job
            self.facts.append((n, event))
            if after.state in ENDED and job.state is not after.state:
                self.ended.append(after)
            job = after
        self.put(job)
        self.dirty[n] = self.touched[n] = self.due[n] = None
        return job

    def clear_round(self) -> None:
        """Forget what the round that was committed had touched; keep live jobs."""
        for n in self.touched:
            job = self.jobs.get(n)
            if job is not None and job.state not in _KEPT and not job.pending:
                self.drop(n)
        self.touched.clear()
        self.due.clear()

    def abandon_round(self) -> None:
        """Forget a round that was not committed."""
        for collection in (self.facts, self.ended):
            collection.clear()
        self.dirty.clear()
        self.touched.clear()
        self.due.clear()
        self.jobs.clear()
        self.tokens.clear()
        self.unstarted.clear()
        self.placed.clear()
