"""Hand tasks over, so that no token is ever in two of them."""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drover.errors import BackendError
from drover.models import (
    Answer,
    Attempt,
    CloseAnswer,
    Closing,
    Found,
    Reason,
    SubmitAnswer,
)
from drover_qarnot._book import Book, Member
from drover_qarnot._cloud import AbsentError, Cloud, RefusedError
from drover_qarnot._config import QarnotConfig
from drover_qarnot._names import (
    OURS,
    bucket_name,
    native_id_of,
    run_prefix,
    short_name,
)
from drover_qarnot._official import official
from drover_qarnot._paths import base_of, expand
from drover_qarnot._placing import Places
from drover_qarnot._posting import (
    Group,
    group,
    native_options,
    result_bucket,
    runner_plan,
    stdin_name,
    task_json,
)
from drover_qarnot._tools import tools
from drover_qarnot._transfer import Mover

_log: Final = logging.getLogger(__name__)
TRIES: Final = 3
"""Requests for one task before its answer counts as unknown. Its name is looked up between."""


class Handing:
    """Submit, find and close."""

    def __init__(
        self, name: str, store_id: str, config: QarnotConfig, cloud: Cloud, book: Book
    ) -> None:
        self._name = name
        self._store_id = store_id
        self._config = config
        self._cloud = cloud
        self._book = book
        self._places = Places(store_id, cloud, book)
        self._ready = set[str]()
        self._lock = threading.Lock()

    # --- submission ----------------------------------------------------------------------------

    def submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Hand attempts over; those that may be there already are looked for first."""
        known = self._book.members([attempt.token for attempt in attempts])
        posted = {token: member for token, member in known.items() if member.posted}
        answers = self._repeat(posted)
        fresh: list[Attempt] = []
        for attempt in attempts:
            if attempt.token in posted:
                continue
            if self._book.is_closed(attempt.token):
                answers.append(_refused(attempt.token, "its token was closed"))
            else:
                fresh.append(attempt)
        for work in group(fresh):
            answers.extend(self._hand_over(work))
        return answers

    def _hand_over(self, work: Group) -> list[SubmitAnswer]:
        tokens = [attempt.token for attempt in work.attempts]
        try:
            record = self._prepare(work)
        except RefusedError as error:
            return [_refused(token, str(error), retryable=error.retryable) for token in tokens]
        except BackendError as error:
            return [_refused(token, str(error), retryable=True) for token in tokens]
        if record is None or not self._book.will_post(work.name):
            return [_refused(token, "it was closed while it was prepared") for token in tokens]
        return self._post(work.name, record, work.instances)

    def _prepare(self, work: Group) -> dict[str, Any] | None:
        """Upload what the runner needs. Nothing is posted yet, so that all of it may be repeated.

        Raises:
            RefusedError: The cloud says no.
            BackendError: It could not be asked.
        """
        options = native_options(work.first.spec, self._name)
        ours = bucket_name(self._store_id, "in")
        results = result_bucket(options, self._store_id)
        placing = self._places.place(work, options)
        body = task_json(work, self._config, self._name, self._store_id, placing)
        record = {
            "json": body,
            "results": results,
            "snapshot": options.get("snapshot_interval"),
            "snapshot_to": [options.get("snapshot_bucket"), options.get("snapshot_prefix")],
            "purge": _purged(options),
            "retried": "retries" in options,
        }
        if not self._book.begin(work.name, record, work.instances):
            return None
        self._make_ready(ours, results)
        self._upload_stdin(work, ours)
        plan = runner_plan(work, self._config, self._name)
        content = json.dumps(plan).encode("ascii")
        self._cloud.put(ours, f"{run_prefix(work.name)}{OURS}/plan.json", content)
        return record

    def _upload_stdin(self, work: Group, bucket: str) -> None:
        """Upload what the commands read, where the node does not see the file itself."""
        if work.first.spec.stdin is None or self._config.shared_files:
            return
        done = set[str]()
        for attempt in work.attempts:
            name = stdin_name(attempt, work.instances[attempt.token])
            path = Path(base_of(attempt)) / str(expand(attempt.spec.stdin, attempt))
            if name not in done:
                key = f"{run_prefix(work.name)}{OURS}/{name}"
                try:
                    Mover(self._cloud, self._book).upload(path, bucket, key, lambda _count: None)
                except OSError as error:
                    raise RefusedError(f"stdin cannot be read: {error}") from error
            done.add(name)

    def _make_ready(self, ours: str, results: str) -> None:
        """Make the buckets and upload the programs, once for each process."""
        prefix, content = tools()
        with self._lock:
            for bucket in {ours, results} - self._ready:
                self._cloud.make_bucket(bucket)
            if ours not in self._ready:
                for name, data in content.items():
                    self._cloud.put(ours, f"{prefix}{name}", data)
            self._ready |= {ours, results}

    def _post(
        self, name: str, record: Mapping[str, Any], instances: Mapping[str, int]
    ) -> list[SubmitAnswer]:
        """Make the task. Whatever the reply, what the cloud has under its name decides."""
        why = ""
        for _ in range(TRIES):
            try:
                uuid = self._cloud.tell(lambda connection: submit_json(connection, record["json"]))
            except RefusedError as error:
                return self._doubted(name, record, instances, error)
            except BackendError as error:
                why = str(error)
            else:
                return self._accepted(name, record, uuid, instances)
            try:
                task = self._cloud.task(name)
            except (BackendError, RefusedError) as error:
                return _unknown(instances, f"{why}; {error}")
            if task is not None:
                return self._accepted(name, record, task.uuid, instances)
        return _unknown(instances, why)

    def _doubted(
        self,
        name: str,
        record: Mapping[str, Any],
        instances: Mapping[str, int],
        error: RefusedError,
    ) -> list[SubmitAnswer]:
        """See whether a refusal means that the task is there: its name is taken only once."""
        try:
            task = self._cloud.task(name)
        except BackendError as second:
            return _unknown(instances, f"{error}; {second}")
        except RefusedError:
            task = None
        if task is not None:
            return self._accepted(name, record, task.uuid, instances)
        if isinstance(error, AbsentError):
            # A bucket went while the task was handed over: it is made anew before the next one.
            with self._lock:
                self._ready.clear()
        return [_refused(token, str(error), retryable=error.retryable) for token in instances]

    def _accepted(
        self, name: str, record: Mapping[str, Any], uuid: str, instances: Mapping[str, int]
    ) -> list[SubmitAnswer]:
        self._book.accepted(name, uuid)
        if record.get("snapshot"):
            self._start_snapshots(uuid, record)
        return [
            SubmitAnswer(
                token=token, answer=Answer.ACCEPTED, native_id=native_id_of(uuid, instance)
            )
            for token, instance in instances.items()
        ]

    def _start_snapshots(self, uuid: str, record: Mapping[str, Any]) -> None:
        # The package passes on what it is given as the bucket, and its own object is no JSON.
        bucket, prefix = record.get("snapshot_to") or (None, None)
        try:
            task = self._cloud.task(uuid)
            if task is not None:
                self._cloud.ask(
                    lambda _connection: task.snapshot(
                        record["snapshot"], bucket=bucket, bucket_prefix=prefix
                    )
                )
        except (BackendError, RefusedError, ValueError) as error:
            _log.warning("task %s takes no periodic snapshots: %s", uuid, error)

    def _repeat(self, posted: Mapping[str, Member]) -> list[SubmitAnswer]:
        """Settle tasks that may have been posted: with the same name and the same words."""
        answers: list[SubmitAnswer] = []
        for name in dict.fromkeys(member.batch for member in posted.values()):
            crew = {member.token: member for member in self._book.crew(name)}
            asked = {token: m.instance for token, m in posted.items() if m.batch == name}
            uuid = next((member.uuid for member in crew.values() if member.uuid), None)
            record = self._book.body(name)
            try:
                if uuid is None:
                    task = self._cloud.task(name)
                    uuid = None if task is None else task.uuid
            except (BackendError, RefusedError) as error:
                answers.extend(_unknown(asked, str(error)))
                continue
            if uuid is not None:
                answers.extend(self._accepted(name, record, uuid, asked))
            elif any(self._book.is_closed(token) for token in crew):
                why = "its task was never there, and one that shares it was closed"
                answers.extend(_refused(token, why) for token in asked)
            else:
                answers.extend(self._post(name, record, asked))
        return answers

    # --- finding and closing ---------------------------------------------------------------------

    def find(self, tokens: Sequence[str]) -> list[Found]:
        """Search for tokens: by what is written down, else by the name that a token gives."""
        known = self._book.members(tokens)
        found: list[Found] = []
        for token in tokens:
            member = known.get(token)
            name = member.batch if member else short_name([token])
            task = self._cloud.task(name)
            if task is not None:
                native_id = native_id_of(task.uuid, member.instance if member else 0)
                found.append(Found(token=token, native_id=native_id))
        return found

    def close(self, tokens: Sequence[str]) -> list[CloseAnswer]:
        """Shut tokens: first here, then at the cloud, where a task may yet appear."""
        answers: list[CloseAnswer] = []
        for token in tokens:
            member = self._book.close_token(token)
            if member is None:
                answers.append(CloseAnswer(token=token, closing=Closing.CLOSED))
                continue
            try:
                answers.append(self._close(member))
            except (BackendError, RefusedError) as error:
                answers.append(
                    CloseAnswer(token=token, closing=Closing.UNKNOWN, message=str(error))
                )
        return answers

    def _close(self, member: Member) -> CloseAnswer:
        """Leave a mark that the runner heeds, then see whether the task is there."""
        task = self._cloud.task(member.batch)
        if task is None:
            # Should the cloud accept what it was asked for long ago, its runner runs nothing.
            self.mark_closed(member)
            task = self._cloud.task(member.batch)
        if task is None:
            return CloseAnswer(token=member.token, closing=Closing.CLOSED)
        return CloseAnswer(
            token=member.token,
            closing=Closing.TAKEN,
            native_id=native_id_of(task.uuid, member.instance),
        )

    def mark_closed(self, member: Member) -> None:
        """Let an instance that has not begun run nothing."""
        bucket = bucket_name(self._store_id, "in")
        key = f"{run_prefix(member.batch)}{OURS}/closed.{member.instance}"
        self._cloud.make_bucket(bucket)
        self._cloud.put(bucket, key, b"closed\n")


def submit_json(connection: Any, body: Mapping[str, Any]) -> str:
    """Post a task by the official package, word for word as it was written down."""
    base: Any = official("task").Task

    class Written(base):  # type: ignore[misc]
        """A task whose JSON is given."""

        def _to_json(self) -> dict[str, Any]:
            return dict(body)

        def _post_submit(self) -> None:
            """Ask for nothing more: the task is there."""

    task = Written(connection, body["name"])
    task.auto_update = False
    task.submit()
    return str(task.uuid)


def _purged(options: Mapping[str, Any]) -> list[str]:
    """List the user's own buckets that go with the job."""
    buckets: list[str] = []
    if options.get("purge_resources"):
        buckets += [r if isinstance(r, str) else r["bucket"] for r in options["resources"]]
    if options.get("purge_results"):
        buckets.append(options["result_bucket"])
    return list(dict.fromkeys(buckets))


def _refused(token: str, message: str, *, retryable: bool = False) -> SubmitAnswer:
    return SubmitAnswer(
        token=token,
        answer=Answer.REFUSED,
        message=message,
        reason=Reason.REFUSED,
        retryable=retryable,
    )


def _unknown(instances: Mapping[str, int], message: str) -> list[SubmitAnswer]:
    return [
        SubmitAnswer(token=token, answer=Answer.UNKNOWN, message=message) for token in instances
    ]
