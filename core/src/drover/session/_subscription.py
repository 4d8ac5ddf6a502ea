"""Follow the journal from a thread."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from drover._store import JournalEntry
from drover.errors import DroverError
from drover.session._watch import Watch

if TYPE_CHECKING:
    from drover.session._session import Session

_log: Final = logging.getLogger(__name__)
BREATH_S: Final = 0.5
"""How long `close` may have to wait for the thread to notice."""


class Subscription:
    """Call a function with every new line of the journal."""

    def __init__(self, session: "Session", callback: Callable[[JournalEntry], None]) -> None:
        self._session = session
        self._callback = callback
        self._stop = threading.Event()
        with session.store.read() as reader:
            self._seq = reader.last_seq()
        self._thread = threading.Thread(target=self._run, name="drover-subscription", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        watch = Watch(self._session.store, self._session.care)
        clock = self._session.store.clock
        while not self._stop.is_set():
            try:
                for entry in self._session.events(self._seq, limit=1000):
                    self._seq = entry.seq
                    self._call(entry)
                watch.wait(clock.monotonic() + BREATH_S)
            except DroverError as exc:
                # It may pass, and what is missed stands in the journal.
                _log.warning("a subscription cannot go on now: %s", exc)
                self._stop.wait(BREATH_S)
        watch.close()

    def _call(self, entry: JournalEntry) -> None:
        try:
            self._callback(entry)
        # The subscriber's own code: its fault must not end the subscription.
        except Exception:  # noqa: BLE001
            _log.exception("a subscriber failed on %s of job %s", entry.name, entry.job_id)

    def close(self) -> None:
        """End it; lines that come later are not told."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
