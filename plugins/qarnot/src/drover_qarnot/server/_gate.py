"""What stands between a task and its run: other tasks, its job, room in its pool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from drover_qarnot.server._asked import PoolAsked, RetrySettings
from drover_qarnot.server._groups import Jobs, Pools
from drover_qarnot.server._reading import read
from drover_qarnot.server._records import Task, Tasks
from drover_qarnot.server._values import to_seconds

Json = dict[str, Any]


@frozen(kw_only=True)
class Verdict:
    """Whether a waiting task may go."""

    go: bool = False
    cancel: bool = False
    why: str = ""
    cap: int | None = None
    """How many of its instances may run at once. `None`: all."""


@frozen(kw_only=True)
class PoolView:
    """What a task gets from its pool."""

    asked: PoolAsked
    constants: dict[str, str]
    layers: tuple[Path, ...]
    """Folders that lie under those of its tasks: its resources, and what its preparation made."""

    @property
    def slots_per_node(self) -> int:
        """Tell among how many slots a node is shared out."""
        given: Json = self.asked.multi_slots_settings or {}
        return max(1, int(given.get("slotsPerNode") or 1))


def state_of_dependencies(task: Task, tasks: Tasks) -> tuple[str, list[Json]]:
    """Tell how far the tasks are that one waits for.

    Returns:
        `waiting`, `dependencyConditionsFulfilled` or `dependencyConditionsNotFulfilled`, and the
        same for each of them.
    """
    given: Json = task.asked.get("dependencies") or {}
    wanted: list[Json] = [
        *({"taskUuid": uuid} for uuid in given.get("dependsOn") or ()),
        *(given.get("advancedDependsOn") or ()),
    ]
    rows: list[Json] = []
    for one in wanted:
        conditions = one.get("taskFinalStateCondition") or None
        on = tasks.get(one["taskUuid"])
        # A deleted task was aborted, if it had not ended.
        final = "Cancelled" if on is None else on.state if on.is_final else None
        if final is None:
            state = "waiting"
        elif conditions is None or final.lower() in {word.lower() for word in conditions}:
            state = "dependencyConditionsFulfilled"
        else:
            state = "dependencyConditionsNotFulfilled"
        rows.append(
            {
                "taskUuid": one["taskUuid"],
                "taskFinalStateCondition": conditions,
                "state": state,
                "actualFinalState": final,
            }
        )
    states = {row["state"] for row in rows}
    for state in ("dependencyConditionsNotFulfilled", "waiting"):
        if state in states:
            return state, rows
    return "dependencyConditionsFulfilled", rows


class Gate:
    """Decide when tasks may go, and tell who waits for one that has ended."""

    def __init__(self, tasks: Tasks, pools: Pools, jobs: Jobs, poke: Callable[[str], None]) -> None:
        self._tasks = tasks
        self._pools = pools
        self._jobs = jobs
        self._poke = poke

    def judge(self, task: Task) -> Verdict:
        """Decide on a task that waits."""
        if task.asked.get("dependencies"):
            state, rows = state_of_dependencies(task, self._tasks)
            if state == "dependencyConditionsNotFulfilled":
                ended = ", ".join(
                    f"{row['taskUuid']} ended as {row['actualFinalState']}"
                    for row in rows
                    if row["state"] == state
                )
                return Verdict(cancel=True, why=f"The task was cancelled: {ended}")
            if state == "waiting":
                return Verdict()
        if task.pool is None:
            return Verdict(go=True)
        pool = self._pools.get(task.pool)
        if pool is None or pool.phase in {"closing", "over"}:
            return Verdict(cancel=True, why="The task was cancelled: its pool is closed")
        if pool.phase != "open":
            return Verdict()
        return self._room(task)

    def _room(self, task: Task) -> Verdict:
        """Let tasks of a pool in by age; none may take more slots than are left."""
        older = self._tasks.database.first(
            "SELECT 1 FROM tasks WHERE pool = ? AND phase = 'waiting' AND wanted = '' AND n < ? "
            "AND json_extract(asked, '$.dependencies') IS NULL LIMIT 1",
            task.pool, task.n,
        )  # fmt: skip
        if older is not None:
            return Verdict()
        left = self._pools.slots(task.pool or "") - self._pools.taken(task.pool or "")
        if left <= 0:
            return Verdict()
        return Verdict(go=True, cap=min(left, task.size))

    def pool_of(self, task: Task) -> PoolView | None:
        """Give what a task's pool lends it."""
        if task.pool is None:
            return None
        pool = self._pools.get(task.pool)
        if pool is None:
            return None
        folder = self._pools.folder(pool.uuid)
        return PoolView(
            asked=read(PoolAsked, pool.asked),
            constants=self._pools.constants(pool),
            layers=(folder / "resources", folder / "prepared"),
        )

    def retries_of(self, task: Task) -> RetrySettings:
        """Tell how often failed instances are run again: as the task says, or its pool."""
        own = task.request.retry_settings
        pool = self._pools.get(task.pool) if task.pool else None
        if pool is None or own.max_total_retries or own.max_per_instance_retries:
            return own
        return read(PoolAsked, pool.asked).default_retry_settings

    def life_s(self, task: Task) -> float:
        """Tell how long a task is kept after its end; 0: for ever."""
        return to_seconds(task.asked.get("completionTimeToLive") or "00:00:00", "")

    def ended(self, task: Task) -> None:
        """Let those go on that waited for a task's end."""
        if task.job is not None:
            for uuid in self._tasks.uuids("job = ? AND phase = 'waiting'", task.job):
                self._poke(uuid)
            self._jobs.settle(task.job)
        if task.pool is not None:
            for uuid in self._tasks.uuids(
                "pool = ? AND phase = 'waiting' ORDER BY n LIMIT 100", task.pool
            ):
                self._poke(uuid)
            self._poke(f"pool:{task.pool}")
