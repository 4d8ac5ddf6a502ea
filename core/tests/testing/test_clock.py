"""A clock that moves only when it is told."""

import pytest

from drover.testing import FakeClock


def test_time_stands_still() -> None:
    """A test must not depend on how fast it runs."""
    clock = FakeClock()

    assert clock.time() == clock.time()
    assert clock.monotonic() == clock.monotonic()


def test_time_passes_for_both() -> None:
    """Seconds that pass are seen on the wall and in the machine."""
    clock = FakeClock(now=100.0, ticks=10.0)

    assert clock.advance(2.5) == 102.5
    assert (clock.time(), clock.monotonic()) == (102.5, 12.5)


def test_a_jump_moves_the_wall_clock_alone() -> None:
    """An administrator who sets the clock does not let time pass."""
    clock = FakeClock(now=100.0, ticks=10.0)
    clock.jump(-3600.0)

    assert (clock.time(), clock.monotonic()) == (-3500.0, 10.0)


def test_time_does_not_run_backwards() -> None:
    """A negative advance is a bug of the test."""
    with pytest.raises(ValueError, match="jump"):
        FakeClock().advance(-1)
