"""One job as the agent sees it."""

import time
from collections.abc import Sequence
from typing import Any

from drover_local._frames import encode
from drover_local._identity import boot_ns
from drover_local._ledger import Entry
from drover_local._slots import Needs
from drover_local._timers import Timer

QUEUED, RUNNING, SUSPENDED, ENDED, UNRUN = "queued", "running", "suspended", "ended", "unrun"

GRACE_S = 10.0
"""Between TERM and KILL where nobody says otherwise."""
# Why a job is being ended, as the ledger keeps it.
NO_CAUSE, CANCEL, WALL_TIME, MEMORY, TERMINATE = range(5)


class Job:
    """A job between its submission and the moment its end is durable."""

    # Not attrs: the agent does without the import, and wait4 reports its size for small jobs.
    __slots__ = (
        "actions", "affinity", "cause", "cpu_ids", "end", "environment", "gpus", "grace_s",
        "halting", "held", "index", "kill_at", "kill_leftovers", "mono_started", "native_id",
        "needs", "note", "order", "passes", "phase", "pid", "pidfd", "reaped", "reaped_ns", "shard",
        "span", "started_at", "stopping", "token", "vacated", "wall_time", "wall_timer", "what",
    )  # fmt: skip

    def __init__(self, what: dict[str, Any], sequence: int) -> None:
        self.what = what
        self.token: str = what["token"]
        self.native_id: str = what["native_id"]
        self.order = (-what.get("priority", 0), what.get("age", 0), sequence)
        self.needs = Needs(
            what.get("cpus", 1),
            what.get("memory", 0),
            what.get("gpus", 0),
            exclusive=what.get("exclusive", False),
        )
        self.wall_time: float | None = what.get("wall_time")
        self.grace_s: float = what.get("grace_s", GRACE_S)
        self.kill_leftovers: bool = what.get("kill_leftovers", False)
        self.affinity: bool = what.get("affinity", False)
        self.environment: dict[bytes, bytes] = {}
        self.gpus: tuple[str, ...] = ()
        self.cpu_ids: tuple[int, ...] = ()
        self.held = False
        self.halting = False
        self.phase = QUEUED
        self.index = -1
        self.pid = 0
        self.pidfd = -1
        self.span: tuple[int, int] = (0, 0)
        self.started_at: float | None = None
        self.mono_started = 0.0
        self.note = b""
        """What the ledger is told before the spawn, made ahead of its turn."""
        self.actions: Sequence[tuple[Any, ...]] = ()
        """What opens its files in the child, made ahead too."""
        self.shard = ""
        """The folder of its output if that is all it needs, empty if it has files of its own."""
        self.vacated = False
        self.cause = NO_CAUSE
        self.kill_at: float | None = None
        self.passes = 0
        self.reaped = False
        self.reaped_ns = 0
        self.stopping = False
        self.wall_timer: Timer | None = None
        self.end: list[Any] | None = None

    @property
    def is_up(self) -> bool:
        """Tell whether its main process is, or may be, there."""
        return self.phase in (RUNNING, SUSPENDED) and not self.reaped

    @property
    def is_limited(self) -> bool:
        """Tell whether it is held to anything while it runs."""
        return self.wall_time is not None or self.needs.memory > 0

    def detail(self) -> bytes:
        """Write what a later agent needs in order to go on with a running job."""
        needs = self.needs
        # What `from_entry` takes for granted is left out: most jobs have nothing else.
        kept: dict[str, Any] = {"native_id": self.native_id}
        if needs.cpus != 1:
            kept["cpus"] = needs.cpus
        if needs.memory:
            kept["memory"] = needs.memory
        if self.gpus:
            kept["gpu_ids"] = self.gpus
        if needs.exclusive:
            kept["exclusive"] = True
        if self.wall_time is not None:
            kept["wall_time"] = self.wall_time
        if self.grace_s != GRACE_S:
            kept["grace_s"] = self.grace_s
        if self.kill_leftovers:
            kept["kill_leftovers"] = True
        return encode(kept)

    def row(self) -> list[Any]:
        """Tell the engine where it stands."""
        at = self.end[1] if self.end else time.time()
        held = self.held if self.phase == QUEUED else None
        return [
            self.token, self.phase, at, self.native_id, self.started_at, self.pid, held, self.end,
        ]  # fmt: skip


def from_entry(entry: Entry) -> Job:
    """Bring back what an earlier agent had noted."""
    detail = entry.detail
    gpus = tuple(detail.get("gpu_ids", ()))
    job = Job(
        {
            "token": entry.token,
            "native_id": detail.get("native_id", ""),
            "cpus": detail.get("cpus", 1),
            "memory": detail.get("memory", 0),
            "gpus": len(gpus),
            "exclusive": detail.get("exclusive", False),
            "wall_time": detail.get("wall_time"),
            "grace_s": detail.get("grace_s", GRACE_S),
            "kill_leftovers": detail.get("kill_leftovers", False),
        },
        -1,
    )
    job.gpus = gpus
    job.index = entry.index
    job.pid = entry.pid
    job.cause = entry.cause
    job.span = (entry.spawned_after_ns, entry.spawned_before_ns)
    job.started_at = entry.started_at or None
    # The two clocks differ by the time that the machine was asleep: of no job's doing.
    job.mono_started = time.monotonic() - max(0, boot_ns() - entry.spawned_after_ns) / 1e9
    job.phase = SUSPENDED if entry.suspended else RUNNING
    return job


def end_of(
    kind: int,
    at: float,
    *,
    status: int = 0,
    cause: int = NO_CAUSE,
    usage: tuple[float, float, float, int] | None = None,
    message: str = "",
    survivors: tuple[int, ...] = (),
) -> list[Any]:
    """Make the end of a job as the engine is told it; `_reports` reads it."""
    return [kind, at, status, cause, usage, message, survivors]
