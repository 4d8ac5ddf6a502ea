"""Where the checks of one backend play: a store, a session, a harness and a witness."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, chdir
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import drover
from drover.session import EngineMode
from drover.states import State
from drover.testing._harness import BackendHarness
from drover.testing._witness import Witness

REMOVE_S: Final = 5.0


class Stage:
    """What the checks of one class share. Made at its first check, torn down after its last."""

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        engine: EngineMode,
        shared_folder: Path | None,
        timeout_s: float,
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.config = config
        self.engine: EngineMode = engine
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="drover-check-", dir=shared_folder)).resolve()
        self._stack.callback(_remove, self.folder)
        self.witness = Witness(self.folder / "marks")
        self.witness.folder.mkdir()
        if config:
            self._configure()

    def _configure(self) -> None:
        """Write the project's settings, found from the working directory."""
        # JSON's numbers, strings and lists are TOML's as well.
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.config.items()]
        text = "\n".join([f"[backends.{json.dumps(self.name)}]", *lines, ""])
        (self.folder / "drover.toml").write_text(text, encoding="utf-8")
        self._stack.enter_context(chdir(self.folder))

    @cached_property
    def session(self) -> drover.Session:
        """Give the session, opened when it is first asked for."""
        session = drover.open(self.folder / "home", engine=self.engine, backend=self.name)
        self._stack.callback(_leave, session)
        return session

    @cached_property
    def harness(self) -> BackendHarness:
        """Give the backend itself, in a store's folder of its own, started."""
        harness = BackendHarness(self.name, self.folder / "bare", config=self.config)
        harness.start()
        self._stack.callback(harness.stop)
        return harness

    def path(self, name: str) -> Path:
        """Name a file or folder of the checks' own."""
        return self.folder / name

    def close(self) -> None:
        """Stop everything; whatever still runs is killed and reported.

        Raises:
            AssertionError: A job outlived its end.
        """
        leftovers: dict[str, list[int]] = {}
        with self._stack:
            if "session" in self.__dict__:
                end_all(self.session, self.timeout_s)
                leftovers = self.witness.leftovers()
            for pids in self.witness.leftovers().values():
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
        assert not leftovers, f"still running after everything was cancelled: {leftovers}"


def _remove(folder: Path) -> None:
    """Delete a folder into which a wrapper that was just killed may still write its record."""
    end = time.monotonic() + REMOVE_S
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def end_all(session: drover.Session, timeout_s: float = 30.0) -> None:
    """Cancel what has not ended and wait until it has."""
    open_states = [state for state in State if not state.ends_wait]
    unfinished = session.jobs(state=open_states, newest=None)
    if unfinished:
        session.cancel(unfinished, grace_s=1.0, timeout=timeout_s)
        session.wait(unfinished, timeout=timeout_s)


def _leave(session: drover.Session) -> None:
    session.engine_stop()
    session.close()
