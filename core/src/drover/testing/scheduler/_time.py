"""Things that happen later, on a clock that may be a virtual one."""

import heapq
import itertools
from collections.abc import Callable
from typing import Final

from drover.hookspecs import Clock
from drover.testing._clock import FakeClock

Action = Callable[[float], None]
"""Done at an instant that it is given, in seconds since 1970 UTC."""


class Timeline:
    """What is due when. Nothing happens by itself: somebody has to look."""

    def __init__(self, clock: Clock) -> None:
        self.clock: Final[Clock] = clock
        self._serial: Final = itertools.count()
        self._due: Final[list[tuple[float, int, Action]]] = []

    def later(self, seconds: float, action: Action) -> None:
        """Do something in a while."""
        entry = (self.clock.monotonic() + seconds, next(self._serial), action)
        heapq.heappush(self._due, entry)

    @property
    def wait_s(self) -> float | None:
        """Say how long it is to the next thing; `None` if there is none."""
        return max(0.0, self._due[0][0] - self.clock.monotonic()) if self._due else None

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        while self._due and self._due[0][0] <= self.clock.monotonic():
            due, _, action = heapq.heappop(self._due)
            action(self.clock.time() - (self.clock.monotonic() - due))

    def advance(self, seconds: float) -> None:
        """Let time pass, each thing in its turn.

        Raises:
            TypeError: The clock is a real one, which nobody can move.
        """
        if not isinstance(self.clock, FakeClock):
            raise TypeError("only a FakeClock can be advanced; on a real clock, wait")
        target = self.clock.monotonic() + seconds
        self.catch_up()
        while self._due and self._due[0][0] <= target:
            self.clock.advance(max(0.0, self._due[0][0] - self.clock.monotonic()))
            self.catch_up()
        self.clock.advance(max(0.0, target - self.clock.monotonic()))
        self.catch_up()
