"""What the machine has to give, and who is next.

The order is strict: priority, then age. A job that does not fit reserves what it can have of
what is free; a later one may go ahead only on what then remains. So nothing starves, and what the
waiting job has no use for (cpus beyond its own, while it waits for a GPU) is not idle.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

_NO_LIMIT: Final = 2**62


class Needs:
    """What one job takes while it runs."""

    __slots__ = ("cpus", "exclusive", "gpus", "is_plain", "memory")

    def __init__(
        self, cpus: int = 1, memory: int = 0, gpus: int = 0, *, exclusive: bool = False
    ) -> None:
        self.cpus, self.memory, self.gpus, self.exclusive = cpus, memory, gpus, exclusive
        self.is_plain = not gpus and not exclusive

    def fits(self, slots: "Slots") -> bool:
        """Tell whether what it asks of processors and memory is free."""
        return self.cpus <= slots.free_cpus and self.memory <= slots.free_memory


class Candidate(Protocol):
    """A job that waits for its turn."""

    order: tuple[int, int, int]
    needs: Needs
    held: bool


class Slots:
    """Count what is free. GPUs and, where asked for, cpus are handed out by name."""

    def __init__(self) -> None:
        self.cpus = self.free_cpus = 1
        self.memory = self.free_memory = _NO_LIMIT
        self.gpus: tuple[str, ...] = ()
        self.free_gpus: list[str] = []
        self._taken_gpus: set[str] = set()
        self._exclusive = 0
        """How many have all the cpus, however many these are."""
        self._bound: dict[int, int] = {}

    def resize(self, config: Mapping[str, Any]) -> None:
        """Take other totals; what runs keeps what it has, so that free may be below 0."""
        cpus, memory = int(config["cpus"]), int(config["memory"])
        self.free_cpus += (cpus - self.cpus) * (1 - self._exclusive)
        self.free_memory += memory - self.memory
        self.cpus, self.memory = cpus, memory
        self.gpus = tuple(config["gpus"])
        self.free_gpus = [gpu for gpu in self.gpus if gpu not in self._taken_gpus]

    def take(self, needs: Needs, gpus: Iterable[str] | None = None) -> tuple[str, ...]:
        """Give a job its share.

        Args:
            needs: Its share; it may exceed what is free where the job runs already.
            gpus: The GPUs it has already; `None` chooses.

        Returns:
            The names of its GPUs.
        """
        self.free_cpus -= self.cpus if needs.exclusive else needs.cpus
        self._exclusive += needs.exclusive
        self.free_memory -= needs.memory
        if gpus is None:
            if not needs.gpus:
                return ()
            gpus = self.free_gpus[: needs.gpus]
        names = tuple(gpus)
        self._taken_gpus.update(names)
        self.free_gpus = [gpu for gpu in self.free_gpus if gpu not in self._taken_gpus]
        return names

    def give_back(self, needs: Needs, gpus: Iterable[str]) -> None:
        """Take a job's share back."""
        self.free_cpus += self.cpus if needs.exclusive else needs.cpus
        self._exclusive -= needs.exclusive
        self.free_memory += needs.memory
        if gpus:
            self._taken_gpus.difference_update(gpus)
            self.free_gpus = [gpu for gpu in self.gpus if gpu not in self._taken_gpus]

    def bind(self, count: int, cpus: Iterable[int]) -> tuple[int, ...]:
        """Choose the *count* least bound of *cpus* for a job that wants its own."""
        chosen = sorted(cpus, key=lambda cpu: (self._bound.get(cpu, 0), cpu))[:count]
        for cpu in chosen:
            self._bound[cpu] = self._bound.get(cpu, 0) + 1
        return tuple(sorted(chosen))

    def unbind(self, cpus: Iterable[int]) -> None:
        """Let go of the cpus of a job."""
        for cpu in cpus:
            self._bound[cpu] -= 1


class Queue:
    """The jobs that wait, in their order."""

    def __init__(self) -> None:
        self._jobs: list[tuple[tuple[int, int, int], Candidate]] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Candidate]:
        return (job for _, job in self._jobs)

    def add(self, job: Candidate) -> None:
        """Put a job into its place. `order` must be unique."""
        insort(self._jobs, (job.order, job))

    def remove(self, job: Candidate) -> None:
        """Take a job out."""
        self._jobs = [row for row in self._jobs if row[1] is not job]

    def next(self, slots: Slots) -> Candidate | None:
        """Take out the job whose turn it is, `None` if none may start now."""
        if not self._jobs or slots.free_cpus <= 0:
            return None
        first = self._jobs[0][1]
        if not first.held and first.needs.is_plain and first.needs.fits(slots):
            del self._jobs[0]
            return first
        cpus, memory, gpus = slots.free_cpus, slots.free_memory, len(slots.free_gpus)
        for place, (_, job) in enumerate(self._jobs):
            if cpus <= 0:
                return None
            if job.held:
                continue
            needs = job.needs
            if needs.gpus > len(slots.gpus):
                # The configuration was reduced since; others need not wait for it.
                continue
            wanted = slots.cpus if needs.exclusive else min(needs.cpus, slots.cpus)
            room = min(needs.memory, slots.memory)
            if wanted <= cpus and room <= memory and needs.gpus <= gpus:
                del self._jobs[place]
                return job
            cpus -= min(wanted, cpus)
            memory -= min(room, max(memory, 0))
            gpus -= min(needs.gpus, gpus)
        return None
