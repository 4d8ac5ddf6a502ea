"""An engine in a thread of this process: for tests and for single processes."""

import threading
from pathlib import Path

from drover._engine import engine_info
from drover._store import Store
from drover.config import Config
from drover.errors import EngineUnavailableError

READY_S = 10.0


class InlineEngine:
    """Run an engine beside the session, on a connection of its own."""

    def __init__(self, home: Path, config: Config) -> None:
        self._store = Store.open(home)
        from drover._engine._loop import EngineLoop

        self._loop = EngineLoop(
            self._store, config, engine_info(home / "engine.log"), idle_s=float("inf")
        )
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="drover-engine", daemon=True)
        self._thread.start()
        if not self._loop.ready.wait(READY_S):
            raise EngineUnavailableError(str(home), "the engine's thread did not begin")

    def _run(self) -> None:
        try:
            self._loop.run()
        # Kept for `close`, which raises it in the thread that can handle it.
        except BaseException as exc:
            self._failure = exc
            self._loop.ready.set()
            raise

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
