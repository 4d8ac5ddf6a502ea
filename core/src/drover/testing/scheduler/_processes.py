"""Real child processes for jobs that run for real."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from attrs import define


@define
class Ended:
    """What became of a process."""

    key: int
    status: int
    """As wait(2) has it: code << 8 | signal."""
    user_cpu_s: float
    system_cpu_s: float
    max_rss_kb: int


class Processes:
    """Children by a key. Each leads a session of its own; whoever made them closes them."""

    def __init__(self) -> None:
        self._children: Final[dict[int, subprocess.Popen[bytes]]] = {}

    def start(
        self,
        key: int,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: str,
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> int:
        """Start one; gives its process id.

        Raises:
            OSError: It could not be started.
        """
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        self._children[key] = child
        return child.pid

    def reap(self) -> list[Ended]:
        """Take in those that have ended since the last look."""
        ended: list[Ended] = []
        for key, child in list(self._children.items()):
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if not pid:
                continue
            # It is reaped; the object must not look for it again.
            child.returncode = status
            del self._children[key]
            ended.append(
                Ended(
                    key=key,
                    status=status & 0xFF7F,
                    user_cpu_s=used.ru_utime,
                    system_cpu_s=used.ru_stime,
                    max_rss_kb=used.ru_maxrss,
                )
            )
        return ended

    def signal(self, key: int, number: int, *, group: bool) -> None:
        """Send a signal to a child, or to all that it started and that stayed in its session."""
        child = self._children.get(key)
        if child is None:
            return
        # A child that is not reaped yet keeps its number: nobody else can be hit.
        if group:
            os.killpg(child.pid, number)
        else:
            os.kill(child.pid, number)

    @property
    def pids(self) -> list[int]:
        """List the process ids of the children that are not reaped yet."""
        return [child.pid for child in self._children.values()]

    def close(self) -> None:
        """Kill what still runs, and reap it."""
        for key, child in list(self._children.items()):
            self.signal(key, signal.SIGKILL, group=True)
            child.wait()
        self._children.clear()


def write_program(folder: Path, name: str, content: bytes) -> Path:
    """Write a file that can be executed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o700)
    return path
