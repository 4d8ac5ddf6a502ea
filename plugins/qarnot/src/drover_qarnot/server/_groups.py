"""Pools and jobs as the database holds them."""

import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from attrs import frozen

from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import missing
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._scaling import bounds_of_elastic, bounds_of_policy, resized
from drover_qarnot.server._values import to_seconds

Json = dict[str, Any]
G = TypeVar("G", bound="Pool | Job")
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@frozen(kw_only=True)
class Pool:
    """Slots with a profile, resources and constants that tasks share."""

    n: int
    uuid: str
    owner: str
    shortname: str
    name: str
    state: str
    previous_state: str | None
    state_at: float
    previous_state_at: float | None
    created_at: float
    modified_at: float
    ended_at: float | None
    phase: str
    """layout, preparing, open, closing, over."""
    due_at: float | None
    sealed: bytes | None
    asked: Json
    facts: Json


@frozen(kw_only=True)
class Job:
    """Tasks that belong together."""

    n: int
    uuid: str
    owner: str
    shortname: str
    name: str
    pool: str | None
    state: str
    previous_state: str | None
    state_at: float
    previous_state_at: float | None
    created_at: float
    modified_at: float
    due_at: float | None
    asked: Json


def _known(row: sqlite3.Row) -> Json:
    found: Json = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    for name in ("asked", "facts"):
        if name in found:
            found[name] = json.loads(found[name])
    return found


def of_pool_row(row: sqlite3.Row) -> Pool:
    """Read a pool of a row that somebody else has selected."""
    return Pool(**_known(row))


def of_job_row(row: sqlite3.Row) -> Job:
    """Read a job of a row that somebody else has selected."""
    return Job(**_known(row))


def _moved(known: Json, state: str | None, columns: Json) -> Json:
    now = time.time()
    if state is not None and state != known["state"]:
        columns |= {
            "state": state, "previous_state": known["state"], "state_at": now,
            "previous_state_at": known["state_at"],
        }  # fmt: skip
    return {**columns, "modified_at": now}


class _Groups(Generic[G]):
    """Read and move what is one row of a table of its own."""

    KIND: type[G]
    TABLE: ClassVar[str]
    GONE: ClassVar[str]
    """The state of one that is deleted: it is still there, and nobody finds it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, owner: str, name: str) -> G:
        """Find a user's own by its uuid or shortname.

        Raises:
            ApiError: 404.
        """
        row = self._database.first(
            f"SELECT * FROM {self.TABLE} WHERE owner = ? AND (uuid = ? OR shortname = ?) "
            "AND state <> ?",
            owner, name.lower(), name, self.GONE,
        )  # fmt: skip
        if row is None:
            raise missing(self.KIND.__name__.lower(), name)
        return self.KIND(**_known(row))

    def get(self, uuid: str) -> G | None:
        """Read one, a deleted one too."""
        row = self._database.first(f"SELECT * FROM {self.TABLE} WHERE uuid = ?", uuid)
        return None if row is None else self.KIND(**_known(row))

    def select(self, condition: str, *values: Any) -> list[G]:
        """List those that meet a condition."""
        rows = self._database.read(f"SELECT * FROM {self.TABLE} WHERE {condition}", *values)
        return [self.KIND(**_known(row)) for row in rows]

    def move(self, uuid: str, state: str | None = None, **columns: Any) -> G | None:
        """Change one; `facts` and `asked` are laid over those that are there."""
        with self._database.write() as connection:
            row = connection.execute(
                f"SELECT * FROM {self.TABLE} WHERE uuid = ?", (uuid,)
            ).fetchone()
            if row is None:
                return None
            known = _known(row)
            for name in ("facts", "asked"):
                if name in columns:
                    columns[name] = json.dumps({**known[name], **columns[name]})
            values = _moved(known, state, columns)
            names = ", ".join(f"{name} = ?" for name in values)
            connection.execute(
                f"UPDATE {self.TABLE} SET {names} WHERE uuid = ?", (*values.values(), uuid)
            )
        return self.get(uuid)

    def forget(self, uuid: str) -> None:
        """Take one out of the database."""
        with self._database.write() as connection:
            connection.execute(f"DELETE FROM {self.TABLE} WHERE uuid = ?", (uuid,))


class Pools(_Groups[Pool]):
    """Read and move pools."""

    KIND = Pool
    TABLE = "pools"
    GONE = "PendingDelete"

    def __init__(self, database: Database, home: Path, hidden: Hidden) -> None:
        super().__init__(database)
        self._home = home
        self._hidden = hidden

    def folder(self, uuid: str) -> Path:
        """Give the folder of a pool."""
        return self._home / "pools" / uuid

    def constants(self, pool: Pool) -> dict[str, str]:
        """Give the constants of a pool, the forced and the write-only ones too."""
        shown = {one["key"]: one["value"] for one in pool.asked["constants"]}
        forced = {
            one["constantName"]: one["forcedValue"]
            for one in pool.asked.get("forcedConstants") or ()
            if one.get("forcedValue") is not None
        }
        return {**shown, **self._hidden.open_constants(pool.uuid, pool.sealed), **forced}

    def taken(self, uuid: str) -> int:
        """Count the slots that tasks may use now."""
        row = self._database.first(
            "SELECT coalesce(sum(cap), 0) AS taken FROM tasks "
            "WHERE pool = ? AND phase IN ('layout', 'placing', 'placed')", uuid
        )  # fmt: skip
        return 0 if row is None else int(row["taken"])

    def queued(self, uuid: str) -> int:
        """Count instances of a pool's tasks that have not ended."""
        row = self._database.first(
            "SELECT coalesce(sum(size), 0) AS queued FROM tasks "
            "WHERE pool = ? AND phase <> 'over' AND wanted = ''", uuid
        )  # fmt: skip
        return 0 if row is None else int(row["queued"])

    def slots(self, uuid: str) -> int:
        """Count the slots that a pool has now; it grows or shrinks where that is due.

        A pool here is a limit and no machine that has to start.
        """
        pool = self.get(uuid)
        if pool is None:
            return 0
        slots: Json = pool.asked.get("multiSlotsSettings") or {}
        per_node = int(slots.get("slotsPerNode") or 1)
        policy = active_policy(pool.asked.get("scaling"), time.time())
        elastic: Json = pool.asked.get("elasticProperty") or {}
        if policy is not None and policy.get("type") == "Fixed":
            return max(0, int(policy.get("slotsCount") or 0))
        if policy is None and not elastic.get("isElastic"):
            return int(pool.asked["instanceCount"]) * per_node
        bounds = bounds_of_elastic(elastic) if policy is None else bounds_of_policy(policy)
        known: Json | None = pool.facts.get("size")
        size = resized(known, bounds, self.queued(uuid), time.time())
        if size.write() != known and pool.phase != "over":
            self.move(uuid, facts={"size": size.write()})
        return size.slots


def active_policy(scaling: Json | None, at: float) -> Json | None:
    """Find the first policy with a period that matches an instant; without periods it always does.

    Source: the SDK's documentation of `Scaling`: the first policy that matches is active.
    """
    for policy in (scaling or {}).get("policies") or ():
        periods = policy.get("enabledPeriods") or [{"type": "Always"}]
        if any(_matches(period, at) for period in periods):
            found: Json = policy
            return found
    return None


def _matches(period: Json, at: float) -> bool:
    if period.get("type") != "Weekly":
        return period.get("type") == "Always"
    now = datetime.fromtimestamp(at, UTC)
    if _DAYS[now.weekday()] not in [str(day).lower() for day in period.get("days") or ()]:
        return False
    clock = now.strftime("%H:%M:%S")
    return str(period.get("startTimeUtc", "")) <= clock < str(period.get("endTimeUtc", "99"))


class Jobs(_Groups[Job]):
    """Read and move jobs."""

    KIND = Job
    TABLE = "jobs"
    GONE = "Deleting"

    def unfinished(self, uuid: str) -> list[str]:
        """List the tasks of a job that have not ended."""
        rows = self._database.read(
            "SELECT uuid FROM tasks WHERE job = ? AND phase <> 'over' AND wanted <> 'delete'", uuid
        )
        return [str(row["uuid"]) for row in rows]

    def settle(self, uuid: str) -> None:
        """End a job that terminates once its last task has ended."""
        job = self.get(uuid)
        if job is None or self.unfinished(uuid):
            return
        if job.state == "Terminating":
            life_s = to_seconds(job.asked.get("completionTimeToLive") or "00:00:00", "")
            self.move(uuid, "Completed", due_at=time.time() + life_s if life_s else None)
        elif job.state == "Deleting":
            self.forget(uuid)
