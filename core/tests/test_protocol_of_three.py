"""The protocol of submission for three jobs: one engine, one lane, one batch.

The steps are those of `test_protocol_model`. What the jobs have in common is the engine, which is
killed or paused for all of them at once; the lane, which takes one call at a time; and the batch,
whose members are handed over together, whose answer is lost as a whole, and which is never formed
again: each member is settled by itself.
"""

import sys
from array import array
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from attrs import asdict, evolve, frozen

from drover import events as e
from drover import machine
from drover.models import Claim, Reason

sys.path.insert(0, str(Path(__file__).parent))

from test_protocol_model import (
    MOST_ENGINES,
    MOST_LOSSES,
    World,
    _settled,
    begin,
    engine_steps,
    steps,
)


@frozen(eq=False)
class Shared:
    """What jobs have in common. Equal ones are one object, see `share`."""

    engine: int = 1
    engines: int = 1
    losses: int = 0
    wishes: frozenset[str] = frozenset()


@cache
def share(engine: int, engines: int, losses: int, wishes: frozenset[str]) -> Shared:
    return Shared(engine, engines, losses, wishes)


NOTHING = share(1, 1, 0, frozenset())


Jobs = tuple[int, ...]
"""The three as numbers of worlds of their own, smallest first: which is which does not matter."""


class ThreeJobs:
    """Explore three jobs by the steps of one, each of which is worked out once."""

    def __init__(self, claim: Claim, wish: str) -> None:
        self.claim = claim
        # A lost answer beside a wish, or beside a claim of files, makes tens of millions of worlds.
        # One job explores both; and here a killed engine leaves all three without an answer.
        losses = 0 if wish or claim is Claim.DIRECTORY else MOST_LOSSES
        self.first = share(1, 1, losses, frozenset({wish} - {""}))
        self.worlds: list[World] = []
        self.met: dict[object, World] = {}
        """All that any of the three has been through."""
        self._numbers: dict[object, int] = {}
        self._steps: dict[tuple[int, Shared], list[tuple[str, int, Shared]]] = {}

    def number(self, world: World, wishes: frozenset[str]) -> int:
        """Give a job's own part of a world a number; those that are over are all alike."""
        own = evolve(world, **asdict(NOTHING, recurse=False))
        self.met.setdefault(own.key(), own)
        if not wishes and _is_over(own):
            own = OVER
        number = self._numbers.setdefault(own.key(), len(self.worlds))
        if number == len(self.worlds):
            self.worlds.append(own)
        return number

    def steps_of(self, number: int, shared: Shared) -> list[tuple[str, int, Shared]]:
        """List what may happen to one job, sorted by who else is concerned."""
        known = self._steps.get((number, shared))
        if known is None:
            world = evolve(self.worlds[number], **asdict(shared, recurse=False))
            known = [
                (_concerns(world, after), self.number(after, after.wishes), _shared(after))
                for label, after in map(_run_out, steps(world, self.claim))
                if label not in ("another engine begins", "the engine is killed or paused")
            ]
            self._steps[number, shared] = known
        return known

    def next(self, shared: Shared, jobs: Jobs) -> Iterator[tuple[Shared, Jobs]]:
        """List what may happen next."""
        busy = any(self.worlds[number].call for number in jobs)
        batch = list(jobs)
        for place, number in enumerate(jobs):
            for concerns, after, shared_after in self.steps_of(number, shared):
                if concerns == "batch":
                    batch[place] = after
                elif concerns == "job" or not busy:
                    yield shared_after, _sorted(jobs, place, after)
        if not busy and tuple(batch) != jobs:
            yield shared, tuple(sorted(batch))
        yield from self._engine_steps(shared, jobs)

    def _engine_steps(self, shared: Shared, jobs: Jobs) -> Iterator[tuple[Shared, Jobs]]:
        own = [self.worlds[number] for number in jobs]
        if not shared.engine:
            yield share(1, MOST_ENGINES, shared.losses, shared.wishes), jobs
        elif shared.engines < MOST_ENGINES:
            dead = [
                next(
                    after
                    for label, after in engine_steps(world, self.claim)
                    if label == "the engine is killed or paused"
                )
                for world in own
            ]
            dead_shared = share(0, shared.engines, shared.losses, shared.wishes)
            yield dead_shared, self._numbers_of(dead, shared)
        answers = {world.call.answer for world in own if world.call}
        if shared.losses and answers and "" not in answers and answers != {"unknown"}:
            # One answer for the whole batch, and it is lost.
            lost = [
                evolve(world, call=evolve(world.call, answer="unknown"))
                if world.call and world.call.kind == "submit"
                else world
                for world in own
            ]
            less = share(shared.engine, shared.engines, shared.losses - 1, shared.wishes)
            yield less, self._numbers_of(lost, shared)

    def _numbers_of(self, worlds: list[World], shared: Shared) -> Jobs:
        return tuple(sorted(self.number(world, shared.wishes) for world in worlds))

    def explore(self) -> "tuple[list[tuple[Shared, Jobs]], array[int], array[int]]":
        """Visit every world of three jobs that can be reached.

        Returns:
            The worlds, and the steps between them: from which to which, by their places.
        """
        begun = (self.first, (self.number(begin(), self.first.wishes),) * 3)
        places, queue = {begun: 0}, deque([begun])
        sources, targets = array("L"), array("L")
        while queue:
            world = queue.popleft()
            place = places[world]
            for after in self.next(*world):
                there = places.get(after)
                if there is None:
                    there = places[after] = len(places)
                    queue.append(after)
                sources.append(place)
                targets.append(there)
        return list(places), sources, targets


OVER = begin().told(
    e.Ended(at=0, attempt=1, outcome=machine.unrun_outcome(begin().job, Reason.CANCELLED))
)


def _is_over(own: World) -> bool:
    waits = any(native.accepted > native.runs + native.unrun for native in own.natives)
    return _settled(own) and not own.strays and own.call is None and not waits


def _run_out(step: tuple[str, World]) -> tuple[str, World]:
    """Let a run end where it begins: of its time in between the model of one job knows all."""
    label, world = step
    for native in world.natives:
        if native.runs and not native.ended:
            world = world.with_native(evolve(native, ended=True))
    return label, world


def _concerns(world: World, after: World) -> str:
    if after.call is None or after.call.answer or world.call is not None:
        return "job"
    return "batch" if after.call.kind == "submit" and world.fresh else "lane"


def _shared(world: World) -> Shared:
    return share(world.engine, world.engines, world.losses, world.wishes)


def _sorted(jobs: Jobs, place: int, after: int) -> Jobs:
    return tuple(sorted((*jobs[:place], after, *jobs[place + 1 :])))


@pytest.mark.slow
@pytest.mark.parametrize("wish", ["", "cancel", "retry"])
@pytest.mark.parametrize("claim", list(Claim))
def test_three_jobs_of_one_batch(claim: Claim, wish: str) -> None:
    """What is lost together, and settled one by one, runs no job twice and leaves none behind."""
    three = ThreeJobs(claim, wish)
    worlds, sources, targets = three.explore()
    reached = bytearray(
        all(_settled(three.worlds[number]) for number in jobs) for _shared, jobs in worlds
    )
    more = True
    while more:
        more = False
        # Backwards, as they were found: nearly all is reached in the first turn.
        for source, target in zip(reversed(sources), reversed(targets), strict=True):
            if reached[target] and not reached[source]:
                reached[source] = more = True

    assert len(worlds) > 10_000
    assert all(reached)
    for world in three.met.values():
        assert sum(native.runs for native in world.natives) <= 1 + (wish == "retry")
        assert {native.runs for native in world.natives} <= {0, 1}
        assert not [n for n in world.natives if n.runs and n.token in world.given_up]
