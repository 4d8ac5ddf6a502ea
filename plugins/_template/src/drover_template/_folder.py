"""One attempt's folder: all that this backend knows of a job lies there, nothing in memory.

`spawned.json`  the wrapper's process and the native id it was given
`ending.json`   somebody asked for the end, and when KILL is due
The rest is written by the wrapper: claims, the start, the end, that it ran nothing.
"""

import os
import secrets
import signal
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from drover.commandline import (
    ProcessId,
    claims,
    read_json,
    read_start_record,
    wrapper_argv,
    write_json,
    write_task,
)
from drover.models import Attempt

SPAWNED: Final = "spawned.json"
ENDING: Final = "ending.json"


@frozen(kw_only=True)
class Spawned:
    """A wrapper that was started."""

    native_id: str
    at: float
    process: ProcessId | None


@frozen(kw_only=True)
class Folder:
    """One attempt."""

    path: Path
    token: str

    def spawn(self, attempt: Attempt, at: float) -> Spawned:
        """Start the wrapper on its own; it is the caller's to reap.

        Raises:
            OSError: Nothing was started.
        """
        # The command gets a session of its own, so that the wrapper survives its end.
        write_task(self.path, attempt, own_session=True)
        native_id = secrets.token_hex(6)
        log = self.path / "wrapper.log"
        argv = wrapper_argv(self.path, native_id)
        pid = os.posix_spawn(
            argv[0],
            argv,
            os.environ,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        process = ProcessId.of(pid)
        content = {
            "token": self.token,
            "native_id": native_id,
            "at": at,
            "process": process.as_json if process else None,
        }
        write_json(self.path, SPAWNED, content)
        return Spawned(native_id=native_id, at=at, process=process)

    def spawned(self) -> Spawned | None:
        """Give what runs or ran here under this very token; `None` if nothing did.

        The claim decides: of two wrappers that were started for one token, one has it.
        """
        content = self._read(SPAWNED)
        native_id, at = content.get("native_id"), content.get("at")
        process = ProcessId.read(content.get("process"))
        start = self.start()
        if start is not None and start.owner is not None and self._is_ours():
            native_id, at, process = start.owner.native_id, at or start.at, start.process
        if not isinstance(native_id, str) or not isinstance(at, int | float):
            return None
        return Spawned(native_id=native_id, at=float(at), process=process)

    def start(self) -> claims.Entry | None:
        """Give the claim of the wrapper that may run the command."""
        return next((entry for entry in claims.read(self.path) if entry.owner), None)

    def send(self, number: int) -> bool:
        """Send a signal to the command's process group; tell whether there was one."""
        record = read_start_record(self.path)
        if record is not None and record.process is not None:
            return record.process.kill(number, group=True)
        # It is just being started: the wrapper passes the signal on, or starts nothing.
        entry = self.start()
        return bool(entry and entry.process and entry.process.kill(number))

    def is_ending(self) -> bool:
        """Tell whether somebody asked for the end."""
        return bool(self._read(ENDING))

    def note_ending(self, kill_at: float | None) -> None:
        """Write down that somebody asked for the end, and when KILL is due."""
        write_json(self.path, ENDING, {"token": self.token, "kill_at": kill_at})

    def forget_ending(self) -> None:
        """Take that back: there was nothing left to end."""
        (self.path / ENDING).unlink(missing_ok=True)

    def kill_if_due(self, at: float) -> None:
        """Send KILL if the grace of a cancel is over."""
        kill_at = self._read(ENDING).get("kill_at")
        if isinstance(kill_at, int | float) and at >= kill_at:
            self.send(signal.SIGKILL)

    def _read(self, name: str) -> dict[str, Any]:
        content = read_json(self.path / name)
        return content if content.get("token") == self.token else {}

    def _is_ours(self) -> bool:
        """Tell whether the task in this folder bears our token."""
        return read_json(self.path / "task.json").get("token") == self.token
