"""The wall clock, watched: it is set by people, by the network, and by a laptop that was asleep.

How far it is from the monotonic clock is noted in the store, so that a step between two engines
of one boot is noticed as well.
"""

from typing import Final

from drover._store import Writer, boot_id
from drover.hookspecs import Clock

JUMP_S: Final = 2.0
"""A smaller step harms no duration that there is. Slewing moves both clocks and is no step."""


class WallClock:
    """Read both clocks, and say when one of them was set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_s = 0.0
        self._blur_s = 0.0
        """How long the last reading took: a process may be stopped between the two clocks."""
        self._known: float | None = None
        self._fresh: float | None = None

    def read(self) -> tuple[float, float]:
        """Give seconds since 1970 UTC, and seconds that only grow."""
        before = self._clock.monotonic()
        now = self._clock.time()
        tick = self._clock.monotonic()
        self._offset_s, self._blur_s = now - tick, tick - before
        return now, tick

    def jump_s(self, writer: Writer) -> float:
        """Say how far the clock was set since the last look, inside a round's transaction.

        Returns:
            Seconds, forwards if positive; 0 if it was not, or if nobody can say.
        """
        if self._known is not None and not self._is_jump(self._known):
            return 0.0
        if self._blur_s > JUMP_S / 2:
            return 0.0
        before = writer.note_clock(boot_id(), self._offset_s)
        self._fresh = self._offset_s
        return self._offset_s - before if before is not None and self._is_jump(before) else 0.0

    def _is_jump(self, before: float) -> bool:
        return abs(self._offset_s - before) >= JUMP_S

    def keep(self) -> None:
        """Believe the last look: its transaction was committed."""
        if self._fresh is not None:
            self._known, self._fresh = self._fresh, None

    def forget(self) -> None:
        """Look into the store again: the transaction was not committed."""
        self._known = self._fresh = None
