"""Creation of tasks, pools and jobs: checked first, then one transaction, then nothing can fail.

After the transaction no answer is an error, so that a client that repeats what was answered with
5xx never makes a second task.
"""

import hashlib
import json
import sqlite3
import time
import uuid as uuids
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from attrs import evolve, frozen

from drover_qarnot.server import _profiles
from drover_qarnot.server._answers import Answers
from drover_qarnot.server._asked import (
    HIDDEN,
    SECRET,
    Constant,
    JobAsked,
    PoolAsked,
    TaskAsked,
    check_job,
    check_pool,
    check_task,
    too_many,
)
from drover_qarnot.server._buckets import Buckets, BucketsError
from drover_qarnot.server._config import Settings
from drover_qarnot.server._credits import Purse
from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import ApiError, invalid
from drover_qarnot.server._groups import Job, Jobs, Pools
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._reading import Scalar, read, write
from drover_qarnot.server._records import Tasks
from drover_qarnot.server._scaling import check_scaling, check_sizes
from drover_qarnot.server._values import to_seconds

Json = dict[str, Any]
T = TypeVar("T")


def digest_of(asked: TaskAsked) -> str:
    """Name a body, so that its repetition is known."""
    return hashlib.sha256(json.dumps(write(asked), sort_keys=True).encode()).hexdigest()


def split_constants(constants: list[Constant]) -> tuple[list[Constant], dict[str, str]]:
    """Take the values of write-only constants out."""
    hidden = {one.key: str(one.value) for one in constants if one.key.startswith(SECRET)}
    shown = [
        Constant(key=one.key, value=Scalar(HIDDEN)) if one.key in hidden else one
        for one in constants
    ]
    return shown, hidden


@frozen(kw_only=True)
class Prepared:
    """A task that was found right, before it is created."""

    uuid: str
    asked: TaskAsked
    pool: str | None
    job: Job | None
    digest: str
    sealed: bytes | None


class Creation:
    """Create what users ask for."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        tasks: Tasks,
        pools: Pools,
        jobs: Jobs,
        hidden: Hidden,
        buckets: Buckets,
        purse: Purse,
    ) -> None:
        self._settings = settings
        self._database = database
        self._tasks = tasks
        self._pools = pools
        self._jobs = jobs
        self._hidden = hidden
        self._buckets = buckets
        self._purse = purse
        self.answers: Final = Answers(database)

    # Tasks

    def task(self, owner: str, body: object) -> str:
        """Create a task.

        Returns:
            Its uuid.

        Raises:
            ApiError: It cannot be; nothing was created.
        """
        prepared = self._prepare(owner, body)
        with self._database.write() as connection:
            return self._insert(connection, owner, prepared)

    def bulk(self, owner: str, bodies: Sequence[object]) -> list[Json]:
        """Create several tasks in one transaction, each for itself.

        Returns:
            Per body what came of it, in order.

        Raises:
            ApiError: They are too many, or what they need cannot be asked now; none was created.
        """
        if len(bodies) > self._settings.limits.bulk:
            raise invalid("body", f"at most {self._settings.limits.bulk} tasks")
        checked = [self._tried(partial(self._prepare, owner, body)) for body in bodies]
        with self._database.write() as connection:
            rows = [
                self._tried(partial(self._insert, connection, owner, row))
                if isinstance(row, Prepared)
                else row
                for row in checked
            ]
        return [
            {"statusCode": row.status, "uuid": None, "message": row.message}
            if isinstance(row, ApiError)
            else {"statusCode": 200, "uuid": row, "message": ""}
            for row in rows
        ]

    @staticmethod
    def _tried(what: Callable[[], T]) -> T | ApiError:
        try:
            return what()
        except ApiError as exc:
            # Not now: the whole request is asked again.
            if exc.status >= 500:
                raise
            return exc

    def _prepare(self, owner: str, body: object) -> "Prepared":
        asked = read(TaskAsked, body)
        check_task(asked, self._settings.limits)
        asked, pool, job = self._placed(owner, asked)
        self._check_hardware(owner, asked, pool)
        self._check_buckets(owner, asked)
        self._check_size(asked)
        shown, hidden = split_constants(asked.constants)
        uuid = str(uuids.uuid4())
        return Prepared(
            uuid=uuid,
            asked=evolve(asked, constants=shown),
            pool=pool,
            job=job,
            digest=digest_of(asked),
            sealed=self._hidden.seal_constants(uuid, hidden),
        )

    def _insert(self, connection: sqlite3.Connection, owner: str, one: "Prepared") -> str:
        """Insert a task, or find the one that was made for the same request and not answered."""
        uuid = self.answers.find(connection, owner, one.digest)
        if uuid is None:
            self._make_room(connection, "tasks", owner, self._settings.limits.tasks)
            self._check_name(connection, "tasks", owner, one.asked.shortname)
            if one.job is not None:
                self._check_dependencies(connection, owner, one.asked, one.job)
            self._insert_task(connection, owner, one)
            uuid = one.uuid
        # Before another can look for it: it is this request's, and no leftover.
        self.answers.owe(uuid)
        return uuid

    def _placed(self, owner: str, asked: TaskAsked) -> tuple[TaskAsked, str | None, Job | None]:
        """Find a task's pool and job, and its profile.

        Raises:
            ApiError: 400, one is unknown, or the task has no profile, or two.
        """
        job = pool = None
        if asked.job_uuid is not None:
            job = self._known(self._jobs.find, owner, asked.job_uuid, "jobUuid")
            if job.state != "Active":
                raise invalid("jobUuid", f"the job is {job.state}")
            pool = job.pool
        elif asked.dependencies is not None and asked.dependencies.all():
            raise invalid("dependencies", "they need a job with useDependencies")
        if asked.pool_uuid is not None:
            pool = self._known(self._pools.find, owner, asked.pool_uuid, "poolUuid").uuid
        if (pool is None) == (not asked.profile):
            raise invalid("profile", "a task has a profile, or a pool")
        if pool is None and asked.profile not in self._settings.profiles:
            raise invalid("profile", f"there is no profile {(asked.profile or '')[:80]!r}")
        found = self._pools.get(pool) if pool else None
        if found is not None and found.phase in {"closing", "over"}:
            raise invalid("poolUuid", "the pool is closed")
        return evolve(asked, job_uuid=job.uuid if job else None), pool, job

    @staticmethod
    def _known(find: Any, owner: str, name: str, field: str) -> Any:
        try:
            return find(owner, name)
        except ApiError as exc:
            raise invalid(field, exc.message) from exc

    def _check_size(self, asked: TaskAsked | PoolAsked) -> None:
        most = self._settings.limits.task_bytes
        if len(json.dumps(write(asked))) > most:
            raise invalid("body", f"larger than {most} bytes")

    def _check_hardware(self, owner: str, asked: TaskAsked, pool: str | None) -> None:
        del owner
        if pool is None:
            profile = self._settings.profiles[asked.profile or ""]
            hardware = self._settings.hardware
            _profiles.resources_of(profile, asked.hardware_constraints, hardware)
        elif asked.hardware_constraints:
            raise invalid("hardwareConstraints", "a task in a pool has none of its own")

    def _check_buckets(self, owner: str, asked: TaskAsked | PoolAsked) -> None:
        for name in dict.fromkeys(bucket.bucket_name for bucket in asked.buckets()):
            self._check_bucket(owner, name)
        result = asked.result_bucket if isinstance(asked, TaskAsked) else None
        if result:
            try:
                self._buckets.ensure(owner, result)
            except BucketsError as exc:
                if not exc.lasting:
                    raise ApiError(503, str(exc)) from exc
                raise ApiError(404, f"the result bucket cannot be had: {exc}") from exc

    def _check_bucket(self, owner: str, name: str) -> None:
        try:
            there = self._buckets.exists(owner, name)
        except BucketsError as exc:
            raise ApiError(503, str(exc)) from exc
        if not there:
            raise ApiError(404, f"No such bucket: {name}")

    def _check_name(
        self, connection: sqlite3.Connection, table: str, owner: str, shortname: str | None
    ) -> None:
        if shortname is None:
            return
        row = connection.execute(
            f"SELECT uuid FROM {table} WHERE owner = ? AND (shortname = ? OR uuid = ?)",
            (owner, shortname, shortname.lower()),
        ).fetchone()
        if row is not None:
            raise ApiError(409, f"shortname {shortname!r} is that of {row['uuid']}")

    def _make_room(self, connection: sqlite3.Connection, table: str, owner: str, most: int) -> None:
        """Keep to the account's credits and quota; the oldest that may be deleted makes room.

        Raises:
            ApiError: 402, there is nothing left; 403, in the words that the SDK looks for.
        """
        self._purse.check(owner)
        hidden = "wanted <> 'delete'" if table == "tasks" else "state NOT LIKE '%Delet%'"
        (count,) = connection.execute(
            f"SELECT count(*) FROM {table} WHERE owner = ? AND {hidden}", (owner,)
        ).fetchone()
        if count < most:
            return
        over = {"tasks": "phase = 'over'", "pools": "phase = 'over'", "jobs": "state = 'Completed'"}
        row = connection.execute(
            f"SELECT uuid FROM {table} WHERE owner = ? AND {hidden} AND {over[table]} "
            "AND json_extract(asked, '$.autoDeleteOnCompletion') ORDER BY n LIMIT 1",
            (owner,),
        ).fetchone()
        if row is None:
            raise too_many(table)
        if table == "tasks":
            connection.execute(
                "UPDATE tasks SET wanted = 'delete', shortname = uuid, due_at = ? WHERE uuid = ?",
                (time.time(), row["uuid"]),
            )
        else:
            connection.execute(f"DELETE FROM {table} WHERE uuid = ?", (row["uuid"],))

    def _check_dependencies(
        self, connection: sqlite3.Connection, owner: str, asked: TaskAsked, job: Job
    ) -> None:
        """Refuse dependencies that could never be met. A cycle cannot be: the others are there."""
        wanted = asked.dependencies.all() if asked.dependencies else []
        if wanted and not job.asked.get("useDependencies"):
            raise invalid("dependencies", "the job was made without useDependencies")
        for one in wanted:
            row = connection.execute(
                "SELECT job FROM tasks WHERE owner = ? AND uuid = ? AND wanted <> 'delete'",
                (owner, one.task_uuid),
            ).fetchone()
            if row is None or row["job"] != job.uuid:
                raise invalid("dependencies", f"{one.task_uuid[:80]} is no task of this job")

    def _insert_task(self, connection: sqlite3.Connection, owner: str, one: "Prepared") -> None:
        now, asked = time.time(), one.asked
        size = len(asked.instances(self._settings.limits.instances))
        due = now + asked.max_time_queue_seconds if asked.max_time_queue_seconds else None
        connection.execute(
            "INSERT INTO tasks(uuid, owner, shortname, name, profile, pool, job, size, state, "
            "state_at, created_at, modified_at, phase, due_at, digest, sealed, asked, facts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'Submitted', ?, ?, ?, 'waiting', ?, ?, ?, ?, '{}')",
            (
                one.uuid, owner, asked.shortname or one.uuid, asked.name,
                "" if one.pool else asked.profile or "", one.pool,
                one.job.uuid if one.job else None, size, now, now, now, due, one.digest,
                one.sealed, json.dumps(write(asked)),
            ),
        )  # fmt: skip

    # Pools and jobs

    def pool(self, owner: str, body: object) -> str:
        """Create a pool.

        Returns:
            Its uuid.

        Raises:
            ApiError: It cannot be; nothing was created.
        """
        asked = read(PoolAsked, body)
        check_pool(asked, self._settings.limits)
        profile = self._settings.profiles.get(asked.profile or "")
        if profile is None:
            raise invalid("profile", f"there is no profile {(asked.profile or '')[:80]!r}")
        if asked.scaling is not None and (asked.elastic_property or {}).get("isElastic"):
            raise invalid("scaling", "it excludes an elastic pool")
        self._check_size(asked)
        check_scaling(asked.scaling)
        check_sizes("elasticProperty", asked.elastic_property)
        check_sizes("multiSlotsSettings", asked.multi_slots_settings)
        _profiles.resources_of(profile, asked.hardware_constraints, self._settings.hardware)
        self._check_buckets(owner, asked)
        shown, hidden = split_constants(asked.constants)
        uuid, now = str(uuids.uuid4()), time.time()
        due = now + asked.max_time_queue_seconds if asked.max_time_queue_seconds else None
        sealed = self._hidden.seal_constants(uuid, hidden)
        asked = evolve(asked, constants=shown)
        with self._database.write() as connection:
            self._make_room(connection, "pools", owner, self._settings.limits.pools)
            self._check_name(connection, "pools", owner, asked.shortname)
            connection.execute(
                "INSERT INTO pools(uuid, owner, shortname, name, state, state_at, created_at, "
                "modified_at, phase, due_at, sealed, asked, facts) "
                "VALUES (?, ?, ?, ?, 'Submitted', ?, ?, ?, 'layout', ?, ?, ?, '{}')",
                (uuid, owner, asked.shortname or uuid, asked.name, now, now, now, due, sealed,
                 json.dumps(write(asked))),
            )  # fmt: skip
        return uuid

    def job(self, owner: str, body: object) -> str:
        """Create a job.

        Returns:
            Its uuid.

        Raises:
            ApiError: It cannot be; nothing was created.
        """
        asked = read(JobAsked, body)
        check_job(asked)
        pool = None
        if asked.pool_uuid is not None:
            pool = self._known(self._pools.find, owner, asked.pool_uuid, "poolUuid").uuid
        life_s = to_seconds(asked.max_wall_time, "maxWallTime") if asked.max_wall_time else 0.0
        uuid, now = str(uuids.uuid4()), time.time()
        due = now + life_s if life_s else None
        with self._database.write() as connection:
            self._make_room(connection, "jobs", owner, self._settings.limits.jobs)
            self._check_name(connection, "jobs", owner, asked.shortname)
            connection.execute(
                "INSERT INTO jobs(uuid, owner, shortname, name, pool, state, state_at, created_at, "
                "modified_at, due_at, asked) VALUES (?, ?, ?, ?, ?, 'Active', ?, ?, ?, ?, ?)",
                (uuid, owner, asked.shortname or uuid, asked.name, pool, now, now, now, due,
                 json.dumps(write(evolve(asked, pool_uuid=pool)))),
            )  # fmt: skip
        return uuid
