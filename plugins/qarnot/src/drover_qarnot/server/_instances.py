"""Instances that have ended: Drover's outcome in the API's words."""

import platform
from types import SimpleNamespace
from typing import Any, Final

import drover
from drover.states import State
from drover_qarnot.server._processes import cpu_model
from drover_qarnot.server._records import error

Json = dict[str, Any]
CODES: Final = SimpleNamespace(
    instance="DROVER_INSTANCE",
    dependency="DROVER_DEPENDENCY",
    layout="DROVER_LAYOUT",
    bucket="DROVER_BUCKET",
    refused="DROVER_REFUSED",
    upload="DROVER_UPLOAD",
    queue="DROVER_QUEUE_TIME",
    pool="DROVER_POOL",
)
"""Codes of errors. The real service's vocabulary is not public; these say whose they are."""
GHZ: Final = 1.0
"""Clock rates are not measured: times in GHz are those of a processor of 1 GHz."""


def body_of(job: drover.Job) -> Json:
    """Write an element that has ended as a completed instance."""
    record = job.record
    outcome = record.outcome
    assert outcome is not None
    if record.state is State.SUCCEEDED:
        state = "Success"
    elif record.state is State.CANCELLED:
        state = "Cancelled"
    else:
        state = "Failure"
    usage = outcome.usage
    wall = usage.wall_s
    if wall is None and record.started_at is not None and record.ended_at is not None:
        wall = max(0.0, record.ended_at - record.started_at)
    cores = record.spec.resources.total_cpus
    told = outcome.describe()
    return {
        "instanceId": job.array_index,
        "state": state,
        "wallTimeSec": round(wall or 0.0, 3),
        "execTimeSec": round(wall or 0.0, 3),
        "execTimeSecGHz": round((wall or 0.0) * GHZ, 3),
        "peakMemoryMB": (usage.max_rss_bytes or 0) >> 20,
        "averageGHz": GHZ,
        "results": None,
        "error": None if state == "Success" else error(CODES.instance, told),
        "cpuModel": cpu_model() if usage.host == platform.node() else "unknown",
        "coreCount": cores,
        "clockRatio": 1.0,
        "specificationKey": "",
        "executionAttemptCount": record.attempt + record.restart,
    }


def error_of(body: Json) -> Json:
    """Write the error of an instance as one of its task."""
    of_it: Json = body["error"]
    return {**of_it, "message": f"Instance {body['instanceId']}: {of_it['message']}"}
