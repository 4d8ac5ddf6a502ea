"""A store that can fail, and whose process can be stopped, at every write."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, cast

from drover._store import Store
from drover.hookspecs import Clock
from drover.testing.simulation._danger import Point

_WRITES: Final = ("INSERT", "UPDATE", "DELETE")
Gate = Callable[[Point], object]


def _open_gate(_point: Point) -> None:
    """Let everything pass."""


class _Guarded:
    """A connection of which each statement passes a gate."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._writing = False
        self.gate: Gate = _open_gate

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Execute a statement, unless the gate raises."""
        if sql == "BEGIN IMMEDIATE":
            self.gate(Point.BEGIN)
            cursor = self._connection.execute(sql)
            self._writing = True
            return cursor
        if sql == "ROLLBACK":
            self._writing = False
        elif self._writing and sql == "COMMIT":
            self.gate(Point.COMMIT)
            cursor = self._connection.execute(sql)
            self._writing = False
            self.gate(Point.COMMITTED)
            return cursor
        elif self._writing and sql.startswith(_WRITES):
            self.gate(Point.WRITE)
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """Execute a statement for each row, unless the gate raises."""
        self.gate(Point.WRITE)
        return self._connection.executemany(sql, rows)

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        return self._connection.in_transaction

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class GuardedStore(Store):
    """A store each of whose writes passes a gate; without one it is an ordinary store."""

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        key: bytes | None,
        clock: Clock,
        read_only: str,
    ) -> None:
        # Nothing here is to outlive the machine's power, and the simulation has thousands of them.
        connection.execute("PRAGMA synchronous = OFF")
        self._guarded: Final = _Guarded(connection)
        super().__init__(home, cast("sqlite3.Connection", self._guarded), key, clock, read_only)

    def guard(self, gate: Gate) -> None:
        """Let each write pass a gate from now on."""
        self._guarded.gate = gate

    def abandon(self) -> None:
        """Leave a transaction as one does that is killed."""
        if self._guarded.in_transaction:
            self._guarded.execute("ROLLBACK")

    def write_off(self, epoch: int) -> None:
        """Let everybody see that the process of an epoch is gone, as by its pid."""
        self._guarded.execute("UPDATE lease SET process = 'gone' WHERE epoch = ?", (epoch,))
