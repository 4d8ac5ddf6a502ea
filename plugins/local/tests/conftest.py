"""Fixtures of the local backend's tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test files are imported by path (importlib mode): what they share has to be found by name.
sys.path.insert(0, str(Path(__file__).parent))

from local_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A home in which an engine has begun."""
    bench = Bench(tmp_path / "home")
    bench.home.mkdir()
    yield bench
    bench.tear_down()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An engine and an agent for all tests of a file that harm neither."""
    bench = Bench(tmp_path_factory.mktemp("store"))
    bench.start()
    yield bench
    bench.tear_down()


@pytest.fixture
def up(shared: Bench, tmp_path: Path) -> Iterator[Bench]:
    """A folder of its own for the jobs of one test."""
    shared.home = tmp_path
    yield shared
    shared.clear()
