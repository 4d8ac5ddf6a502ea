"""Tasks as the database holds them, and the one way in which they move."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import frozen

from drover_qarnot.server._asked import TaskAsked
from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import missing
from drover_qarnot.server._reading import read

ORDER: Final = (
    "Submitted",
    "PartiallyDispatched",
    "FullyDispatched",
    "PartiallyExecuting",
    "FullyExecuting",
    "UploadingResults",
)
"""States of a task that has not ended: it goes from left to right, save when it is run again."""
FINAL: Final = frozenset({"Success", "Failure", "Cancelled"})
MOST_ERRORS: Final = 20
"""Errors kept per task; of 10,000 instances that failed the first tell enough."""
Json = dict[str, Any]


@frozen(kw_only=True)
class Task:
    """One task. `phase` says what the server has to do next, `state` what a user is told."""

    n: int
    uuid: str
    owner: str
    shortname: str
    name: str
    profile: str
    pool: str | None
    job: str | None
    size: int
    state: str
    previous_state: str | None
    state_at: float
    previous_state_at: float | None
    created_at: float
    modified_at: float
    started_at: float | None
    ended_at: float | None
    phase: str
    """waiting, layout, placing, placed, over."""
    wanted: str
    """'', abort, delete."""
    array_id: str | None
    cap: int | None
    due_at: float | None
    snapshot_at: float | None
    """When the next periodic snapshot is due."""
    sealed: bytes | None
    asked: Json
    """In the shape of answers: secret constants are not in it."""
    facts: Json

    @property
    def request(self) -> TaskAsked:
        """Read what was asked for."""
        return read(TaskAsked, self.asked)

    @property
    def is_final(self) -> bool:
        """Tell whether it has ended."""
        return self.state in FINAL

    @property
    def errors(self) -> list[Json]:
        """List what went wrong."""
        found: list[Json] = self.facts.get("errors", [])
        return found


def _task(row: sqlite3.Row) -> Task:
    known = {name: row[name] for name in row.keys() if name not in {"answered", "digest"}}  # noqa: SIM118 - a Row iterates over its values
    known["asked"] = json.loads(known["asked"])
    known["facts"] = json.loads(known["facts"])
    return Task(**known)


def error(code: str, message: str, debug: str | None = None) -> Json:
    """Write what went wrong with a task, as answers have it."""
    return {"code": code, "message": message[:2000], "debug": debug}


class Tasks:
    """Read and move tasks."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @staticmethod
    def of_row(row: sqlite3.Row) -> Task:
        """Read a task of a row that somebody else has selected."""
        return _task(row)

    def find(self, owner: str, name: str) -> Task:
        """Find a user's task by its uuid or shortname.

        Raises:
            ApiError: 404, there is none that this user may see.
        """
        row = self.database.first(
            "SELECT * FROM tasks WHERE owner = ? AND (uuid = ? OR shortname = ?) "
            "AND wanted <> 'delete'",
            owner, name.lower(), name,
        )  # fmt: skip
        if row is None:
            raise missing("task", name)
        return _task(row)

    def get(self, uuid: str) -> Task | None:
        """Read a task, a deleted one too."""
        row = self.database.first("SELECT * FROM tasks WHERE uuid = ?", uuid)
        return None if row is None else _task(row)

    def select(self, condition: str, *values: Any) -> list[Task]:
        """List tasks."""
        rows = self.database.read(f"SELECT * FROM tasks WHERE {condition}", *values)
        return [_task(row) for row in rows]

    def uuids(self, condition: str, *values: Any) -> list[str]:
        """List uuids of tasks."""
        rows = self.database.read(f"SELECT uuid FROM tasks WHERE {condition}", *values)
        return [str(row["uuid"]) for row in rows]

    def move(self, uuid: str, state: str | None = None, **columns: Any) -> Task | None:
        """Change a task: its state with the instants that go with it, and other columns.

        Args:
            uuid: Whose.
            state: `None`, or the one that it has: no transition.
            columns: New values. `facts` is laid over those that are there.

        Returns:
            The task afterwards; `None` if it is gone. A task that has ended stays as it ended.
        """
        with self.database.write() as connection:
            return self.move_in(connection, uuid, state, **columns)

    def move_in(
        self, connection: sqlite3.Connection, uuid: str, state: str | None = None, **columns: Any
    ) -> Task | None:
        """Do as `move` does, in a transaction that is open."""
        row = connection.execute("SELECT * FROM tasks WHERE uuid = ?", (uuid,)).fetchone()
        if row is None:
            return None
        task, now = _task(row), time.time()
        if task.is_final and state not in {None, task.state}:
            state = None
            columns.pop("phase", None)
        facts: Mapping[str, Any] | None = columns.pop("facts", None)
        if facts is not None:
            columns["facts"] = json.dumps({**task.facts, **facts})
        if state is not None and state != task.state:
            columns |= {
                "state": state, "previous_state": task.state, "state_at": now,
                "previous_state_at": task.state_at,
            }  # fmt: skip
            if state in FINAL:
                columns |= {"ended_at": now, "phase": "over", "snapshot_at": None}
            if "Executing" in state and task.started_at is None:
                columns["started_at"] = now
        if not columns:
            return task
        columns["modified_at"] = now
        names = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(f"UPDATE tasks SET {names} WHERE uuid = ?", (*columns.values(), uuid))
        return _task(connection.execute("SELECT * FROM tasks WHERE uuid = ?", (uuid,)).fetchone())

    def instances(self, uuid: str) -> list[Json]:
        """List the instances that have ended, as answers have them."""
        rows = self.database.read(
            "SELECT body FROM instances WHERE task = ? ORDER BY instance", uuid
        )
        return [json.loads(row["body"]) for row in rows]

    def ended(self, uuid: str) -> dict[str, list[int]]:
        """List instances that have ended, by how."""
        out: dict[str, list[int]] = {}
        for row in self.database.read(
            "SELECT instance, state FROM instances WHERE task = ? ORDER BY instance", uuid
        ):
            out.setdefault(str(row["state"]), []).append(int(row["instance"]))
        return out

    def keep_instances(
        self, uuid: str, bodies: Iterable[Json], errors: Iterable[Json], results: int
    ) -> None:
        """Note instances that have ended, and what came of them, in one transaction."""
        with self.database.write() as connection:
            row = connection.execute(
                "SELECT owner, facts FROM tasks WHERE uuid = ?", (uuid,)
            ).fetchone()
            if row is None:
                return
            facts: Json = json.loads(row["facts"])
            new, core_s = 0, 0.0
            for body in bodies:
                if connection.execute(
                    "INSERT OR IGNORE INTO instances VALUES (?, ?, ?, ?)",
                    (uuid, body["instanceId"], body["state"], json.dumps(body)),
                ).rowcount:
                    new += 1
                    core_s += body["execTimeSec"] * body["coreCount"]
            if not new:
                return
            connection.execute(
                "INSERT INTO spent VALUES (?, ?) "
                "ON CONFLICT(owner) DO UPDATE SET core_s = core_s + excluded.core_s",
                (row["owner"], core_s),
            )
            facts["errors"] = [*facts.get("errors", []), *errors][:MOST_ERRORS]
            facts["resultsCount"] = facts.get("resultsCount", 0) + results
            connection.execute(
                "UPDATE tasks SET facts = ?, modified_at = ? WHERE uuid = ?",
                (json.dumps(facts), time.time(), uuid),
            )

    def forget_in(self, connection: sqlite3.Connection, task: Task) -> None:
        """Take a task and all that belongs to it out of the database."""
        for table in ("instances", "cursors", "snapshots"):
            connection.execute(f"DELETE FROM {table} WHERE task = ?", (task.uuid,))
        connection.execute("DELETE FROM tasks WHERE uuid = ?", (task.uuid,))
