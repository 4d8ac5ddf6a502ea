"""The engine as a process of its own: started by any client, detached from it."""

import gc
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from drover._plugins import scrubbed
from drover._store import Store, SystemClock, host_name, process_started
from drover.config import Config, setting_variables
from drover.errors import EngineUnavailableError

LOG: Final = "engine.log"
START_S: Final = 20.0
"""How long a client waits for an engine to take the lease: Python's start on a busy machine."""
_POLL_S: Final = 0.01
_LAST_WORDS: Final = 2000


def engine_info(log: Path) -> dict[str, Any]:
    """Describe this engine for others."""
    from importlib.metadata import version

    return {
        "host": host_name(),
        "started_at": time.time(),
        "version": version("drover-core"),
        "log": str(log),
        "backends": [],
    }


def main(home: Path, config: Config, idle_s: float | None) -> int:
    """Run an engine in this process until it leaves.

    Returns:
        0; 3 if another engine works on the store.
    """
    from drover._engine._loop import EngineLoop

    log = home / LOG
    _log_to(log)
    store = Store.open(home)
    loop = EngineLoop(store, config, engine_info(log), idle_s=idle_s)
    # What lives long is frozen; records come and go without cycles worth a frequent look.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loop.stop.ask())
    try:
        worked = loop.run()
        if not worked:
            logging.getLogger("drover").info("another engine works on the store, leaving")
    finally:
        store.close()
        logging.shutdown()
    return 0 if worked else 3


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """Rotate into files that are as private as the first, whatever the umask."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self.baseFilename, flags, 0o600)
        return os.fdopen(file, "a", encoding="utf-8", errors="backslashreplace")


def _log_to(path: Path) -> None:
    handler = _PrivateLog(path, maxBytes=4 * 2**20, backupCount=1)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", style="%")
    )
    root = logging.getLogger("drover")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if os.environ.get("DROVER_DEBUG") else logging.INFO)


def start(home: Path, project: Path | None) -> None:
    """Start an engine process that does not belong to this one.

    Raises:
        EngineUnavailableError: It could not be started.
    """
    log = home / LOG
    argv = [sys.executable, "-m", "drover._engine", "--home", str(home)]
    if project is not None:
        argv += ["--project", str(project)]
    settings = {name: os.environ[name] for name in setting_variables(os.environ)}
    try:
        with os.fdopen(os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab") as out:
            # It forks and leaves, so that the engine is nobody's child but init's.
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
                timeout=START_S,
                cwd=home,
                env={**scrubbed(os.environ), **settings},
                start_new_session=True,
            )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EngineUnavailableError(str(home), str(exc), str(log)) from exc
    if done.returncode:
        raise EngineUnavailableError(str(home), _why_left(done.returncode, log), str(log))


def _why_left(code: int, log: Path) -> str:
    """Give the last words of an engine that left before it took up work."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = file.read().decode("utf-8", "backslashreplace").strip().splitlines()
    return f"it left with {code}" + (f": {lines[-1]}" if lines else "")


def ensure(store: Store, project: Path | None) -> None:
    """See to it that an engine works on the store.

    Of many clients that find none, one starts it and the others wait for it.

    Raises:
        EngineUnavailableError: None could be started.
        StoreReadOnlyError: None could work on it.
    """
    store.refuse_if_read_only()
    clock = SystemClock()
    deadline = clock.monotonic() + START_S
    while not store.lease().live:
        if clock.monotonic() > deadline:
            why = f"none took up work within {START_S:g} s"
            raise EngineUnavailableError(str(store.home), why, str(store.home / LOG))
        if store.may_start_engine():
            try:
                start(store.home, project)
            except EngineUnavailableError:
                store.engine_start_failed()
                raise
        time.sleep(_POLL_S)


def stop(store: Store, timeout_s: float) -> bool:
    """Ask the engine to leave, and wait until it has closed the store.

    Returns:
        Whether none works any more.

    Raises:
        StoreReadOnlyError: The engine that a copy names works on another store.
    """
    store.refuse_if_read_only()
    holder = store.lease()
    if not holder.live:
        return True
    if holder.pid == os.getpid():
        # An engine in a thread of this process leaves with the session that has it.
        return False
    started = process_started(holder.pid)
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    clock = SystemClock()
    deadline = clock.monotonic() + timeout_s
    while clock.monotonic() < deadline:
        # Having given the lease back, it still writes its log into the database as it closes it:
        # who copies or restores the file now would have half of both.
        has_left = not started or process_started(holder.pid) != started
        if has_left and not store.lease().live:
            return True
        time.sleep(_POLL_S)
    return not store.lease().live
