"""Instances that run now, as answers tell them: what they use, and how far they are."""

import threading
import time
from typing import Any, Final

from attrs import define, field

import drover
from drover_qarnot.server._herd import Herd
from drover_qarnot.server._instances import GHZ
from drover_qarnot.server._processes import (
    FRESH_S,
    Birth,
    Processes,
    Used,
    cpu_model,
    memory_bytes,
    read_birth,
)
from drover_qarnot.server._progress import Progress, patterns_of
from drover_qarnot.server._records import Task, Tasks
from drover_qarnot.server._steps import Steps
from drover_qarnot.server._values import instant

Json = dict[str, Any]
MOST_TOLD: Final = 200
"""Running instances told one by one."""
KEPT_S: Final = 60.0
"""How long what was seen of a task is kept for the next one who asks."""
MIB: Final = 1 << 20


@define
class _Last:
    """What an instance had used at the last look that counted."""

    birth: Birth
    used: Used
    cores: float
    """Processors that it kept busy before that, on average."""


@define
class _Watched:
    births: dict[int, Birth] = field(factory=dict[int, Birth])
    last: dict[int, _Last] = field(factory=dict[int, _Last])
    asked_at: float = 0.0
    turn: threading.Lock = field(factory=threading.Lock)


class Running:
    """Look at running instances, when somebody asks for their task."""

    def __init__(self, tasks: Tasks, herd: Herd, steps: Steps) -> None:
        self._tasks = tasks
        self._herd = herd
        self._steps = steps
        self._processes = Processes()
        self._progress = Progress()
        self._turn = threading.Lock()
        self._watched: dict[str, _Watched] = {}

    def of(self, task: Task) -> list[Json]:
        """Tell the running instances of a task, at most `MOST_TOLD`, by their numbers."""
        if task.is_final or not task.array_id or task.started_at is None:
            return []
        found = self._found(task, task.array_id)
        watched = self._kept(task.uuid)
        with watched.turn:
            births = self._births(task, watched, found)
            patterns = patterns_of(self._steps.shown_constants(task)) if births else []
            folder = self._steps.folder(task.uuid)
            percents = self._progress.of(task.uuid, folder, patterns, births)
            return [
                self._told(watched, job, births.get(index), percents.get(index, 0.0))
                for index, job in sorted(found.items())
            ]

    def _found(self, task: Task, array_id: str) -> dict[int, drover.Job]:
        jobs = self._herd.running(array_id, MOST_TOLD)
        if not jobs and "Executing" in task.state:
            # Between its end and its being taken in an instance still is on its way up.
            kept = {one for ids in self._tasks.ended(task.uuid).values() for one in ids}
            every = self._herd.session.jobs(array=array_id, newest=MOST_TOLD)
            jobs = [job for job in every if job.array_index not in kept][:1]
        return {int(job.array_index or 0): job for job in jobs}

    def _births(
        self, task: Task, watched: _Watched, found: dict[int, drover.Job]
    ) -> dict[int, Birth]:
        """Give the processes of those that have begun their command. A file is read once."""
        known = watched.births
        watched.births = {}
        for index in found:
            birth = known.get(index)
            if birth is None or self._processes.used(birth) is None:
                birth = read_birth(self._steps.place_of(task, index))
            if birth is not None:
                watched.births[index] = birth
        watched.last = {one: last for one, last in watched.last.items() if one in found}
        return watched.births

    def _told(
        self, watched: _Watched, job: drover.Job, birth: Birth | None, percent: float
    ) -> Json:
        index = int(job.array_index or 0)
        over = job.state.ends_wait
        used = None if birth is None or over else self._processes.used(birth)
        resources = job.record.spec.resources
        cores = max(1, resources.total_cpus)
        memory = resources.memory or (memory_bytes() if used else 0)
        resident = used.rss_bytes if used else 0
        seconds = max(0.0, time.time() - job.started_at) if job.started_at else 0.0
        busy = 0.0 if used is None or birth is None else _busy(watched, index, birth, used)
        return {
            "phase": "upload" if over else "environment" if birth is None else "execution",
            "instanceId": index,
            "maxFrequencyGHz": GHZ,
            "currentFrequencyGHz": GHZ,
            "cpuUsage": round(min(100.0, 100.0 * busy / cores), 1),
            "maxMemoryMB": memory // MIB,
            "currentMemoryMB": round(resident / MIB, 1),
            "memoryUsage": round(min(1.0, resident / memory), 4) if memory else 0.0,
            "networkInKbps": 0.0,
            "networkOutKbps": 0.0,
            "progress": 100.0 if over else round(percent, 1),
            "executionTimeSec": round(seconds, 3),
            "executionTimeGHz": round(seconds * GHZ, 3),
            "specificationKey": "",
            "cpuModel": cpu_model() if used else "unknown",
            "coreCount": cores,
            "executionAttemptCount": job.attempt + job.restart,
            "clockRatio": 1.0,
            "activeForwards": [],
            "vpnConnections": [],
        }

    def _kept(self, uuid: str) -> _Watched:
        """Give what was seen of a task; forget tasks that nobody asks for any more."""
        now = time.monotonic()
        with self._turn:
            for other, seen in list(self._watched.items()):
                if now - seen.asked_at > KEPT_S:
                    del self._watched[other]
                    self._progress.forget(other)
            watched = self._watched.setdefault(uuid, _Watched())
            watched.asked_at = now
            return watched


def _busy(watched: _Watched, index: int, birth: Birth, used: Used) -> float:
    """Tell how many processors an instance keeps busy: since the last look, or its start."""
    last = watched.last.get(index)
    if last is None or last.birth != birth:
        cores = used.cpu_s / max(used.age_s, 0.01)
    elif used.at - last.used.at < FRESH_S:
        return last.cores
    else:
        cores = max(0.0, used.cpu_s - last.used.cpu_s) / (used.at - last.used.at)
    watched.last[index] = _Last(birth, used, cores)
    return cores


def info_of(running: list[Json]) -> Json:
    """Write running instances together, with their averages."""
    models: dict[tuple[str, int], int] = {}
    for one in running:
        key = (one["cpuModel"], one["coreCount"])
        models[key] = models.get(key, 0) + one["coreCount"]
    return {
        "perRunningInstanceInfo": running,
        "snapshotResults": [],
        "timestamp": instant(time.time()),
        **{
            name: _mean(running, of_each)
            for name, of_each in (
                ("averageFrequencyGHz", "currentFrequencyGHz"),
                ("averageMaxFrequencyGHz", "maxFrequencyGHz"),
                ("averageCpuUsage", "cpuUsage"),
                ("averageMemoryUsage", "memoryUsage"),
            )
        },
        "maxFrequencyGHz": GHZ if running else 0.0,
        "minFrequencyGHz": GHZ if running else 0.0,
        "clusterPowerIndicator": 1.0,
        "averageNetworkInKbps": 0.0,
        "averageNetworkOutKbps": 0.0,
        "totalNetworkInKbps": 0.0,
        "totalNetworkOutKbps": 0.0,
        "runningCoreCountByCpuModel": [
            {"model": model, "core": cores, "runningCoreCount": count}
            for (model, cores), count in models.items()
        ],
    }


def _mean(running: list[Json], name: str) -> float:
    total = sum(float(one[name]) for one in running)
    return round(total / len(running), 4) if running else 0.0
