"""Which creations were answered: who asks again for what was not gets what was made."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Final

from drover_qarnot.server._database import Database

UNANSWERED_S: Final = 120.0
"""How long a task whose answer was not sent is given to who asks for the same again."""


class Answers:
    """Keep apart requests that are under way, answered, and lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._under_way = set[str]()
        self._answered: list[str] = []

    def owe(self, uuid: str) -> None:
        """Take a task as that of a request which is being answered now."""
        with self._lock:
            self._under_way.add(uuid)

    def sent(self, uuids: Sequence[str]) -> None:
        """Take it that the answer to a creation was sent. It is noted a little later."""
        with self._lock:
            self._answered.extend(uuids)

    def lost(self, uuids: Sequence[str]) -> None:
        """Take it that it was not: who asks for the same is given what was made."""
        with self._lock:
            self._under_way.difference_update(uuids)

    def note(self) -> None:
        """Note which answers were sent, of many creations at once."""
        with self._lock:
            uuids = self._answered[:]
        if not uuids:
            return
        with self._database.write() as connection:
            connection.executemany(
                "UPDATE tasks SET answered = 1 WHERE uuid = ?", [(uuid,) for uuid in uuids]
            )
        with self._lock:
            del self._answered[: len(uuids)]
            self._under_way.difference_update(uuids)

    def find(self, connection: sqlite3.Connection, owner: str, digest: str) -> str | None:
        """Find a task that was made of the same body, and whose answer was not sent."""
        rows = connection.execute(
            "SELECT uuid FROM tasks WHERE owner = ? AND digest = ? AND answered = 0 "
            "AND created_at > ? AND wanted = '' ORDER BY n",
            (owner, digest, time.time() - UNANSWERED_S),
        ).fetchall()
        with self._lock:
            return next((row["uuid"] for row in rows if row["uuid"] not in self._under_way), None)
