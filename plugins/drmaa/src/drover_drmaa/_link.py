"""Keep one worker alive, ask it, and replace it when it dies, hangs or has done enough."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from drover.errors import UnreachableError

WORKER: Final = Path(__file__).with_name("_worker.py")
SYSTEM: Final = "drmaa"
"""What the library is called in errors, and the command by which talks ask it."""
START_S: Final = 150.0
"""A library may wait 121 s for a master that does not answer."""
LEAVE_S: Final = 5.0
_KEPT: Final = ("SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT", "SGE_CLUSTER_NAME")
_SCRUBBED: Final = ("SGE_", "DROVER_", "SLURM_", "PBS_", "PYTHON")


@frozen(kw_only=True)
class Told:
    """What the command `drmaa` came to."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str = ""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Keep away what belongs to the job or session that we run in."""
    kept = {
        name: value
        for name, value in variables.items()
        if name in _KEPT or not name.startswith(_SCRUBBED)
    }
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def any_will_do(_info: Mapping[str, Any]) -> str:
    """Find nothing wrong with a library."""
    return ""


class Link:
    """The one worker of a backend. Its calls may come from several threads."""

    def __init__(
        self,
        library: str,
        contact: str,
        most: int,
        wrong: Callable[[Mapping[str, Any]], str] = any_will_do,
    ) -> None:
        """Remember what to start; nothing is started yet.

        Args:
            library: The path of the library, "" for the one that is found.
            contact: By which a session is opened, and opened again after a crash.
            most: After so many jobs a worker is replaced: libraries leak.
            wrong: Says what is wrong with a library by what it tells of itself, "" if nothing is.
        """
        self._wrong = wrong
        self._argv = (sys.executable, str(WORKER), library, contact)
        self._most = most
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._jobs = 0
        self.info: dict[str, Any] = {}
        """What the library tells of itself, once it was asked."""

    @property
    def pid(self) -> int | None:
        """Tell the number of the worker's process, `None` if there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, argv: tuple[str, ...], question: bytes, timeout_s: float) -> Told:
        """Ask the worker one thing.

        Returns:
            Its answer in JSON; with return code 1 where the library said no.

        Raises:
            UnreachableError: There is no session, and nothing was asked; or the worker died or
                did not answer in time, and nobody knows what came of it.
        """
        with self._lock:
            self._ready()
            answer = self._exchange(question, timeout_s)
            self._jobs += max(1, len(answer.get("ids", ())))
            if self._jobs >= self._most:
                self._leave()
        code = 1 if "error" in answer else 0
        return Told(argv=argv, returncode=code, stdout=json.dumps(answer))

    def hello(self, argv: tuple[str, ...]) -> Told:
        """Open a session if there is none, and tell what the library says of itself."""
        with self._lock:
            try:
                self._ready()
            except UnreachableError:
                if "failed" not in self.info:
                    raise
            code = 1 if "failed" in self.info else 0
            return Told(argv=argv, returncode=code, stdout=json.dumps(self.info))

    def close(self) -> None:
        """Close the session."""
        with self._lock:
            self._leave()

    def _ready(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            return
        self._forget()
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(os.environ),
                cwd="/",
                start_new_session=True,
            )
        except OSError as exc:
            raise UnreachableError(SYSTEM, exc.strerror or str(exc), sent=False) from exc
        self._jobs = 0
        self.info = {}
        try:
            self.info = self._read(time.monotonic() + START_S)
        except UnreachableError as exc:
            self._kill()
            raise UnreachableError(
                SYSTEM, f"its worker did not start: {exc.why}", sent=False
            ) from exc
        if "failed" in self.info:
            self._kill()
            raise UnreachableError(SYSTEM, str(self.info["text"]), sent=False)
        if why := self._wrong(self.info):
            # Another system would take our jobs, and know nothing of how they are found again.
            self._kill()
            self.info["failed"] = "system"
            raise UnreachableError(SYSTEM, why, sent=False)

    def _exchange(self, question: bytes, timeout_s: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question.replace(b"\n", b" ") + b"\n")
            self._process.stdin.flush()
            return self._read(time.monotonic() + timeout_s)
        except OSError as exc:
            self._kill()
            raise UnreachableError(SYSTEM, "its worker has died") from exc
        except UnreachableError:
            self._kill()
            raise

    def _read(self, ends: float) -> dict[str, Any]:
        """Read one line."""
        assert self._process is not None
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        # Not select(2): an engine may have more than 1024 files open.
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while b"\n" not in self._rest:
            left = ends - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise UnreachableError(SYSTEM, "its worker gave no answer in time")
            piece = os.read(handle, 1 << 16)
            if not piece:
                raise UnreachableError(SYSTEM, "its worker has died")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return cast("dict[str, Any]", json.loads(line))
        except ValueError as exc:
            raise UnreachableError(SYSTEM, "its worker said what cannot be read") from exc

    def _leave(self) -> None:
        """Let the worker close its session; one that does not is killed."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(LEAVE_S)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
        self._forget()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        self._rest = b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # What was not sent is not heard.
        process.wait()
