"""What is made of jobs before the store is locked for them: others write meanwhile."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

from drover import machine
from drover._store._agenda import agenda
from drover._store._filter import as_sql
from drover._store._ids import new_ids
from drover._wire import SubmittedEncoder, encode_record
from drover.events import Submitted
from drover.states import State

_PIECE: Final = 100
"""Drafts taken at a time: fewer objects than make the collector of garbage look."""


class Draft(NamedTuple):
    """A job or an array that is about to be stored.

    A tuple and no attrs class: one is made per job, in a third of the time.
    """

    event: Submitted
    base: Mapping[str, str] | None = None
    """What it inherits; its digest is in `event.base_digest`."""

    def __repr__(self) -> str:
        # Values of variables may be secret.
        return f"Draft(event={self.event!r})"


class Batch:
    """The rows of some jobs and arrays. Their numbers count from those that the store has."""

    def __init__(
        self, drafts: Iterable[Draft], now: float, digest: Callable[[Mapping[str, str]], str]
    ) -> None:
        """Make them.

        Args:
            drafts: Taken as they come: what is made for one job is gone soon after, so that
                the collector of garbage never meets it.
            now: The instant, for what is due when.
            digest: Names variables.
        """
        self.ids: list[str] = []
        """In the order of *drafts*."""
        self.facts: list[tuple[int, int, float, str]] = []
        """Number, position of the job, time, text."""
        self.jobs: list[tuple[Any, ...]] = []
        """Position, id, number of the fact, and the columns after those of arrays."""
        self.arrays: list[tuple[tuple[Any, ...], Submitted]] = []
        """As `jobs`, for the first element of each."""
        self.marked: list[tuple[int, str, Submitted]] = []
        """Position and id of what has tags, dependencies or a key."""
        self.environments: dict[str, Mapping[str, str]] = {}
        """By digest."""
        self._add_all(drafts, now, digest)

    def _add_all(
        self, drafts: Iterable[Draft], now: float, digest: Callable[[Mapping[str, str]], str]
    ) -> None:
        encode = SubmittedEncoder().encode
        number, n, name = 0, 1, None
        base: Mapping[str, str] | None = None
        remaining = iter(drafts)
        while piece := list(islice(remaining, _PIECE)):
            ids = new_ids(len(piece))
            self.ids += ids
            for job_id, (event, given) in zip(ids, piece, strict=True):
                spec = event.spec
                number += 1
                if given is not base and given is not None:
                    base = given
                    self.environments[digest(base)] = base
                if spec.env:
                    name = digest(spec.env)
                    self.environments[name] = spec.env
                text = encode(event, job_id, name if spec.env else None)
                self.facts.append((number, n, event.at, text))
                row = (
                    n, job_id, number, event.backend, as_sql(spec.label), spec.resources.priority,
                    event.at, *_changing(event, job_id, now),
                )  # fmt: skip
                if event.key is not None or spec.tags or spec.after:
                    self.marked.append((n, job_id, event))
                if spec.array is None:
                    self.jobs.append(row)
                    n += 1
                else:
                    self.arrays.append((row, event))
                    n += len(spec.array.indices)


# What makes a new record differ from the default, or lets it wait: most jobs have none of it.
_unplain: Final = attrgetter("after", "hold", "inputs", "not_before", "deadline")
_PLAIN: Final = ((), False, (), None, None)
_NEW_ROW: Final = (State.NEW.value, 1, None, None, None, "{}")


def _changing(event: Submitted, job_id: str, now: float) -> tuple[Any, ...]:
    """Make the columns that change later, as they are at first."""
    if _unplain(event.spec) == _PLAIN:
        return _NEW_ROW
    # Its position is no part of what is written.
    pristine = machine.create(event, job_id=job_id, n=0)
    turn, wake_at = agenda(pristine, now)
    return (pristine.state.value, turn, wake_at, None, None, encode_record(pristine))
