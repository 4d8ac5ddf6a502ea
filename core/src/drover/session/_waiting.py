"""Wait for jobs to end."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from drover._store import JobFilter, Reader
from drover.session._job import Job, JobArray
from drover.session._watch import Watch
from drover.states import ENDED, State

if TYPE_CHECKING:
    from drover.session._session import Session

MANY: Final = 64
"""Pending jobs above which ends are taken in by the handful: a look costs as much as ten ends."""
JobLike = Job | JobArray | str


def listed(jobs: Iterable[JobLike] | JobLike) -> Iterable[JobLike]:
    """Make many of one."""
    return [jobs] if isinstance(jobs, Job | JobArray | str) else jobs


class Waiter:
    """Follow the ends of some jobs."""

    def __init__(self, session: "Session", jobs: Iterable[JobLike]) -> None:
        self._session = session
        self._by_n: dict[int, str] = {}
        self.order: list[str] = []
        self._ended: dict[str, None] = {}
        self._lost_seen = True
        with session.store.read() as reader:
            self._seq = reader.last_seq()
            self._forgotten = reader.forgotten()
            for job_id, n, state in _positions(reader, jobs):
                self.order.append(job_id)
                if state in ENDED:
                    self._ended[job_id] = None
                else:
                    self._by_n[n] = job_id

    @property
    def pending(self) -> bool:
        """Tell whether a job has not ended."""
        return bool(self._by_n)

    def sorted(self, ended: Collection[str]) -> tuple[list[Job], list[Job]]:
        """Sort its jobs into those that have ended and those that have not, as they were given."""
        done = [Job(self._session, job_id) for job_id in self.order if job_id in ended]
        return done, [Job(self._session, job_id) for job_id in self.order if job_id not in ended]

    def take_ended(self) -> list[str]:
        """Give the ids of jobs that have ended and were not given yet."""
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def look(self) -> bool:
        """Read what has ended since.

        Returns:
            Whether anything of ours has.
        """
        with self._session.store.read() as reader:
            self._seq, ns = reader.ends_since(self._seq)
            ours = [n for n in dict.fromkeys(ns) if n in self._by_n]
            if self._forgotten != (forgotten := reader.forgotten()):
                # The end of a job that is forgotten stands nowhere any more: ask for each.
                self._forgotten, self._lost_seen, ours = forgotten, True, list(self._by_n)
            states = reader.states_at(ours)
            if len(ns) > len(ours):
                self._lost_seen = True
        for n in ours:
            if n not in states or states[n].ends_wait:
                self._ended[self._by_n.pop(n)] = None
                self._lost_seen |= states.get(n) is State.LOST
        return bool(self._ended)

    def all_blocked(self) -> bool:
        """Tell whether every pending job is behind a LOST one, so that none can end."""
        if not self._lost_seen:
            return False
        self._lost_seen = False
        with self._session.store.read() as reader:
            return reader.has_any(State.LOST) and self._by_n.keys() <= _blocked(reader)

    def run(self, deadline: float | None, *, until_any: bool) -> Iterator[list[str]]:
        """Give the ids of jobs as they end, until all have, or nothing more can be expected."""
        store = self._session.store
        first = self.take_ended()
        if first:
            yield first
            if until_any:
                return
        watch = Watch(store, self._session.care)
        try:
            while self._by_n and not self.all_blocked():
                if deadline is not None and store.clock.monotonic() >= deadline:
                    return
                if not self.look():
                    watch.wait(deadline)
                    self.look()
                ended = self.take_ended()
                if ended:
                    yield ended
                    if until_any:
                        return
                if len(self._by_n) > MANY:
                    watch.rest()
        finally:
            watch.close()


def _positions(reader: Reader, jobs: Iterable[JobLike]) -> Iterator[tuple[str, int, State]]:
    asked = list(jobs)
    ids = [job if isinstance(job, str) else job.id for job in asked]
    known = reader.positions(ids)
    for job, job_id in zip(asked, ids, strict=True):
        found = known.get(job_id)
        if found is not None:
            yield job_id, *found
            continue
        full, is_array = (
            reader.resolve(job) if isinstance(job, str) else (job_id, isinstance(job, JobArray))
        )
        if is_array:
            yield from reader.elements(full)
            continue
        record = reader.job(full)  # Says that there is none, of a handle.
        yield full, record.n, record.state


def _blocked(reader: Reader) -> set[int]:
    """Find the jobs that wait behind a LOST one, directly or through others: their positions."""
    found: set[int] = set()
    behind = reader.ids(JobFilter(states=(State.LOST,)))
    while behind:
        # Who waits for an array waits for each of its elements.
        names = {job_id.partition(".")[0] for job_id in behind}.union(behind)
        more = [row for row in reader.waiting_for(sorted(names)) if row[0] not in found]
        found.update(n for n, _ in more)
        behind = [job_id for _, job_id in more]
    return found


def blockers_of(reader: Reader, job_id: str) -> list[str]:
    """List the LOST jobs behind which a job waits, directly or through others."""
    lost: list[str] = []
    seen: set[str] = {job_id}
    stack = [(job_id, *at) for at in reader.positions([job_id]).values()]
    while stack:
        current, n, state = stack.pop()
        if state is State.LOST:
            lost.append(current)
        elif state is State.WAITING and not reader.jobs_of([n])[0].dependencies_met:
            for on_id, _ in reader.dependencies_of(n):
                if on_id not in seen:
                    seen.add(on_id)
                    # One that was deleted is neither: the engine judges without it.
                    stack += reader.elements(on_id)
                    stack += [(on_id, *at) for at in reader.positions([on_id]).values()]
    return list(dict.fromkeys(lost))
