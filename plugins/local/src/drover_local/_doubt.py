"""Find out what became of a spawn when the agent was killed before it could note the result.

An agent makes one child at a time, and what it leaves behind becomes its keeper's: a child is
either one of those that the keeper has now, or one that it has reaped and written down. So where
one keeper was there all along, no child means that nothing was started, and one that has executed
a command means that this is the job. Anything else stays in doubt.
"""

import os
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final

from drover_local._identity import TICK_NS, read_stat, started_within
from drover_local._ledger import FREE, INTENT, Entry
from drover_local._orphans import OrphanReader, Tally
from drover_local._tree import read_token

# A child that was cloned executes its command, and a dead one is reaped, within milliseconds.
_PATIENCE_S: Final = 0.5
_LOOK_S: Final = 0.002


class Spawn(Enum):
    """What became of a spawn."""

    NONE = auto()
    """There was none, and there will be none."""
    ENDED = auto()
    """It ran and has ended; the keeper's line tells how."""
    UNKNOWN = auto()


class Doubt:
    """The children that a dead agent left, held against what it had noted."""

    def __init__(
        self, keeper: int, tally: Tally, orphans: OrphanReader, entries: Sequence[Entry]
    ) -> None:
        self._keeper = keeper
        self._tally = tally
        self._orphans = orphans
        self._noted = [entry for entry in entries if entry.state not in {FREE, INTENT}]

    def settle(
        self, after_ns: int, output: str, is_found: Callable[[], bool]
    ) -> tuple[Spawn, int, int]:
        """Decide about the spawn that began after *after_ns* of the boot's clock.

        Args:
            after_ns: As the ledger has it.
            output: The file that its child makes before it executes the command.
            is_found: Looks once more for a living process that bears its token.

        Returns:
            What became of it; of one that has ended, its process id and start in ticks.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while after_ns > self._tally.since_ns and time.monotonic() < deadline:
            ended = self._ended(after_ns)
            if ended is not None:
                return self._judge(ended, output)
            time.sleep(_LOOK_S)
            if is_found():
                break
        return Spawn.UNKNOWN, 0, 0

    def _judge(self, ended: list[dict[str, Any]], output: str) -> tuple[Spawn, int, int]:
        if not ended:
            return Spawn.NONE, 0, 0
        # A daemon of another job could look like it. The file is a sign that there was a child,
        # and as there is but one that could be it, this is the one.
        row = ended[0]
        is_command = row["session"] == row["pid"] and row["executed"]
        if len(ended) == 1 and is_command and os.path.exists(output):
            return Spawn.ENDED, row["pid"], row["ticks"]
        return Spawn.UNKNOWN, 0, 0

    def _ended(self, after_ns: int) -> list[dict[str, Any]] | None:
        """List the dead that may be the child; `None` while one may be among the living."""
        written = self._tally.written
        if any(self._may_be(pid, stat, after_ns) for pid, stat in _children_of(self._keeper)):
            return None
        is_read = self._orphans.refresh()
        if self._tally.reaped != written or (written and not is_read):
            return None
        return [
            row
            for rows in self._orphans.ends.values()
            for row in rows
            if self._may_be_child(row["pid"], row.get("session"), row["ticks"], after_ns)
        ]

    def _may_be(self, pid: int, stat: tuple[str, int, int, int], after_ns: int) -> bool:
        # What bears a token bears another job's: this one's was looked for.
        return self._may_be_child(pid, stat[2], stat[3], after_ns) and not read_token(pid)

    def _may_be_child(
        self, pid: int, session: int | None, ticks: int | None, after_ns: int
    ) -> bool:
        if ticks is None or ticks < after_ns // TICK_NS:
            return False
        # A child leads a session of its own, or has not come so far; others are descendants.
        if session not in {pid, os.getsid(0)}:
            return False
        return not any(
            entry.pid == pid
            and started_within(ticks, entry.spawned_after_ns, entry.spawned_before_ns)
            for entry in self._noted
        )


def _children_of(keeper: int) -> list[tuple[int, tuple[str, int, int, int]]]:
    """List all children, dead ones that are not reaped too, but not this process."""
    found: list[tuple[int, tuple[str, int, int, int]]] = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            stat = read_stat(int(name))
            if stat is not None and stat[1] == keeper:
                found.append((int(name), stat))
    return found
