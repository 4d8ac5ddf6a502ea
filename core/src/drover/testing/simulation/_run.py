"""Run one seed."""

import hashlib
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from drover._plugins import BackendContext
from drover._store import _ids
from drover.testing._driver import NAME
from drover.testing._installed import installed
from drover.testing._simulated import SimulatedBackend
from drover.testing.simulation._oracle import Oracle
from drover.testing.simulation._world import World

COMMAND: Final = "python -m drover.testing.simulation --seed {seed}"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - private folders in it, made by tempfile
_TAIL: Final = 400
"""Lines of the story in a failure."""


@frozen(kw_only=True)
class Report:
    """What happened under one seed."""

    seed: int
    kind: str
    jobs: int
    virtual_s: float
    counts: Counter[str]
    """How often what happened: states reached, processes killed at which point..."""
    story: tuple[str, ...]
    """Everything that happened, in order."""

    @property
    def digest(self) -> str:
        """Name the story: equal digests, equal stories."""
        return hashlib.sha256("\n".join(self.story).encode()).hexdigest()


class SimulationFailed(AssertionError):  # noqa: N818 - a failed check, no error of drover's
    """Say what is not as it must be under a seed, with the story and how to see it again."""

    def __init__(self, seed: int, findings: Sequence[str], story: Sequence[str]) -> None:
        self.seed = seed
        self.findings = tuple(findings)
        """What is wrong, a line each."""
        self.story = tuple(story)
        cut = len(story) - _TAIL
        shown = story if cut <= 0 else [f"({cut} lines before)", *story[-_TAIL:]]
        super().__init__(
            "\n".join(
                [
                    f"seed {seed}: {len(findings)} findings",
                    *shown,
                    *findings,
                    f"again: {self.command}",
                ]
            )
        )

    @property
    def command(self) -> str:
        """Give the command that replays the seed."""
        return COMMAND.format(seed=self.seed)

    def __reduce__(self) -> tuple[type["SimulationFailed"], tuple[object, ...]]:
        # With its own arguments: it comes home from a worker process.
        return SimulationFailed, (self.seed, self.findings, self.story)


def simulate(seed: int) -> Report:
    """Run one seed and judge it. The same seed does the same, on every machine.

    Args:
        seed: It decides everything.

    Raises:
        SimulationFailed: A rule was broken; it holds the story and the command to replay it.
    """
    home = Path(tempfile.mkdtemp(prefix="drover-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        with _seeded_ids(seed), _silence():
            return _run(seed, home)
    finally:
        shutil.rmtree(home)


def _run(seed: int, home: Path) -> Report:
    worlds: list[World] = []

    def make(context: BackendContext, world: World) -> SimulatedBackend:
        return SimulatedBackend(
            context, cluster=world.cluster, capabilities=world.setting.capabilities
        )

    def make_for_client(context: BackendContext) -> SimulatedBackend:
        return make(context, worlds[0])

    with installed(NAME, make_for_client):
        world = World(seed, home, make)
        worlds.append(world)
        try:
            findings = _findings(world)
            if findings:
                raise SimulationFailed(seed, findings, world.story)
            return _report(seed, world)
        finally:
            world.close()


def _findings(world: World) -> list[str]:
    try:
        world.storm()
        world.calm_down()
        world.outlast()
    # The engine's own checks count as well as the oracle's.
    except AssertionError as exc:
        return [f"it stopped: {exc}"]
    found = list(Oracle(world).findings())
    jobs = dict.fromkeys(job_id for _, job_id in found if job_id is not None)
    lines = [f"job {job_id}: {what}" if job_id else what for what, job_id in found]
    return [line for job_id in jobs for line in _life_of(world, job_id)] + lines


def _life_of(world: World, job_id: str) -> list[str]:
    """Tell the journal of a job, and what the world did with it."""
    record = next((row for row in world.clients.records() if row.id == job_id), None)
    if record is None:
        return [f"job {job_id} is not in the store"]
    with world.clients.store.read() as reader:
        history = reader.history(record)
    lines = [f"job {record.id}: {record.state}, {record.outcome}"]
    lines += [f"    {entry.seq} {entry.event}" for entry in history]
    lines += [
        f"    world: {native.native_id} {native.token} {row}"
        for native in world.cluster.jobs
        if native.attempt.job_id == job_id
        for row in native.past
    ]
    runs = [run for run in world.cluster.executions if run.job_id == job_id]
    return lines + [f"    ran: {run}" for run in runs]


def _report(seed: int, world: World) -> Report:
    counts = Counter(world.counts)
    records = world.clients.records()
    counts.update(str(record.state) for record in records)
    counts["retries"] += sum(record.counted_attempt > 1 for record in records)
    counts["runs"] += len(world.cluster.executions)
    counts["starts that the claim turned away"] += len(world.cluster.unrun)
    ends = [f"{record.id} is {record.state}, attempt {record.attempt}" for record in records]
    return Report(
        seed=seed,
        kind=world.setting.kind,
        jobs=len(records),
        virtual_s=world.elapsed_s,
        counts=counts,
        story=(*world.story, *ends),
    )


@contextmanager
def _seeded_ids(seed: int) -> Generator[None]:
    """Let ids come from the seed, in this process."""
    before = _ids.entropy
    _ids.entropy = random.Random(f"ids of {seed}").randbytes  # noqa: S311 - to be repeatable
    try:
        yield
    finally:
        _ids.entropy = before


@contextmanager
def _silence() -> Generator[None]:
    """Keep the engine's log quiet: everything goes wrong here, on purpose."""
    log = logging.getLogger("drover")
    before = log.disabled, log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.disabled, level = before
        log.setLevel(level)
