"""One server: its parts put together, its clock, its start and its end."""

import os
import time
from pathlib import Path
from typing import Any, Final, Protocol

import drover
from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._buckets import Buckets
from drover_qarnot.server._config import Settings
from drover_qarnot.server._creating import Creation
from drover_qarnot.server._credits import Purse
from drover_qarnot.server._gate import Gate
from drover_qarnot.server._groups import Jobs, Pools
from drover_qarnot.server._herd import Herd
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._instances import CODES
from drover_qarnot.server._layout import renew
from drover_qarnot.server._opening import open_database
from drover_qarnot.server._output import Outputs
from drover_qarnot.server._pool_steps import MARK as POOL
from drover_qarnot.server._pool_steps import PoolSteps
from drover_qarnot.server._records import Task, Tasks, error
from drover_qarnot.server._renewing import renew_instances
from drover_qarnot.server._running import Running
from drover_qarnot.server._snapshots import Snapshots
from drover_qarnot.server._steps import Steps
from drover_qarnot.server._supervisor import Supervisor
from drover_qarnot.server._views import Views

SNAPSHOT: Final = "snapshot:"
PERIODIC: Final = "periodic:"
RENEWAL: Final = "renewal:"
RENEW_S: Final = 0.3
"""Until instances that are just being made ready are looked at again."""
Json = dict[str, Any]


class BucketsMaker(Protocol):
    """Make the buckets of a server, of its accounts."""

    def __call__(self, accounts: Accounts) -> Buckets:
        """Make them."""
        ...


class Cloud:
    """All that a server is, without HTTP."""

    def __init__(
        self, home: Path, settings: Settings, make_buckets: BucketsMaker, backend: str | None
    ) -> None:
        self.home: Final = home
        self.settings: Final = settings
        self.database, self.accounts, sealer = open_database(home)
        self.buckets: Final = make_buckets(self.accounts)
        self.hidden: Final = Hidden(self.database, sealer, self.accounts)
        session = drover.open(home=home / "drover", backend=backend)
        self.backend: Final = session.default_backend
        self.tasks: Final = Tasks(self.database)
        self.pools: Final = Pools(self.database, home, self.hidden)
        self.jobs: Final = Jobs(self.database)
        self.supervisor: Final = Supervisor(
            self._step, self._due, workers=settings.workers, initializer=self.database.relax
        )
        poke = self.supervisor.poke
        self.gate: Final = Gate(self.tasks, self.pools, self.jobs, poke)
        self.herd: Final = Herd(session, poke)
        self.steps: Final = Steps(
            home=home, settings=settings, tasks=self.tasks, herd=self.herd, buckets=self.buckets,
            gate=self.gate, hidden=self.hidden, backend=self.backend,
        )  # fmt: skip
        self.pool_steps: Final = PoolSteps(
            settings=settings, pools=self.pools, tasks=self.tasks, herd=self.herd,
            buckets=self.buckets, hidden=self.hidden, backend=self.backend, poke=poke,
        )  # fmt: skip
        self._renew_later = set[str]()
        self.snapshots: Final = Snapshots(self.tasks, self.steps, self.buckets)
        running = Running(self.tasks, self.herd, self.steps)
        self.views: Final = Views(self.tasks, self.pools, self.herd, running)
        self.outputs: Final = Outputs(self.database, settings.limits.output_bytes)
        self.purse: Final = Purse(settings.credits, self.database)
        self.creation: Final = Creation(
            settings=settings, database=self.database, tasks=self.tasks, pools=self.pools,
            jobs=self.jobs, hidden=self.hidden, buckets=self.buckets, purse=self.purse,
        )  # fmt: skip

    def start(self) -> None:
        """Go on with all that was not finished."""
        os.umask(0o077)
        self.herd.start()
        for task in self.tasks.select("phase <> 'over' OR wanted = 'delete'"):
            if task.array_id is not None:
                self.herd.know(task.uuid, task.array_id)
            self.supervisor.poke(task.uuid)
        for pool in self.pools.select("phase <> 'over' OR state = 'PendingDelete'"):
            self.supervisor.poke(f"{POOL}{pool.uuid}")
        for snapshot in self.snapshots.open():
            self.supervisor.poke(f"{SNAPSHOT}{snapshot}")
        self.supervisor.start()

    def stop(self) -> None:
        """End; tasks go on running."""
        self.supervisor.stop()
        self.creation.answers.note()
        self.herd.stop()
        self.database.close()

    def _step(self, name: str) -> float | None:
        if name.startswith(POOL):
            return self.pool_steps.step(name.removeprefix(POOL))
        if name.startswith(SNAPSHOT):
            self.snapshots.take(name.removeprefix(SNAPSHOT))
            return None
        if name.startswith(PERIODIC):
            self.snapshots.take_periodic(name.removeprefix(PERIODIC))
            return None
        if name.startswith(RENEWAL):
            return self._renew_instances(name.removeprefix(RENEWAL))
        return self.steps.step(name)

    # What the clock brings about

    def _due(self, now: float) -> None:
        self.creation.answers.note()
        for task in self.tasks.select("due_at <= ? LIMIT 500", now):
            self._task_due(task)
        for uuid in self.snapshots.due(now):
            self.supervisor.poke(f"{PERIODIC}{uuid}")
        for job in self.jobs.select("due_at <= ? LIMIT 500", now):
            if job.state == "Active":
                self.terminate(job.uuid)
            elif job.state == "Completed":
                self.delete_job(job.uuid)
        for pool in self.pools.select("phase = 'open'"):
            # A policy's period may have begun.
            if pool.asked.get("scaling") or pool.asked.get("elasticProperty"):
                self.supervisor.poke(f"{POOL}{pool.uuid}")
        for pool in self.pools.select("due_at <= ? LIMIT 100", now):
            if pool.phase == "over":
                self.delete_pool(pool.uuid)
            else:
                self.pools.move(pool.uuid, due_at=None, facts={"queueOver": True})
                self.supervisor.poke(f"{POOL}{pool.uuid}")

    def _task_due(self, task: Task) -> None:
        if task.wanted == "delete":
            self.tasks.move(task.uuid, due_at=None)
            self.supervisor.poke(task.uuid)
        elif task.is_final:
            self.delete(task.uuid)
        elif "Executing" in task.state or task.state == "UploadingResults" or task.wanted:
            self.tasks.move(task.uuid, due_at=None)
        else:
            why = f"still queued after {task.asked.get('maxTimeQueueSeconds')} s"
            facts = {"queueOver": True, "errors": [*task.errors, error(CODES.queue, why)]}
            self.tasks.move(task.uuid, wanted="abort", due_at=None, facts=facts)
            self.supervisor.poke(task.uuid)

    # What users ask for

    def abort(self, uuid: str) -> None:
        """Have a task ended; it shows so at once."""
        task = self.tasks.get(uuid)
        if task is None or task.is_final or task.wanted:
            return
        self.tasks.move(uuid, "PendingCancel", wanted="abort")
        self.supervisor.poke(uuid)

    def delete(self, uuid: str) -> None:
        """Have a task forgotten; it is not seen any more at once, and its shortname is free."""
        with self.database.write() as connection:
            connection.execute(
                "UPDATE tasks SET wanted = 'delete', shortname = uuid, due_at = NULL, "
                "state = CASE WHEN phase = 'over' THEN state ELSE 'Cancelled' END "
                "WHERE uuid = ?",
                (uuid,),
            )
        self.supervisor.poke(uuid)

    def renew(self, task: Task) -> None:
        """Bring a task's resources up to date, and lay what is new into instances that run.

        Raises:
            LayoutError: An object cannot become a file.
            BucketsError: A bucket is gone.
        """
        if task.phase == "layout":
            # Its buckets may have been listed already: once more when that is done.
            self._renew_later.add(task.uuid)
        else:
            self._stage_anew(task)
        self.supervisor.poke(f"{RENEWAL}{task.uuid}")

    def _stage_anew(self, task: Task) -> None:
        folder = self.steps.folder(task.uuid) / "resources"
        if folder.is_dir():
            most = self.settings.limits.layout_bytes
            renew(self.buckets, task.owner, task.request.buckets(), folder, most)

    def _renew_instances(self, uuid: str) -> float | None:
        task = self.tasks.get(uuid)
        if task is None or task.phase == "over" or task.wanted:
            self._renew_later.discard(uuid)
            return None
        if task.phase == "layout":
            return RENEW_S
        if uuid in self._renew_later:
            self._renew_later.discard(uuid)
            self._stage_anew(task)
        return None if renew_instances(self.steps.folder(uuid)) else RENEW_S

    def terminate(self, uuid: str) -> None:
        """End a job: no more tasks, and those that are left are aborted."""
        job = self.jobs.get(uuid)
        if job is None or job.state not in {"Active", "Terminating"}:
            return
        self.jobs.move(uuid, "Terminating", due_at=None)
        for name in self.jobs.unfinished(uuid):
            self.abort(name)
        self.jobs.settle(uuid)

    def delete_job(self, uuid: str) -> None:
        """Forget a job with its tasks."""
        self.jobs.move(uuid, "Deleting", due_at=None, shortname=uuid)
        for name in self.tasks.uuids("job = ? AND wanted <> 'delete'", uuid):
            self.delete(name)
        self.jobs.settle(uuid)

    def close_pool(self, uuid: str) -> None:
        """Close a pool; its tasks are aborted."""
        pool = self.pools.get(uuid)
        if pool is not None and pool.phase not in {"closing", "over"}:
            self.pools.move(uuid, "Closing", phase="closing")
            self.supervisor.poke(f"{POOL}{uuid}")

    def delete_pool(self, uuid: str) -> None:
        """Close and forget a pool."""
        pool = self.pools.get(uuid)
        if pool is not None:
            phase = "over" if pool.phase == "over" else "closing"
            self.pools.move(uuid, "PendingDelete", phase=phase, due_at=None, shortname=uuid)
            self.supervisor.poke(f"{POOL}{uuid}")

    def wait_for(self, uuid: str, timeout_s: float) -> None:
        """Wait a moment for a task's end."""
        deadline = time.monotonic() + timeout_s
        nap = 0.01
        while time.monotonic() < deadline:
            task = self.tasks.get(uuid)
            if task is None or task.is_final:
                return
            time.sleep(nap)
            nap = min(0.2, nap * 1.5)
