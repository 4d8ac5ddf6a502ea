"""Job ids as users write them, and the records that they mean."""

import re
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._job import Job


@frozen
class Named:
    """What an id means: a record, and of an array that waits the tasks."""

    job: Job
    tasks: frozenset[int] | None = None
    """`None`: the whole record."""


class Ids:
    """A list of ids, of which many are looked for at once: `17`, `17_3`, `17_*`, `17.batch`."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take ids whose form was checked."""
        self._numbers: Final[set[int]] = set()
        self._tasks: Final[dict[int, set[int]]] = {}
        for text in texts:
            base, _, task = text.partition(".")[0].partition("_")
            if task.isdigit():
                self._tasks.setdefault(int(base), set()).add(int(task))
            else:
                self._numbers.add(int(base))

    def means(self, job: Job) -> bool:
        """Tell whether a record is meant, or one of the tasks in it."""
        if job.job_id in self._numbers or job.base_id in self._numbers:
            return True
        tasks = self._tasks.get(job.base_id)
        if not tasks or job.array is None:
            return False
        return job.array.task in tasks or not tasks.isdisjoint(job.waiting)

    def tasks_of(self, job: Job) -> list[int] | None:
        """Give the tasks that are meant of a record that waits; `None`: it is meant as a whole."""
        tasks = self._tasks.get(job.base_id)
        if tasks is None or job.job_id in self._numbers or job.base_id in self._numbers:
            return None
        return [task for task in job.waiting if task in tasks]


def is_id(text: str) -> bool:
    """Tell whether it has the form of an id: `17`, `17_3`, `17_[2-4,7]`, `17.batch`."""
    return bool(re.fullmatch(r"\d+(?:_(?:\d+|\[[\d,:-]+(?:%\d+)?\]|\*))?(?:\.\w+)?", text))


def named(controller: Controller, text: str) -> list[Named]:
    """Find what an id means; empty if there is none such. An array's id means all its records."""
    base, _, part = text.partition(".")[0].partition("_")
    number = int(base)
    found: list[Named] = []
    wanted = _tasks(part) if part and part != "*" else None
    for job in controller.memory.named(number):
        if wanted is None:
            found.append(Named(job))
        elif job.array is not None and job.base_id == number:
            if job.array.task in wanted:
                found.append(Named(job))
            elif waiting := wanted & set(job.waiting):
                found.append(Named(job, frozenset(waiting)))
    return found


def _tasks(text: str) -> set[int]:
    found: set[int] = set()
    for piece in text.strip("[]").partition("%")[0].split(","):
        span, _, step = piece.partition(":")
        low, _, high = span.partition("-")
        found.update(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


def own_record(controller: Controller, one: Named, at: float) -> list[Job]:
    """Give a record of its own to each task that is meant, as a hold or a requeue does."""
    if one.tasks is None:
        return [one.job]
    records: list[Job] = []
    for task in sorted(one.tasks):
        current = controller.memory.now(one.job)
        if current is not None and task in current.waiting:
            records.append(controller.memory.split(current, task, at))
        elif current is not None:
            records.append(current)
    return records
