"""A command that waits until it is told how to end, and counts how often it was started."""

import errno
import os
import time
from pathlib import Path
from typing import Final

_TEXT: Final = 'mkfifo "$1/$$" && echo $$ >>"$1/starts"; read -r line <"$1/$$"; eval "$line"'
POLL_S: Final = 0.01
WAIT_S: Final = 30.0


class Gate:
    """Makes one command for jobs, and lets them out, the oldest first. Waiting costs nothing."""

    def __init__(self, folder: Path) -> None:
        """Begin with nobody.

        Args:
            folder: Is made; holds nothing else.
        """
        folder.mkdir(mode=0o700, parents=True)
        self._folder: Final = folder
        self._out: Final[set[int]] = set()
        """Process ids of those that were let out."""

    @property
    def argv(self) -> tuple[str, ...]:
        """Give the command."""
        return ("/bin/sh", "-c", _TEXT, "gate", str(self._folder))

    @property
    def pids(self) -> list[int]:
        """List the process ids under which the command was started, oldest first."""
        starts = self._folder / "starts"
        return list(map(int, starts.read_text().split())) if starts.exists() else []

    @property
    def starts(self) -> int:
        """Count how often the command was started."""
        return len(self.pids)

    def await_start(self, number: int = 1) -> None:
        """Wait until it was started so often.

        Raises:
            TimeoutError: It was not.
        """
        end = time.monotonic() + WAIT_S
        while self.starts < number:
            if time.monotonic() > end:
                raise TimeoutError(f"the command was started {self.starts} times, not {number}")
            time.sleep(POLL_S)

    def give_up(self) -> None:
        """Expect nothing more of those that wait: they were killed."""
        self._out.update(self.pids)

    def leave(self, code: int = 0) -> None:
        """Let one end with an exit code.

        Raises:
            TimeoutError: None waits.
        """
        self._say(f"exit {code}")

    def die(self, number: int) -> None:
        """Let one kill itself by a signal.

        Raises:
            TimeoutError: None waits.
        """
        self._say(f"kill -{number} $$")

    def _say(self, line: str) -> None:
        pid = next((one for one in self.pids if one not in self._out), None)
        if pid is None:
            raise TimeoutError("no command waits at the gate")
        self._out.add(pid)
        end = time.monotonic() + WAIT_S
        while True:
            try:
                handle = os.open(self._folder / str(pid), os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError as error:
                # It has not come to its reading yet, or was killed.
                if error.errno != errno.ENXIO or time.monotonic() > end:
                    raise TimeoutError(f"process {pid} does not wait at the gate") from error
            time.sleep(POLL_S)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)
