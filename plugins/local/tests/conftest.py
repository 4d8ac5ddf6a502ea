"""Fixtures of the local backend's tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test files are imported by path (importlib mode): what they share has to be found by name.
sys.path.insert(0, str(Path(__file__).parent))

from local_bench import Bench  # noqa: E402 - see above


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A home in which an engine has begun."""
    bench = Bench(tmp_path / "home")
    bench.home.mkdir()
    yield bench
    bench.tear_down()


@pytest.fixture
def up(bench: Bench) -> Bench:
    """A home in which an engine has begun and the agent runs."""
    bench.start()
    return bench
