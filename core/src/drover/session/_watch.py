"""Wait for the store to change: by the engine's bell, or by looking from time to time."""

import time
from collections.abc import Callable
from typing import Final

from drover._engine import BellRope, socket_path
from drover._store import Store

LOOK_S: Final = 0.02
"""Between two looks where no engine rings: a look costs 3 us, and a job's end is seen within."""
REST_S: Final = 0.01
"""As long as an agent that is busy gathers ends before it tells them."""
CARE_S: Final = 1.0
"""How often a waiting client makes sure that an engine works; a look costs 30 us."""


class Watch:
    """News of one store. Used by one thread."""

    def __init__(self, store: Store, care: Callable[[], None]) -> None:
        """*care* is called at every turn: it starts an engine if none works."""
        self._store = store
        self._care = care
        self._rope = BellRope(socket_path(store.home, store.store_id))

    def now(self) -> float:
        """Tell the time by the monotonic clock."""
        return self._store.clock.monotonic()

    def wait(self, deadline: float | None) -> None:
        """Return when something may have changed, at the latest at *deadline*.

        Args:
            deadline: On the monotonic clock; `None`: whenever.
        """
        now = self._store.clock.monotonic()
        span = CARE_S if deadline is None else max(0.0, min(CARE_S, deadline - now))
        heard = self._rope.listen(span)
        self._care()
        if not heard:
            self._look(span)

    def _look(self, span: float) -> None:
        clock = self._store.clock
        seen, until = self._store.data_version(), clock.monotonic() + span
        while clock.monotonic() < until:
            time.sleep(LOOK_S)
            if self._store.data_version() != seen:
                return

    @staticmethod
    def rest() -> None:
        """Let news gather for a moment."""
        time.sleep(REST_S)

    def close(self) -> None:
        """Let go of the bell."""
        self._rope.close()
