"""Which jobs may start, on which nodes, and why the others may not. Pure functions."""

import re
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final

from attrs import frozen

from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._words import Flag, State

KINDS: Final = frozenset(
    {"after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer"}
)


class Met(Enum):
    """How it stands with a dependency."""

    YES = 1
    NOT_YET = 2
    NEVER = 3


@frozen
class Condition:
    """One job and what it must have come to."""

    kind: str
    base_id: int
    task: int | None = None
    delay_s: float = 0.0


def parse_dependency(text: str) -> tuple[list[Condition], bool] | None:
    """Read the value of `--dependency`.

    Returns:
        The conditions, and whether any one of them is enough; `None` if it cannot be read.
    """
    if not text:
        return [], False
    if "," in text and "?" in text:
        return None
    found: list[Condition] = []
    for part in re.split(r"[,?]", text):
        kind, _, ids = part.partition(":")
        if kind == "singleton" and not ids:
            found.append(Condition("singleton", 0))
            continue
        if kind.isdigit() and not ids:
            kind, ids = "afterany", kind
        for one in ids.split(":"):
            match = re.fullmatch(r"(\d+)(?:_(\d+|\*))?(?:\+(\d+))?", one)
            if kind not in KINDS or not match:
                return None
            base, task, minutes = match.groups()
            number = int(task) if task and task != "*" else None
            found.append(Condition(kind, int(base), number, 60.0 * int(minutes or 0)))
    return found, "?" in text


def dependency_of(job: Job, others: list[Job], now: float) -> Met:
    """Judge the dependency of a job. An id that is not in memory counts as satisfied."""
    conditions, any_will_do = parse_dependency(job.dependency) or ([], False)
    if not conditions:
        return Met.YES
    answers = [_judge(condition, job, others, now) for condition in conditions]
    if any_will_do:
        if Met.YES in answers:
            return Met.YES
        return Met.NOT_YET if Met.NOT_YET in answers else Met.NEVER
    if Met.NEVER in answers:
        return Met.NEVER
    return Met.NOT_YET if Met.NOT_YET in answers else Met.YES


def _judge(condition: Condition, job: Job, others: list[Job], now: float) -> Met:
    if condition.kind == "singleton":
        earlier = [
            other
            for other in others
            if other.name == job.name
            and other.uid == job.uid
            and other.base_id < job.base_id
            and not _is_over(other)
        ]
        return Met.NOT_YET if earlier else Met.YES
    of_it = [other for other in others if _meant(condition, job, other)]
    answers = {_judge_one(condition, other, now) for other in of_it}
    if Met.NEVER in answers:
        return Met.NEVER
    return Met.NOT_YET if Met.NOT_YET in answers else Met.YES


def _meant(condition: Condition, job: Job, other: Job) -> bool:
    if condition.base_id not in (other.base_id, other.job_id):
        return False
    wanted = condition.task
    if condition.kind == "aftercorr" and job.array:
        wanted = job.array.task
    if wanted is None or other.array is None:
        return True
    return other.array.task == wanted or wanted in other.waiting


def _judge_one(condition: Condition, other: Job, now: float) -> Met:
    if condition.kind == "after":
        begun = other.start_at if other.start_at is not None else other.end_at
        return Met.YES if begun is not None and begun + condition.delay_s <= now else Met.NOT_YET
    if not _is_over(other):
        return Met.NOT_YET
    good = other.state is State.COMPLETED
    if condition.kind in ("afterok", "aftercorr"):
        return Met.YES if good else Met.NEVER
    if condition.kind == "afternotok":
        return Met.NEVER if good else Met.YES
    return Met.YES


def _is_over(job: Job) -> bool:
    return job.state.has_ended and Flag.COMPLETING not in job.flags


def uses_nodes(job: Job) -> bool:
    """Tell whether it keeps others from the nodes that it is on."""
    return job.state is State.RUNNING or Flag.COMPLETING in job.flags


def never_fits(job: Job, site: SlurmSite) -> bool:
    """Tell whether no node of the site is large enough, or there are too few."""
    per_node = -(-job.cpus // max(1, job.node_count))
    return job.node_count > len(site.nodes) or per_node > site.cpus


class Room:
    """What is free on the nodes, kept up while jobs are started."""

    def __init__(self, jobs: Iterable[Job], site: SlurmSite) -> None:
        self._site: Final = site
        self._taken: Final[Counter[str]] = Counter()
        self._running: Final[Counter[int]] = Counter()
        """By the id of an array: how many of its tasks run."""
        for job in jobs:
            if uses_nodes(job):
                self.occupy(job, job.nodes)

    def occupy(self, job: Job, nodes: tuple[str, ...]) -> None:
        """Take what a job uses."""
        for node in nodes:
            self._taken[node] += self._share(job, len(nodes))
        if job.array is not None:
            self._running[job.base_id] += 1

    def _share(self, job: Job, nodes: int) -> int:
        return self._site.cpus if "exclusive" in job.options else -(-job.cpus // max(1, nodes))

    def place(self, job: Job) -> tuple[str, ...] | None:
        """Choose nodes for a job; `None` if there is no room now."""
        share = self._share(job, job.node_count)
        chosen: list[str] = []
        for node in self._site.nodes:
            if self._taken[node] + share <= self._site.cpus:
                chosen.append(node)
                if len(chosen) == job.node_count:
                    return tuple(chosen)
        return None

    def is_throttled(self, job: Job) -> bool:
        """Tell whether as many tasks of its array run as may."""
        array = job.array
        if array is None or not array.throttle:
            return False
        return self._running[job.base_id] >= array.throttle


def reason_to_wait(job: Job, others: list[Job], site: SlurmSite, now: float) -> str | None:
    """Say why a job may not start yet, whatever room there is; `None` if it may."""
    if job.held_by:
        return job.reason if "held state" in job.reason else f"JobHeld{job.held_by.capitalize()}"
    partition = site.partition(job.partition)
    if partition is not None and not partition.is_up:
        return "PartitionDown"
    longest = partition.max_time_s if partition is not None else None
    if longest is not None and (job.time_limit_s is None or job.time_limit_s > longest):
        return "PartitionTimeLimit"
    if job.begin_at > now:
        return "BeginTime"
    met = dependency_of(job, others, now)
    if met is not Met.YES:
        return "DependencyNeverSatisfied" if met is Met.NEVER else "Dependency"
    if never_fits(job, site):
        return "PartitionConfig"
    return None
