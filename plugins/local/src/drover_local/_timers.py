"""What is to be done later, by the clock that only grows."""

import heapq
import time
from collections.abc import Callable


class Timer:
    """One thing to be done at an instant, unless it is called off."""

    __slots__ = ("action", "sequence", "when")

    def __init__(self, when: float, sequence: int, action: Callable[[], None]) -> None:
        self.when, self.sequence = when, sequence
        self.action: Callable[[], None] | None = action

    def __lt__(self, other: "Timer") -> bool:
        return (self.when, self.sequence) < (other.when, other.sequence)


class Timers:
    """A heap of instants."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._sequence = 0
        self._called_off = 0

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call *action* once `time.monotonic()` has reached *when*."""
        self._sequence += 1
        timer = Timer(when, self._sequence, action)
        heapq.heappush(self._heap, timer)
        return timer

    def after(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call *action* in *delay_s* seconds."""
        return self.at(time.monotonic() + delay_s, action)

    def call_off(self, timer: Timer | None) -> None:
        """Do not do it any more."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._called_off += 1
        if self._called_off > 1000 and self._called_off * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry.action is not None]
            heapq.heapify(self._heap)
            self._called_off = 0

    def wait_s(self) -> float | None:
        """Tell how long nothing is due, `None`: for ever."""
        while self._heap and self._heap[0].action is None:
            heapq.heappop(self._heap)
            self._called_off -= 1
        if not self._heap:
            return None
        return max(0.0, self._heap[0].when - time.monotonic())

    def run(self) -> None:
        """Do all that is due."""
        while self.wait_s() == 0.0:
            action = heapq.heappop(self._heap).action
            if action is not None:
                action()
