"""An engine in a thread of this process: for tests and for single processes."""

import threading
from contextlib import suppress
from pathlib import Path

from drover._engine import engine_info
from drover._store import Store
from drover.config import Config
from drover.errors import EngineUnavailableError, StoreUnusableError

READY_S = 10.0
LOOK_S = 0.5
"""Between two looks whether the engine that works on the store has left."""


class InlineEngine:
    """Run an engine beside the session, on a connection of its own."""

    def __init__(self, home: Path, config: Config) -> None:
        self._store = Store.open(home)
        from drover._engine._loop import EngineLoop

        self._loop = EngineLoop(
            self._store, config, engine_info(home / "engine.log"), idle_s=float("inf")
        )
        self._home = home
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="drover-engine", daemon=True)
        self._thread.start()
        if not self._loop.ready.wait(READY_S):
            raise EngineUnavailableError(str(home), "the engine's thread did not begin")

    def _run(self) -> None:
        try:
            self._loop.run()
            while not self._loop.stop.wait(LOOK_S) and self._store.is_there():
                self._take_over()
        # Kept for `check`, which tells it in the thread of who waits.
        except BaseException as exc:
            self._failure = exc
            self._loop.ready.set()
            raise

    def _take_over(self) -> None:
        """Work in the place of another engine that has left, or that took this one's place."""
        # On a full disk nobody can; it may have room again at the next look.
        with suppress(StoreUnusableError):
            if not self._store.lease().live:
                self._loop.run()

    def check(self) -> None:
        """Tell a failure of the engine.

        Raises:
            EngineUnavailableError: It has ended with one, and nothing moves any more.
        """
        if self._failure is not None:
            log = str(self._home / "engine.log")
            why = f"it failed: {self._failure!r}"
            raise EngineUnavailableError(str(self._home), why, log) from self._failure

    def close(self) -> bool:
        """Stop the engine.

        Returns:
            Whether unfinished work is left and no other engine has it.
        """
        self._loop.stop.ask()
        self._thread.join()
        try:
            if self._store.read_only or self._store.lease().live:
                return False
            with self._store.read() as reader:
                return reader.has_unfinished()
        finally:
            self._store.close()
