"""Stores of a test's own, on a clock that stands still."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drover import events as e
from drover._store import Draft, Store
from drover.models import JobRecord
from drover.testing import FakeClock


class Shelf(Store):
    """A store with short words for what tests do again and again."""

    def insert(self, *drafts: Draft) -> list[str]:
        """Hand in jobs."""
        batch = self.prepare(drafts, 1.0)
        with self.write() as (writer, _):
            writer.insert(batch)
        return batch.ids

    def job(self, job_id: str) -> JobRecord:
        """Read a job."""
        with self.read() as reader:
            return reader.job(job_id)

    def record(self, job_id: str, *facts: e.Event, epoch: int = 0) -> JobRecord:
        """Write facts about a job."""
        with self.write(epoch) as (writer, reader):
            return writer.record(reader.job(job_id), *facts, now=1.0)

    def check_replay(self) -> None:
        """See that every job is what its journal says."""
        with self.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Name a folder that is not there yet."""
    return tmp_path / "store"


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def open_store(home: Path, clock: FakeClock) -> Iterator[Callable[..., Shelf]]:
    """Open stores that are closed at the end."""
    stores: list[Shelf] = []

    def make(path: Path = home, **options: Any) -> Shelf:
        stores.append(Shelf.open(path, **{"clock": clock, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Shelf]) -> Iterator[Shelf]:
    """Give an open store; its journal must replay at the end."""
    made = open_store()
    yield made
    made.check_replay()
