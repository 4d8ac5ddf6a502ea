"""Tasks, pools and jobs as answers have them. Keys and their order are the real API's."""

import time
from typing import Any, Final

from drover_qarnot.server._gate import state_of_dependencies
from drover_qarnot.server._groups import Job, Pool, Pools, active_policy
from drover_qarnot.server._herd import Herd
from drover_qarnot.server._instances import GHZ
from drover_qarnot.server._records import Task, Tasks
from drover_qarnot.server._running import Running, info_of
from drover_qarnot.server._values import instant, span, to_range

Json = dict[str, Any]
_SCHEDULING: Final = {"flex": "flex", "ondemand": "onDemand", "reserved": "reserved"}
_ASKED: Final = (
    "constraints", "forcedConstants", "secretsAccessRights", "tags", "snapshotWhitelist",
    "snapshotBlacklist", "resultsWhitelist", "resultsBlacklist", "resultsBucketPrefix",
    "uploadResultsOnCancellation", "autoDeleteOnCompletion", "completionTimeToLive",
    "hardwareConstraints", "labels", "targetedReservedMachineKey", "targetedReservationName",
    "defaultResourcesCacheTTLSec", "resultsCacheTTLSec", "privileges", "retrySettings",
    "forcedNetworkRules", "maxTimeQueueSeconds", "maxRetriesPerInstance", "projectUuid",
    "waitForPoolResourcesSynchronization",
)  # fmt: skip


def advanced_of(asked: Json) -> list[Json]:
    """Write resource buckets without the filters that were not set: null breaks the SDK."""
    rows: list[Json] = asked.get("advancedResourceBuckets") or []
    out: list[Json] = []
    for row in rows:
        shown = dict(row)
        for name in ("filtering", "resourcesTransformation"):
            given: Json = row.get(name) or {}
            shown[name] = {key: value for key, value in given.items() if value is not None}
        out.append(shown)
    return out


class Views:
    """Write answers."""

    def __init__(self, tasks: Tasks, pools: Pools, herd: Herd, running: Running) -> None:
        self._tasks = tasks
        self._pools = pools
        self._herd = herd
        self._running = running

    def summary(self, task: Task) -> Json:
        """Write a task in short."""
        running = 0
        if task.phase == "placed" and task.array_id and not task.is_final:
            running = sum(
                count
                for state, count in self._herd.counts(task.array_id).items()
                if state == "RUNNING"
            )
        end = task.ended_at or time.time()
        started = task.started_at or end
        return {
            "uuid": task.uuid,
            "name": task.name,
            "shortname": task.shortname,
            "profile": task.profile or None,
            "poolUuid": task.asked.get("poolUuid"),
            "jobUuid": task.job,
            "progress": self._progress(task),
            "runningInstanceCount": running,
            "runningCoreCount": running,
            "executionTime": span(end - started),
            "wallTime": span(end - task.created_at),
            "state": task.state,
            "previousState": task.previous_state,
            "instanceCount": task.size,
            "advancedRanges": task.asked.get("advancedRanges"),
            "maxRetriesPerInstance": task.asked.get("maxRetriesPerInstance"),
            "stateTransitionTime": instant(task.state_at),
            "previousStateTransitionTime": instant(task.previous_state_at),
            "lastModified": instant(task.modified_at),
            "creationDate": instant(task.created_at),
            "endDate": instant(task.ended_at),
            "waitForPoolResourcesSynchronization": task.asked.get(
                "waitForPoolResourcesSynchronization"
            ),
        }

    def _progress(self, task: Task) -> float:
        if task.is_final:
            return 100.0
        row = self._tasks.database.first(
            "SELECT count(*) AS n FROM instances WHERE task = ?", task.uuid
        )
        return _percent(int(row["n"] if row else 0), task.size)

    def full(self, task: Task) -> Json:
        """Write all of a task."""
        asked = task.asked
        snapshot: Json = task.facts.get("snapshot") or {}
        out: Json = {"errors": task.errors}
        out["resourceBuckets"] = asked.get("resourceBuckets") or []
        out["advancedResourceBuckets"] = advanced_of(asked)
        out["resultBucket"] = asked.get("resultBucket")
        bodies = self._tasks.instances(task.uuid)
        out["completedInstances"] = bodies
        out["status"] = status = self.status(task, bodies)
        out["snapshotInterval"] = snapshot.get("interval", 0)
        if asked.get("resultBucket"):
            # Without a bucket the SDK would follow it to results that are not there.
            out["resultsCount"] = task.facts.get("resultsCount", 0)
        out["constants"] = asked["constants"]
        out["dependencies"] = self._dependencies(task)
        out |= {name: asked.get(name) for name in _ASKED}
        kind = (asked.get("schedulingType") or "flex").lower()
        out["schedulingType"] = _SCHEDULING.get(kind, "flex")
        out |= self.summary(task)
        if status is not None:
            out["progress"] = status["executionProgress"]
        return out

    def _dependencies(self, task: Task) -> Json | None:
        given = task.asked.get("dependencies")
        if not given:
            return None
        state, rows = state_of_dependencies(task, self._tasks)
        return {
            "dependsOn": given.get("dependsOn") or None,
            "advancedDependsOn": rows if given.get("advancedDependsOn") else None,
            "state": state,
        }

    def status(self, task: Task, bodies: list[Json]) -> Json | None:
        """Write how far a task is; nothing while nothing is known.

        Args:
            task: Which.
            bodies: Its instances that have ended.
        """
        if task.phase in {"waiting", "layout", "placing"}:
            return None
        ended: dict[str, list[int]] = {}
        for one in bodies:
            ended.setdefault(one["state"], []).append(one["instanceId"])
        good, bad, gone = (ended.get(word, []) for word in ("Success", "Failure", "Cancelled"))
        running = self._running.of(task)
        times = [*bodies, *({**one, "execTimeSec": one["executionTimeSec"]} for one in running)]
        seconds = sum(float(one["execTimeSec"]) for one in times)
        end = task.ended_at or time.time()
        wall = end - task.created_at
        download = float(task.facts.get("downloadSec", 0.0))
        upload = _upload_s(task, end)
        return {
            "timestamp": instant(None),
            "lastUpdateTimestamp": instant(time.time()),
            "downloadProgress": 100.0,
            "executionProgress": _execution(task, len(bodies), running),
            "uploadProgress": 100.0 if task.is_final else _percent(len(bodies), task.size),
            "instanceCount": len(running),
            "downloadTime": span(download),
            "downloadTimeSec": download,
            "environmentTime": span(0),
            "environmentTimeSec": 0.0,
            "executionTime": span(seconds),
            "executionTimeSec": round(seconds, 3),
            "executionTimeByCpuModel": _by_model(times),
            "executionTimeGhzByCpuModel": _by_ghz(times),
            "uploadTime": span(upload),
            "uploadTimeSec": round(upload, 3),
            "wallTime": span(wall),
            "wallTimeSec": wall,
            "succeededRange": to_range(good),
            "executedRange": to_range([*good, *bad]),
            "failedRange": to_range([*bad, *gone]),
            "cancelledRange": to_range(gone),
            "failedOnlyRange": to_range(bad),
            "startedOnceRange": to_range(
                {*good, *bad, *gone, *(one["instanceId"] for one in running)}
            ),
            "runningInstancesInfo": info_of(running),
        }

    def pool(self, pool: Pool) -> Json:
        """Write a pool."""
        asked = {name: value for name, value in pool.asked.items() if value is not None}
        scaling = asked.pop("scaling", None)
        if scaling is not None:
            policy = active_policy(scaling, time.time())
            scaling = {**scaling, "activePolicyName": (policy or {}).get("name")}
        slots, taken = self._pools.slots(pool.uuid), self._pools.taken(pool.uuid)
        end = pool.ended_at or time.time()
        open_now = pool.phase == "open"
        return {
            "errors": pool.facts.get("errors", []),
            "status": None,
            "scaling": scaling,
            **asked,
            "resourceBuckets": asked.get("resourceBuckets", []),
            "advancedResourceBuckets": advanced_of(asked),
            "preparationTask": pool.asked.get("preparationTask"),
            "schedulingType": _SCHEDULING.get(
                str(pool.asked.get("schedulingType") or "").lower(), "flex"
            ),
            "poolUsage": round(taken / slots, 3) if slots else 0.0,
            "totalSlotCapacity": slots,
            "queuedOrRunningTaskInstancesCount": self._pools.queued(pool.uuid),
            "uuid": pool.uuid,
            "name": pool.name,
            "shortname": pool.shortname,
            "runningInstanceCount": pool.asked["instanceCount"] if open_now else 0,
            "runningCoreCount": pool.asked["instanceCount"] if open_now else 0,
            "executionTime": span(end - pool.created_at),
            "wallTime": span(end - pool.created_at),
            "state": pool.state,
            "previousState": pool.previous_state,
            "stateTransitionTime": instant(pool.state_at),
            "previousStateTransitionTime": instant(pool.previous_state_at),
            "lastModified": instant(pool.modified_at),
            "creationDate": instant(pool.created_at),
            "endDate": instant(pool.ended_at),
        }

    def job(self, job: Job) -> Json:
        """Write a job."""
        return {
            **job.asked,
            "uuid": job.uuid,
            "shortname": job.shortname,
            "state": job.state,
            "previousState": job.previous_state,
            "stateTransitionTime": instant(job.state_at),
            "previousStateTransitionTime": instant(job.previous_state_at),
            "creationDate": instant(job.created_at),
            "lastModified": instant(job.modified_at),
        }


def _percent(part: float, size: int) -> float:
    return round(100.0 * part / size, 1)


def _execution(task: Task, ended: int, running: list[Json]) -> float:
    """Tell how far a task is: its ended instances, and what the running ones say of themselves."""
    if task.is_final:
        return 100.0
    told = sum(float(one["progress"]) for one in running if one["phase"] == "execution")
    return min(100.0, _percent(ended + told / 100.0, task.size))


def _upload_s(task: Task, end: float) -> float:
    if task.state == "UploadingResults":
        return end - task.state_at
    if task.is_final and task.previous_state == "UploadingResults":
        return task.state_at - (task.previous_state_at or task.state_at)
    return 0.0


def _by_model(bodies: list[Json]) -> list[Json]:
    times: dict[tuple[str, int], float] = {}
    for one in bodies:
        key = (one["cpuModel"], one["coreCount"])
        times[key] = times.get(key, 0.0) + one["execTimeSec"]
    return [
        {"model": model, "time": seconds, "core": cores}
        for (model, cores), seconds in times.items()
    ]


def _by_ghz(bodies: list[Json]) -> list[Json]:
    return [
        {"model": one["model"], "timeGhz": one["time"] * GHZ, "clockRatio": 1.0,
         "core": one["core"]}
        for one in _by_model(bodies)
    ]  # fmt: skip
