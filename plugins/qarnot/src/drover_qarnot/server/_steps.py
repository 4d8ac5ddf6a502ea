"""What is done with a task, step by step: wait, lay out, hand in, watch, take results in, end."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import drover
from drover.states import ENDED, State
from drover_qarnot.server import _layout, _profiles, _results
from drover_qarnot.server._asked import TaskAsked
from drover_qarnot.server._buckets import Buckets, BucketsError, NoBucketError
from drover_qarnot.server._config import Profile, Settings
from drover_qarnot.server._errors import ApiError
from drover_qarnot.server._gate import Gate, PoolView
from drover_qarnot.server._herd import PLACED, RUNNING, Herd
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._instances import CODES, body_of, error_of
from drover_qarnot.server._records import ORDER, Task, Tasks, error

_log: Final = logging.getLogger("drover.qarnot.steps")
AT_ONCE: Final = 1000
"""Instances whose results are taken in before the task's state is told again."""
Json = dict[str, Any]


class Steps:
    """Bring tasks further. `step` is the supervisor's; it says when it wants to be called again."""

    def __init__(
        self,
        *,
        home: Path,
        settings: Settings,
        tasks: Tasks,
        herd: Herd,
        buckets: Buckets,
        gate: Gate,
        hidden: Hidden,
        backend: str,
    ) -> None:
        self._home = home
        self._settings = settings
        self._tasks = tasks
        self._herd = herd
        self._buckets = buckets
        self._gate = gate
        self._hidden = hidden
        self._backend = backend
        self._listed = set[str]()
        self._retries: dict[str, int] = {}

    def folder(self, uuid: str) -> Path:
        """Give the folder of a task."""
        return self._home / "tasks" / uuid

    def step(self, uuid: str) -> float | None:
        """Bring a task one step further.

        Raises:
            BucketsError: The object store does not answer now.
            OSError: A file cannot be written now.
        """
        task = self._tasks.get(uuid)
        if task is None:
            return None
        if task.wanted == "delete":
            return self._delete(task)
        if task.phase == "over":
            return None
        if task.wanted == "abort":
            return self._abort(task)
        match task.phase:
            case "waiting":
                return self._wait(task)
            case "layout":
                return self._lay_out(task)
            case "placing":
                return self._place(task)
            case _:
                return self._look(task)

    # Before it runs

    def _wait(self, task: Task) -> float | None:
        verdict = self._gate.judge(task)
        if verdict.cancel:
            self._tasks.move(
                task.uuid, facts={"errors": [*task.errors, error(CODES.dependency, verdict.why)]}
            )
            self._end(task, "Cancelled")
        elif verdict.go and not task.request.buckets():
            self._tasks.move(task.uuid, "PartiallyDispatched", phase="placing", cap=verdict.cap)
            return 0.0
        elif verdict.go:
            self._tasks.move(task.uuid, "PartiallyDispatched", phase="layout", cap=verdict.cap)
            return 0.0
        return None

    def _lay_out(self, task: Task) -> float | None:
        asked = task.request
        started = time.time()
        try:
            if asked.result_bucket:
                self._buckets.ensure(task.owner, asked.result_bucket)
            size = _layout.stage(
                self._buckets, task.owner, asked.buckets(), self.folder(task.uuid) / "resources",
                self._settings.limits.layout_bytes,
            )  # fmt: skip
        except _layout.LayoutError as exc:
            self._fail(task, CODES.layout, str(exc))
            return None
        except BucketsError as exc:
            if not exc.lasting:
                raise
            self._fail(task, CODES.bucket, str(exc))
            return None
        facts = {"downloadSec": time.time() - started, "downloadBytes": size}
        self._tasks.move(task.uuid, "PartiallyDispatched", phase="placing", facts=facts)
        return 0.0

    def _place(self, task: Task) -> float | None:
        # It may have been handed in by a server that was killed before it could note so.
        array_id = self._herd.find(task.uuid)
        if array_id is None:
            try:
                array_id = self._herd.submit(task.uuid, self._prepared(task))
            except drover.UserError as exc:
                self._fail(task, CODES.refused, str(exc))
                return None
            except ApiError as exc:
                self._fail(task, CODES.refused, exc.message)
                return None
        self._herd.know(task.uuid, array_id)
        self._tasks.move(task.uuid, "FullyDispatched", phase="placed", array_id=array_id)
        return 0.0

    def _prepared(self, task: Task) -> drover.JobSpec:
        asked = task.request
        pool = self._gate.pool_of(task)
        profile = self._profile((pool.asked.profile if pool else asked.profile) or "")
        constants = self._constants(task, profile, pool, self._hidden.constants(task))
        if pool:
            constants |= self._hidden.variables(task.owner, pool.asked)
        constants |= self._hidden.variables(task.owner, asked)
        folder = self.folder(task.uuid)
        layers = [*(pool.layers if pool else ()), folder / "resources"]
        instances = asked.instances(self._settings.limits.instances)
        _profiles.write_plan(folder, profile, instances, layers)
        return _profiles.spec_of(
            folder,
            profile,
            uuid=task.uuid,
            name=task.name,
            instances=instances,
            max_running=task.cap,
            variables=constants,
            resources=self._resources(profile, asked, pool),
            backend=self._backend,
        )

    def _resources(
        self, profile: Profile, asked: TaskAsked, pool: PoolView | None
    ) -> drover.Resources:
        given = pool.asked.hardware_constraints if pool else asked.hardware_constraints
        node = _profiles.resources_of(profile, given, self._settings.hardware)
        return _profiles.shared_out(node, pool.slots_per_node if pool else 1)

    @staticmethod
    def _constants(
        task: Task, profile: Profile, pool: PoolView | None, hidden: Mapping[str, str]
    ) -> dict[str, str]:
        return _profiles.constants_of(profile, pool.constants if pool else {}, task.request, hidden)

    def shown_constants(self, task: Task) -> dict[str, str]:
        """Give what a task's constants are now, without the write-only ones of its own."""
        pool = self._gate.pool_of(task)
        name = (pool.asked.profile if pool else task.request.profile) or ""
        profile = self._settings.profiles.get(name) or Profile(name=name)
        return self._constants(task, profile, pool, {})

    def _profile(self, name: str) -> Profile:
        try:
            return self._settings.profiles[name]
        except KeyError:
            raise ApiError(400, f"profile {name!r} is not there any more") from None

    # While it runs

    def _look(self, task: Task) -> float | None:
        assert task.array_id is not None
        started = time.monotonic()
        self._herd.know(task.uuid, task.array_id)
        kept = {one for ids in self._tasks.ended(task.uuid).values() for one in ids}
        if task.uuid not in self._listed:
            self._herd.list_ended(task.array_id, kept)
            self._listed.add(task.uuid)
        ended, later = self._herd.ended(task.array_id, AT_ONCE)
        now = [job for job in ended if job.array_index not in kept]
        self._tell(task, len(kept))
        try:
            taken = self._take_in(task, now)
        except BaseException:
            # What could not be taken in now is asked for anew.
            self._listed.discard(task.uuid)
            raise
        if len(kept) + taken >= task.size:
            self._finish(task)
            return None
        # A look at an array of 10,000 takes a while: the next must not follow at once, for ever.
        return 0.0 if later else 3.0 * (time.monotonic() - started) if now else None

    def _tell(self, task: Task, kept: int) -> None:
        counts = self._herd.counts(task.array_id or "")
        over = sum(count for state, count in counts.items() if state in ENDED)
        running = sum(count for state, count in counts.items() if state in RUNNING)
        placed = sum(count for state, count in counts.items() if state in PLACED)
        left = task.size - over
        if left <= 0:
            state = "UploadingResults"
        elif running:
            state = "FullyExecuting" if running == left else "PartiallyExecuting"
        elif over or kept or "Executing" in task.state:
            state = "PartiallyExecuting"
        else:
            state = "FullyDispatched" if placed == left else "PartiallyDispatched"
        if task.wanted or task.state == state:
            return
        # Back to Dispatched it goes only where all that ran is run again.
        if state in ORDER and "Dispatched" in state and task.state == "FullyDispatched":
            return
        if state == "UploadingResults" and task.started_at is None:
            self._tasks.move(task.uuid, "FullyExecuting")
        self._tasks.move(task.uuid, state)

    def _take_in(self, task: Task, jobs: Sequence[drover.Job]) -> int:
        bodies: list[Json] = []
        errors: list[Json] = []
        results = 0
        for job in jobs:
            body = body_of(job)
            if body["state"] == "Failure" and self._retried(task, job):
                continue
            if body["error"] is not None:
                errors.append(error_of(body))
            try:
                keys = self._upload(task, body)
            except BucketsError as exc:
                if not exc.lasting:
                    self._tasks.keep_instances(task.uuid, bodies, errors, results)
                    raise
                keys = []
                body["state"] = "Failure"
                errors.append(error(CODES.upload, f"Instance {body['instanceId']}: {exc}"))
            body["results"] = [f"s3://{task.asked['resultBucket']}/{key}" for key in keys]
            results += len(keys)
            bodies.append(body)
        self._tasks.keep_instances(task.uuid, bodies, errors, results)
        for body in bodies:
            shutil.rmtree(self.place_of(task, body["instanceId"]), ignore_errors=True)
        return len(bodies)

    def place_of(self, task: Task, instance: int) -> Path:
        """Give the folder of an instance while it runs."""
        return self.folder(task.uuid) / "i" / str(instance)

    def _retried(self, task: Task, job: drover.Job) -> bool:
        settings = self._gate.retries_of(task)
        total = settings.max_total_retries or 0
        each = settings.max_per_instance_retries or task.request.max_retries_per_instance or 0
        if task.wanted or not (total or each) or (each and job.attempt > each):
            return False
        if total and self._used(task) >= total:
            return False
        if not self._herd.retry(job):
            return False
        self._retries[task.uuid] = self._used(task) + 1
        return True

    def _used(self, task: Task) -> int:
        known = self._retries.get(task.uuid)
        if known is None:
            jobs = self._herd.session.jobs(array=task.array_id, newest=None)
            known = self._retries[task.uuid] = sum(job.attempt - 1 for job in jobs)
        return known

    def _upload(self, task: Task, body: Json) -> list[str]:
        bucket: str | None = task.asked.get("resultBucket")
        if not bucket:
            return []
        if body["state"] == "Cancelled" and not task.asked.get("uploadResultsOnCancellation"):
            return []
        current = self._tasks.get(task.uuid)
        if current is None or current.wanted == "delete":
            return []
        place = self.place_of(task, body["instanceId"])
        return self.send_results(
            task, place, bucket=bucket, prefix=task.asked.get("resultsBucketPrefix"),
            white=task.asked.get("resultsWhitelist"), black=task.asked.get("resultsBlacklist"),
        )  # fmt: skip

    def send_results(
        self, task: Task, place: Path, *, bucket: str, prefix: str | None,
        white: str | None, black: str | None,
    ) -> list[str]:  # fmt: skip
        """Send what an instance has made to a bucket.

        Returns:
            The keys.

        Raises:
            BucketsError: It could not be.
        """
        constants = {one["key"]: one["value"] for one in task.asked["constants"]}
        paths = _results.made_by(place, self._settings.limits.result_files)
        try:
            paths = _results.chosen(
                paths, _results.expanded(white, constants), _results.expanded(black, constants)
            )
        except _results.FilterError as exc:
            raise BucketsError(str(exc), lasting=True) from exc
        if not paths:
            return []
        try:
            return _results.send(self._buckets, task.owner, bucket, place, paths, prefix=prefix)
        except NoBucketError:
            # Deleted under the task: made anew, as at the creation.
            self._buckets.ensure(task.owner, bucket)
            return _results.send(self._buckets, task.owner, bucket, place, paths, prefix=prefix)

    # Its end

    def _finish(self, task: Task) -> None:
        ended = self._tasks.ended(task.uuid)
        current = self._tasks.get(task.uuid)
        if current is not None and current.facts.get("queueOver"):
            self._end(task, "Failure")
        elif current is not None and current.wanted:
            self._end(task, "Cancelled")
        elif ended.get("Failure") or ended.get("Cancelled"):
            if not task.errors and not (current and current.errors):
                why = f"{len(ended.get('Cancelled', []))} instances were cancelled"
                self._tasks.move(task.uuid, facts={"errors": [error(CODES.instance, why)]})
            self._end(task, "Failure")
        else:
            self._end(task, "Success")

    def _fail(self, task: Task, code: str, message: str) -> None:
        self._tasks.move(task.uuid, facts={"errors": [*task.errors, error(code, message)]})
        self._end(task, "Failure")

    def _end(self, task: Task, state: str) -> None:
        if task.array_id:
            self._herd.forget(task.array_id)
        self._listed.discard(task.uuid)
        self._retries.pop(task.uuid, None)
        life_s = self._gate.life_s(task)
        due = time.time() + life_s if life_s else None
        self._tasks.move(task.uuid, state, phase="over", due_at=due)
        folder = self.folder(task.uuid)
        for name in ("resources", "resources.draft", "i"):
            shutil.rmtree(folder / name, ignore_errors=True)
        self._gate.ended(task)

    def _abort(self, task: Task) -> float | None:
        array_id = task.array_id
        if array_id is None and task.phase == "placing":
            array_id = self._herd.find(task.uuid)
        if array_id is None:
            self._end(task, "Failure" if task.facts.get("queueOver") else "Cancelled")
            return None
        if task.phase != "placed":
            task = self._tasks.move(task.uuid, phase="placed", array_id=array_id) or task
        if not task.facts.get("cancelAsked"):
            self._herd.know(task.uuid, array_id)
            self._herd.cancel(array_id)
            task = self._tasks.move(task.uuid, facts={"cancelAsked": True}) or task
        return self._look(task)

    def _delete(self, task: Task) -> float | None:
        array_id = task.array_id or self._herd.find(task.uuid)
        if array_id is not None:
            counts = self._herd.counts(array_id)
            if any(state not in ENDED for state in counts):
                self._herd.know(task.uuid, array_id)
                if not task.facts.get("cancelAsked"):
                    self._herd.cancel(array_id)
                    self._tasks.move(task.uuid, facts={"cancelAsked": True})
                return None
            if counts.get(State.LOST):
                _log.warning("task %s is deleted; instances of it are lost", task.uuid)
            self._herd.purge(array_id)
            self._herd.forget(array_id)
        shutil.rmtree(self.folder(task.uuid), ignore_errors=True)
        with self._tasks.database.write() as connection:
            self._tasks.forget_in(connection, task)
        self._gate.ended(task)
        return None
