"""Snapshots: what instances have made so far, sent to a bucket while they run."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from drover_qarnot.server._asked import check_bucket, check_pattern
from drover_qarnot.server._buckets import Buckets, BucketsError
from drover_qarnot.server._errors import ApiError, forbidden, invalid, missing
from drover_qarnot.server._reading import read
from drover_qarnot.server._records import Task, Tasks
from drover_qarnot.server._steps import Steps
from drover_qarnot.server._values import instant

Json = dict[str, Any]
SHORTEST_S: Final = 1


@frozen(kw_only=True)
class SnapshotAsked:
    """The body of both calls."""

    interval: int | None = None
    whitelist: str | None = None
    blacklist: str | None = None
    bucket: str | None = None
    bucket_prefix: str | None = None


class Snapshots:
    """Take snapshots, when asked or every so many seconds."""

    def __init__(self, tasks: Tasks, steps: Steps, buckets: Buckets) -> None:
        self._tasks = tasks
        self._steps = steps
        self._buckets = buckets

    def _checked(self, task: Task, body: object) -> Json:
        if task.is_final:
            raise forbidden("the task has ended: there is nothing to take a snapshot of")
        asked = read(SnapshotAsked, body if body is not None else {})
        check_pattern("whitelist", asked.whitelist)
        check_pattern("blacklist", asked.blacklist)
        bucket = asked.bucket or task.asked.get("snapshotBucket") or task.asked.get("resultBucket")
        if not bucket:
            raise invalid("bucket", "the task has no result bucket; name one")
        check_bucket(bucket)
        try:
            self._buckets.ensure(task.owner, bucket)
        except BucketsError as exc:
            raise ApiError(404 if exc.lasting else 503, str(exc)) from exc
        return {
            "whitelist": asked.whitelist or task.asked.get("snapshotWhitelist"),
            "blacklist": asked.blacklist or task.asked.get("snapshotBlacklist"),
            "bucket": bucket,
            "bucketPrefix": asked.bucket_prefix or task.asked.get("snapshotBucketPrefix"),
        }

    def every(self, task: Task, body: object) -> None:
        """Have snapshots taken of a task every so many seconds, counted from its submission.

        Raises:
            ApiError: 400, the interval is none; 403, the task has ended.
        """
        interval = read(SnapshotAsked, body if body is not None else {}).interval
        if interval is None or interval < SHORTEST_S:
            raise invalid("interval", f"seconds, {SHORTEST_S} or more")
        config = {**self._checked(task, body), "interval": interval}
        next_at = task.created_at + interval
        self._tasks.move(task.uuid, facts={"snapshot": config}, snapshot_at=next_at)

    def once(self, task: Task, body: object) -> Json:
        """Note that a snapshot is wanted.

        Returns:
            Its status, with its id.

        Raises:
            ApiError: 403, the task has ended; 400, there is no bucket.
        """
        config = self._checked(task, body)
        now = time.time()
        stem = f"snap_{task.uuid}_{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}"
        with self._tasks.database.write() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM snapshots WHERE id = ? OR id LIKE ?", (stem, f"{stem}-%")
            ).fetchone()
            body_now = {
                "id": stem if not count else f"{stem}-{count}",
                "taskUuid": task.uuid,
                "triggerDate": instant(now),
                "lastUpdateDate": instant(now),
                "snapshotConfig": config,
                "status": "triggered",
                "sizeToUpload": None,
                "transferredSize": None,
            }
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, 0, ?)",
                (body_now["id"], task.uuid, json.dumps(body_now)),
            )
        return body_now

    def find(self, task: Task, snapshot: str) -> Json:
        """Tell how far one is.

        Raises:
            ApiError: 404.
        """
        row = self._tasks.database.first(
            "SELECT body FROM snapshots WHERE id = ? AND task = ?", snapshot, task.uuid
        )
        if row is None:
            raise missing("snapshot", snapshot)
        found: Json = json.loads(row["body"])
        return found

    def open(self) -> list[str]:
        """List the ids of snapshots that were asked for and are not over."""
        return [
            str(row["id"])
            for row in self._tasks.database.read("SELECT id FROM snapshots WHERE over = 0")
        ]

    def take(self, snapshot: str) -> None:
        """Take one that was asked for."""
        row = self._tasks.database.first(
            "SELECT task, body FROM snapshots WHERE id = ? AND over = 0", snapshot
        )
        task = None if row is None else self._tasks.get(row["task"])
        if row is None or task is None:
            return
        body: Json = json.loads(row["body"])
        self._note(body, status="inProgress")
        size = sum(
            path.stat().st_size
            for place in self._places(task)
            for path in place.rglob("job/**/*")
            if path.is_file()
        )
        try:
            sent = self._send(task, body["snapshotConfig"])
        except BucketsError as exc:
            if not exc.lasting:
                raise
            self._note(body, status="failure", over=True)
            return
        self._note(body, status="success", sizeToUpload=size, transferredSize=size, over=True)
        self._count(task, sent)

    def _note(self, body: Json, *, over: bool = False, **facts: Any) -> None:
        body |= {**facts, "lastUpdateDate": instant(time.time())}
        with self._tasks.database.write() as connection:
            connection.execute(
                "UPDATE snapshots SET body = ?, over = ? WHERE id = ?",
                (json.dumps(body), int(over), body["id"]),
            )

    def _places(self, task: Task) -> Iterator[Path]:
        folder = self._steps.folder(task.uuid) / "i"
        if folder.is_dir():
            yield from sorted(folder.iterdir())

    def _send(self, task: Task, config: Json) -> int:
        sent = 0
        for place in self._places(task):
            sent += len(self._steps.send_results(
                task, place, bucket=config["bucket"], prefix=config["bucketPrefix"],
                white=config["whitelist"], black=config["blacklist"],
            ))  # fmt: skip
        return sent

    def _count(self, task: Task, sent: int) -> None:
        """Raise `resultsCount`, without which the SDK does not look for results."""
        if not sent:
            return
        known = self._tasks.get(task.uuid)
        if known is not None:
            count = int(known.facts.get("resultsCount", 0)) + sent
            self._tasks.move(task.uuid, facts={"resultsCount": count})

    def due(self, now: float) -> list[str]:
        """List tasks of which a periodic snapshot is due."""
        return self._tasks.uuids("snapshot_at <= ? LIMIT 500", now)

    def take_periodic(self, uuid: str) -> None:
        """Take the periodic snapshot of a task that is due."""
        task = self._tasks.get(uuid)
        if task is None or task.snapshot_at is None or task.phase == "over":
            return
        config: Json = task.facts["snapshot"]
        interval, now = float(config["interval"]), time.time()
        # Those that were missed are not made up for.
        late = (now - task.snapshot_at) // interval + 1
        self._tasks.move(uuid, snapshot_at=task.snapshot_at + interval * late)
        if task.phase == "placed":
            self._count(task, self._send(task, config))
