"""Processes of this host under an identity that outlives the reuse of their number."""

import os
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from drover.commandline import wrapper

_GONE_STATES: Final = (b"Z", b"X", b"x")
"""A zombie has ended; only its parent has not looked. Source: proc(5)."""


@frozen(kw_only=True)
class ProcessId:
    """One process of one boot of one host."""

    pid: int
    start_ticks: int
    """Start time in clock ticks since boot."""
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Identify a process that is there now; `None` if there is none."""
        return cls.read(wrapper.identify(pid))

    @classmethod
    def read(cls, content: Any) -> "ProcessId | None":
        """Read an identity from a record; `None` if it is not complete."""
        if not isinstance(content, dict):
            return None
        entries = cast("dict[str, Any]", content)
        pid, ticks = entries.get("pid"), entries.get("start_ticks")
        boot_id = entries.get("boot_id")
        if not isinstance(pid, int) or not isinstance(ticks, int) or not isinstance(boot_id, str):
            return None
        if pid <= 0 or ticks <= 0 or not boot_id:
            return None
        return cls(pid=pid, start_ticks=ticks, boot_id=boot_id)

    @property
    def as_json(self) -> dict[str, Any]:
        """Give what `read` reads."""
        return {"pid": self.pid, "start_ticks": self.start_ticks, "boot_id": self.boot_id}

    @property
    def is_alive(self) -> bool:
        """Tell whether this very process runs on this host now. A zombie does not."""
        return self._state() not in _GONE_STATES

    @property
    def is_stopped(self) -> bool:
        """Tell whether it is there and was stopped by a signal."""
        return self._state() == b"T"

    def _state(self) -> bytes:
        """Give the letter of its state, "X" if it is not there."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return b"X"
        # Asked after the reading: had the number gone to another process, it would show.
        return stat.rpartition(b")")[2].split()[0] if ProcessId.of(self.pid) == self else b"X"

    def kill(self, signal: int, *, group: bool = False) -> bool:
        """Send a signal if the process is still the same one.

        Args:
            signal: Its number.
            group: To the whole process group that it leads.

        Returns:
            Whether there was something to send it to.

        Raises:
            PermissionError: It belongs to somebody else.
        """
        if not self.is_alive:
            return False
        try:
            if group:
                os.killpg(self.pid, signal)
            else:
                os.kill(self.pid, signal)
        except ProcessLookupError:
            return False
        return True
