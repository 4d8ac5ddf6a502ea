"""Word that wrappers leave: it lets ends be seen without asking the scheduler more often."""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_log: Final = logging.getLogger(__name__)
_YOUNG_NS: Final = 10**9
"""More than a tick of any clock that file systems go by."""
_LOOK_S: Final = 0.5
"""Between two looks at the folder: one question each, which a file server bears."""


class NewsReader:
    """Look at a folder for files named `TOKEN.SUFFIX`, tell their tokens, delete them.

    What is lost here is seen at the next look at the queue.
    """

    def __init__(self, folder: Path, tell: Callable[[Sequence[str]], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._seen_ns = -1
        self._stop = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look from time to time, on a thread of its own, while there is something to wait for."""
        self._thread = threading.Thread(target=self._run, name="drover-news", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def want(self, wanted: bool) -> None:
        """Say whether there is something to wait for."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def forget(self, tokens: Collection[str]) -> None:
        """Delete word of attempts about which nobody will ask; it came after the last look."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name.rpartition(".")[0] in tokens:
                    path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wanted.wait()
            try:
                self.look()
            except OSError as exc:
                _log.warning("word that wrappers left is not heard: %s", exc)
            self._stop.wait(_LOOK_S)

    def look(self) -> None:
        """Tell of all that has come since the last time."""
        try:
            changed_ns, names = self._read()
        except OSError:
            return
        # What comes while the names are read changes the time again, unless it comes in the same
        # tick of the clock: a time that is young is not trusted.
        is_old = time.time_ns() - changed_ns > _YOUNG_NS
        if names:
            self._seen_ns = -1
            self._tell(sorted({name.rpartition(".")[0] for name in names}))
        for name in names:
            # What stays is told once more.
            with suppress(OSError):
                (self._folder / name).unlink()
        self._seen_ns = changed_ns if is_old else -1

    def _read(self) -> tuple[int, list[str]]:
        """Give the time of the last change, and the names if it is another than before."""
        # Opened: a client of NFS answers stat(2) by what it has known for up to a minute.
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            changed_ns = os.fstat(handle).st_mtime_ns
        finally:
            os.close(handle)
        if changed_ns == self._seen_ns:
            return changed_ns, []
        return changed_ns, [path.name for path in self._folder.iterdir()]
