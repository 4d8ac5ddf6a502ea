"""What is done with a pool: lay out, prepare, open, close."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import drover
from drover.states import ENDED, State
from drover_qarnot.server import _layout, _profiles, _results
from drover_qarnot.server._asked import PoolAsked
from drover_qarnot.server._buckets import Buckets, BucketsError
from drover_qarnot.server._config import Profile, Settings
from drover_qarnot.server._groups import Pool, Pools
from drover_qarnot.server._herd import RUNNING, Herd
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._instances import CODES
from drover_qarnot.server._reading import read
from drover_qarnot.server._records import Tasks, error
from drover_qarnot.server._values import NO_SPAN, to_seconds

MARK: Final = "pool:"
LOOK_S: Final = 0.5
"""Between two looks at a preparation that runs."""
Json = dict[str, Any]


class PoolSteps:
    """Bring pools further."""

    def __init__(
        self, *, settings: Settings, pools: Pools, tasks: Tasks, herd: Herd, buckets: Buckets,
        hidden: Hidden, backend: str, poke: Any,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._pools = pools
        self._tasks = tasks
        self._herd = herd
        self._buckets = buckets
        self._hidden = hidden
        self._backend = backend
        self._poke = poke

    def step(self, uuid: str) -> float | None:
        """Bring a pool one step further."""
        pool = self._pools.get(uuid)
        if pool is None:
            return None
        match pool.phase:
            case "layout" if pool.facts.get("queueOver"):
                self._overdue(pool)
                return None
            case "layout":
                return self._lay_out(pool)
            case "preparing":
                return self._prepare(pool)
            case "open":
                for name in self._waiting(uuid):
                    self._poke(name)
                return None
            case "closing":
                return self._close(pool)
            case _:
                if pool.state == "PendingDelete":
                    self._forget(pool)
                return None

    def _waiting(self, uuid: str) -> list[str]:
        return self._tasks.uuids("pool = ? AND phase = 'waiting' ORDER BY n LIMIT 100", uuid)

    def _folder(self, pool: Pool) -> Path:
        return self._pools.folder(pool.uuid)

    def _lay_out(self, pool: Pool) -> float | None:
        self._pools.move(pool.uuid, "PartiallyDispatched")
        try:
            _layout.stage(
                self._buckets, pool.owner, read(PoolAsked, pool.asked).buckets(),
                self._folder(pool) / "resources", self._settings.limits.layout_bytes,
            )  # fmt: skip
        except _layout.LayoutError as exc:
            self._fail(pool, CODES.layout, str(exc))
            return None
        except BucketsError as exc:
            if not exc.lasting:
                raise
            self._fail(pool, CODES.bucket, str(exc))
            return None
        self._pools.move(pool.uuid, "FullyDispatched", phase="preparing")
        return 0.0

    def _prepare(self, pool: Pool) -> float | None:
        preparation: Json = pool.asked.get("preparationTask") or {}
        line = str(preparation.get("commandLine") or "")
        profile = self._settings.profiles.get(pool.asked["profile"])
        if profile is None:
            self._fail(pool, CODES.refused, "the pool's profile is not there any more")
            return None
        if line:
            array_id = self._herd.find(pool.uuid)
            if array_id is None:
                try:
                    array_id = self._herd.submit(pool.uuid, self._spec(pool, profile, line))
                except drover.UserError as exc:
                    self._fail(pool, CODES.refused, str(exc))
                    return None
            counts = self._herd.counts(array_id)
            if not all(state in ENDED for state in counts):
                if pool.facts.get("queueOver") and not any(state in RUNNING for state in counts):
                    self._herd.cancel(array_id)
                    self._overdue(pool)
                    return None
                return LOOK_S
            if set(counts) != {State.SUCCEEDED}:
                self._fail(pool, CODES.pool, "the preparation task did not succeed")
                return None
            self._keep_prepared(pool)
        self._pools.move(pool.uuid, "FullyExecuting", phase="open", due_at=None)
        return 0.0

    def _keep_prepared(self, pool: Pool) -> None:
        """Take what the preparation has made for the pool's tasks; they lay it over resources."""
        folder = self._folder(pool)
        place, draft = folder / "i" / "0", folder / "prepared.draft"
        for path in _results.made_by(place, self._settings.limits.result_files):
            source, target = place / "job" / path, draft / path
            # A link is no file of its own; runners copy none either.
            if source.is_symlink():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # It may be there already: a server may have been killed in between.
            with suppress(FileNotFoundError):
                source.rename(target)
        if draft.exists():
            shutil.rmtree(folder / "prepared", ignore_errors=True)
            draft.rename(folder / "prepared")
        shutil.rmtree(place, ignore_errors=True)

    def _overdue(self, pool: Pool) -> None:
        why = f"still queued after {pool.asked.get('maxTimeQueueSeconds')} s"
        self._fail(pool, CODES.queue, why)

    def _spec(self, pool: Pool, profile: Profile, line: str) -> drover.JobSpec:
        folder = self._folder(pool)
        plain = Profile(
            name=profile.name, command_line="PREPARATION", environment=profile.environment
        )
        _profiles.write_plan(folder, plain, (0,), [folder / "resources"])
        own = {one.name: one.value for one in profile.constants}
        return _profiles.spec_of(
            folder, plain, uuid=pool.uuid, name=f"{pool.name} preparation", instances=(0,),
            max_running=None, resources=drover.Resources(cpus=1), backend=self._backend,
            variables={**own, **self._pools.constants(pool),
                       **self._hidden.variables(pool.owner, read(PoolAsked, pool.asked)),
                       "PREPARATION": line},
        )  # fmt: skip

    def renew(self, pool: Pool) -> None:
        """Bring a pool's resources up to date; nothing is taken away."""
        _layout.renew(
            self._buckets, pool.owner, read(PoolAsked, pool.asked).buckets(),
            self._folder(pool) / "resources", self._settings.limits.layout_bytes,
        )  # fmt: skip

    def _fail(self, pool: Pool, code: str, message: str) -> None:
        errors = [error(code, message)]
        self._pools.move(pool.uuid, "Failure", facts={"errors": errors}, **_over(pool))
        for name in self._waiting(pool.uuid):
            self._poke(name)

    def _close(self, pool: Pool) -> float | None:
        for uuid in self._tasks.uuids("pool = ? AND phase <> 'over' AND wanted = ''", pool.uuid):
            self._tasks.move(uuid, "PendingCancel", wanted="abort")
            self._poke(uuid)
        if self._tasks.uuids("pool = ? AND phase <> 'over' LIMIT 1", pool.uuid):
            return None
        array_id = self._herd.find(pool.uuid)
        if array_id is not None and not all(s in ENDED for s in self._herd.counts(array_id)):
            self._herd.cancel(array_id)
            return LOOK_S
        if pool.state == "PendingDelete":
            self._forget(pool)
            return None
        self._pools.move(pool.uuid, "Closed", **_over(pool))
        return None

    def _forget(self, pool: Pool) -> None:
        array_id = self._herd.find(pool.uuid)
        if array_id is not None:
            self._herd.purge(array_id)
        shutil.rmtree(self._folder(pool), ignore_errors=True)
        self._pools.forget(pool.uuid)


def _over(pool: Pool) -> Json:
    """Give what goes with the end of a pool: it is kept for its time."""
    now = time.time()
    life_s = to_seconds(pool.asked.get("completionTimeToLive") or NO_SPAN, "")
    return {"phase": "over", "ended_at": now, "due_at": now + life_s if life_s else None}
