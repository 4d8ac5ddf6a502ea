"""The controller's memory: the records of jobs, and how they were a while ago."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import define, evolve, field

from drover.testing.scheduler.slurm._job import Array, Job
from drover.testing.scheduler.slurm._words import State

KEEP_S: Final = 600.0
"""For how long it is remembered how a record was."""

Watcher = Callable[[Job, Job | None], None]
"""Is given a record as it is now and as it was before; `None` if it is new."""


@define(eq=False)
class Entry:
    """One record through time."""

    past: list[tuple[float, Job]] = field(factory=list[tuple[float, Job]])
    gone_at: float | None = None
    """When it left the memory."""

    @property
    def now(self) -> Job:
        """Give it as it is."""
        return self.past[-1][1]

    def become(self, at: float, job: Job) -> None:
        """Be something else from an instant on."""
        # A large array changes with each of its tasks: what nobody can see is not kept.
        if self.past[-1][0] == at:
            self.past.pop()
        while len(self.past) > 1 and self.past[1][0] < at - KEEP_S:
            self.past.pop(0)
        self.past.append((at, job))

    def at(self, instant: float) -> Job | None:
        """Give it as it was; `None` if it was not there yet, or no more."""
        if self.gone_at is not None and self.gone_at <= instant:
            return None
        return next((job for since, job in reversed(self.past) if since <= instant), None)


class Memory:
    """All records, by a serial number that is never handed out again."""

    def __init__(self, first_id: int) -> None:
        self.next_id = first_id
        """The id of the next job."""
        self._serial = 0
        self._entries: Final[dict[int, Entry]] = {}
        self._by_id: Final[dict[int, dict[int, None]]] = {}
        """By the id of a job or of its array: the serial numbers of its records, in order."""
        self._waiting: Final[dict[int, None]] = {}
        """The serial numbers of those that wait, in order."""
        self._count = 0
        self.watchers: Final[list[Watcher]] = []

    def new_id(self) -> int:
        """Hand out an id."""
        self.next_id += 1
        return self.next_id - 1

    def new_serial(self) -> int:
        """Hand out a serial number."""
        self._serial += 1
        return self._serial

    # --- changes -------------------------------------------------------------------------------

    def add(self, job: Job, at: float) -> Job:
        """Take a new record in."""
        self._entries[job.serial] = Entry([(at, job)])
        for number in (job.job_id, job.base_id):
            self._by_id.setdefault(number, {})[job.serial] = None
        self._note(job, None)
        self._tell(job, None)
        return job

    def change(self, job: Job, at: float, **changes: Any) -> Job:
        """Change the record that *job* is of, as it is now."""
        entry = self._entries[job.serial]
        before = entry.now
        entry.become(at, evolve(before, **changes))
        self._note(entry.now, before)
        self._tell(entry.now, before)
        return entry.now

    def split(self, job: Job, task: int, at: float) -> Job:
        """Make a task of an array a record of its own. The last one keeps the array's id."""
        array = job.array
        assert array is not None, "only an array can be split"
        rest = tuple(index for index in array.waiting if index != task)
        alone = evolve(array, task=task, waiting=())
        if not rest:
            return self.change(job, at, array=alone)
        self.change(job, at, array=evolve(array, waiting=rest))
        return self.add(
            evolve(job, serial=self.new_serial(), job_id=self.new_id(), array=alone), at
        )

    def shrink(self, job: Job, tasks: frozenset[int], at: float) -> None:
        """Let tasks that wait vanish: Slurm keeps no record of them."""
        array = job.array
        assert array is not None, "only an array can shrink"
        rest = tuple(index for index in array.waiting if index not in tasks)
        self.change(job, at, array=evolve(array, waiting=rest))

    def forget(self, job: Job, at: float) -> None:
        """Let a record leave the memory; those who look back still see it."""
        entry = self._entries[job.serial]
        entry.gone_at = at
        self._note(None, entry.now)

    def lose(self, job: Job) -> None:
        """Drop a record as if it had never been: what a crash does."""
        self._note(None, self._entries.pop(job.serial).now)
        self._drop(job)

    def _note(self, job: Job | None, before: Job | None) -> None:
        """Keep the count, and who waits."""
        self._count += _size(job) - _size(before)
        if job is not None and job.state is State.PENDING:
            self._waiting[job.serial] = None
        elif before is not None:
            self._waiting.pop(before.serial, None)

    def _drop(self, job: Job) -> None:
        for number in {job.job_id, job.base_id}:
            serials = self._by_id.get(number, {})
            serials.pop(job.serial, None)
            if not serials:
                self._by_id.pop(number, None)

    def _tell(self, job: Job, before: Job | None) -> None:
        for watcher in list(self.watchers):
            watcher(job, before)

    # --- looking -------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count the records in memory, as MaxJobCount does: each task of an array is one."""
        return self._count

    def now(self, job: Job) -> Job | None:
        """Give a record as it is now; `None` if it has left the memory."""
        entry = self._entries.get(job.serial)
        return entry.now if entry and entry.gone_at is None else None

    def all(self, as_of: float | None = None) -> Iterator[Job]:
        """Give all records, by id; as they are now, or as they were."""
        for entry in list(self._entries.values()):
            if as_of is None:
                if entry.gone_at is None:
                    yield entry.now
            elif (job := entry.at(as_of)) is not None:
                yield job

    def waiting(self) -> list[Job]:
        """Give those that wait, oldest first."""
        return [self._entries[serial].now for serial in self._waiting]

    def named(self, number: int) -> list[Job]:
        """Give those that bear an id, or whose array does."""
        entries = [self._entries[serial] for serial in self._by_id.get(number, ())]
        return [entry.now for entry in entries if entry.gone_at is None]

    def sweep(self, before: float) -> None:
        """Drop for good what left the memory so long ago that nobody looks back."""
        old = [
            serial
            for serial, entry in self._entries.items()
            if entry.gone_at is not None and entry.gone_at < before
        ]
        for serial in old:
            self._drop(self._entries.pop(serial).now)


def _size(job: Job | None) -> int:
    return 0 if job is None else len(job.waiting) or 1


def whole_array(job_id: int, tasks: tuple[int, ...], throttle: int) -> Array:
    """Make the record part of a new array."""
    step = tasks[1] - tasks[0] if len(tasks) > 1 else 1
    return Array(
        job_id=job_id,
        waiting=tasks,
        throttle=throttle,
        count=len(tasks),
        lowest=min(tasks),
        highest=max(tasks),
        step=step,
    )
