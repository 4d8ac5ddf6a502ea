"""Clocks for tests: one that stands still until it is told, and the real one."""

import time

from attrs import define


@define(kw_only=True)
class FakeClock:
    """A clock that moves only when told. Satisfies `drover.hookspecs.Clock`."""

    now: float = 1_700_000_000.0
    """Seconds since 1970 UTC."""
    ticks: float = 1_000.0
    """Seconds that only grow."""

    def time(self) -> float:
        """Give seconds since 1970 UTC."""
        return self.now

    def monotonic(self) -> float:
        """Give seconds that only grow."""
        return self.ticks

    def advance(self, seconds: float) -> float:
        """Let time pass; gives the new time.

        Raises:
            ValueError: Time does not run backwards; what can is `jump`.
        """
        if seconds < 0:
            raise ValueError(f"{seconds:g} s: time does not run backwards, use jump()")
        self.now += seconds
        self.ticks += seconds
        return self.now

    def jump(self, seconds: float) -> None:
        """Set the wall clock, forwards or back, as an administrator does. No time passes."""
        self.now += seconds


class SystemClock:
    """The real clock."""

    def time(self) -> float:
        """Give seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Give seconds that only grow."""
        return time.monotonic()
