"""The doorbell: news is told to whoever listens, also to one who has just come."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drover._engine._bell import Bell, BellRope


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Bell]:
    made = Bell(tmp_path / "engine.sock")
    yield made
    made.close()


@pytest.fixture
def rope(tmp_path: Path) -> Iterator[BellRope]:
    made = BellRope(tmp_path / "engine.sock")
    yield made
    made.close()


def heard_in(rope: BellRope, timeout_s: float) -> float:
    """Listen, and give how long that took."""
    began = time.monotonic()
    assert rope.listen(timeout_s)
    return time.monotonic() - began


def test_who_rings_wakes_the_engine_and_hears_of_news(bell: Bell, rope: BellRope) -> None:
    assert rope.ring()
    assert bell.wait(5.0)
    bell.tell(7)

    assert heard_in(rope, 5.0) < 4.0


def test_what_was_told_before_the_engine_took_the_rope_is_told_then(
    bell: Bell, rope: BellRope
) -> None:
    """A client looks, takes the rope, and the engine commits before it lets the client in."""
    assert rope.ring()
    bell.tell(7)
    assert bell.wait(5.0)

    assert heard_in(rope, 5.0) < 4.0


def test_before_the_first_news_there_is_none(bell: Bell, rope: BellRope) -> None:
    assert rope.ring()
    assert bell.wait(5.0)

    assert heard_in(rope, 0.1) >= 0.1


def test_an_engine_that_is_paused_keeps_no_client(bell: Bell, rope: BellRope) -> None:
    """Its socket fills up, and who submits would hang with the store already written."""

    def ring() -> None:
        rung.extend(rope.ring() for _ in range(2000))

    rung: list[bool] = []
    client = threading.Thread(target=ring, daemon=True)
    client.start()
    client.join(10)

    assert [True] * 2000 == rung
