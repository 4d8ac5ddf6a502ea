"""A session on a real engine in this process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import drover
from drover import (
    Job,
    Session,
)
from drover.testing._installed import installed

sys.path.insert(0, str(Path(__file__).parent))

from session_hand import WAIT_S, Hand


@pytest.fixture
def hand() -> Iterator[Hand]:
    made = Hand()
    with installed("hand", made.made):
        yield made


@pytest.fixture
def session(tmp_path: Path, hand: Hand) -> Iterator[Session]:
    with drover.open(tmp_path / "home", engine="inline", backend="hand") as opened:
        yield opened
        opened.cancel(opened.jobs(newest=None), timeout=WAIT_S)
        with opened.store.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected


@pytest.fixture
def submit(session: Session) -> Callable[..., Job]:
    def one(*argv: str, **fields: Any) -> Job:
        made = session.submit(argv or ("x",), **fields)
        assert isinstance(made, Job)
        return made

    return one
