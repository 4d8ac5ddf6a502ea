"""Start, signal and stop daemons that are known by what was recorded when they were started.

A pid alone is no name: it is handed out again. A record is the pid, when the process started, and
in which life of the machine; a signal goes through a handle on exactly that process, or nowhere.
"""

import os
import select
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
# The shell waits for one line, then becomes the daemon: its pid and start time are on disk by
# then, and its input at an end. If whoever starts it dies before, the shell leaves.
GATE = ("sh", "-c", 'read -r go && cd / && exec "$@"', "sh")


def start_time(pid: int) -> str | None:
    """Tell when a process started, in ticks since boot; None if it is gone or a zombie.

    Source: proc(5), /proc/pid/stat. Where process 1 reaps late, a dead daemon stays for seconds.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def send(pid: int, started: str, *numbers: int, wait_s: float = 0.0) -> bool:
    """Signal exactly the process that started then, and wait for its end if asked.

    Returns:
        Whether it is gone now.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if start_time(pid) != started:
            return True
        for number in numbers:
            signal.pidfd_send_signal(handle, number)
        # A handle can be read once its process has ended.
        return bool(select.select([handle], [], [], wait_s)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Daemons:
    """The daemons of one folder: `NAME.proc` in *records* is who NAME is."""

    records: Path
    logs: Path

    def names(self) -> list[str]:
        """List who was started and not stopped, dead or alive."""
        return sorted(path.stem for path in self.records.glob("*.proc"))

    def process(self, name: str) -> tuple[int, str] | None:
        """Give pid and start time of a daemon that lives; None if it does not."""
        try:
            pid, started, boot = self._record(name).read_text("utf-8").split()
        except FileNotFoundError:
            return None
        lives = boot == BOOT.read_text("utf-8").strip() and start_time(int(pid)) == started
        return (int(pid), started) if lives else None

    def start(self, name: str, argv: Sequence[str | Path], **environment: str) -> bool:
        """Start a daemon in a session of its own unless it lives; tell whether it had to be."""
        if self.process(name) is not None:
            return False
        behind, before = os.pipe()
        with (
            open(behind, "rb") as stdin,
            open(before, "wb") as gate,
            (self.logs / f"{name}.out").open("ab") as output,
        ):
            # Not subprocess: what is to live on is nobody's child to wait for.
            pid = os.posix_spawnp(
                GATE[0],
                [*GATE, *map(str, argv)],
                {**os.environ, **environment},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsid=True,
            )
            row = f"{pid} {start_time(pid)} {BOOT.read_text('utf-8')}"
            self._record(name).write_text(row, "utf-8")
            gate.write(b"go\n")
        return True

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a daemon that must be there."""
        process = self.process(name)
        if process is None:
            raise ProcessLookupError(f"{name} is not running")
        send(*process, number)

    def stop(self, name: str, patience_s: float = 20.0) -> None:
        """End a daemon: asked first, then killed. Its record goes when it is gone."""
        process = self.process(name)
        if process is not None:
            # One that was frozen hears nothing before it goes on.
            gone = send(*process, signal.SIGTERM, signal.SIGCONT, wait_s=patience_s)
            if not gone and not send(*process, signal.SIGKILL, wait_s=patience_s):
                raise TimeoutError(f"{name} (pid {process[0]}) does not die")
        self._record(name).unlink(missing_ok=True)

    def kill(self, name: str, patience_s: float = 20.0) -> None:
        """Kill a daemon that must be there, and wait until it is gone. Its record stays."""
        process = self.process(name)
        if process is None:
            raise ProcessLookupError(f"{name} is not running")
        if not send(*process, signal.SIGKILL, wait_s=patience_s):
            raise TimeoutError(f"{name} (pid {process[0]}) does not die")

    def _record(self, name: str) -> Path:
        return self.records / f"{name}.proc"
