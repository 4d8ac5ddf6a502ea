"""What there is to know about a store besides its jobs."""

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from drover._store import JobFilter, Store
from drover.models import Capabilities
from drover.states import ENDED, State


@frozen(kw_only=True)
class BackendStatus:
    """A backend as the engine has it."""

    name: str
    plugin: str
    ok: bool
    error: str = ""
    broken: bool = False
    """The engine cannot load it: what is submitted to it is refused."""


@frozen(kw_only=True)
class EngineStatus:
    """Who works on the store."""

    running: bool
    pid: int = 0
    host: str = ""
    started_at: float | None = None
    """Seconds since 1970 UTC."""
    epoch: int = 0
    version: str = ""
    backends: tuple[BackendStatus, ...] = ()
    jobs: Mapping[State, int] = field(factory=dict[State, int])
    """Unfinished jobs by state."""
    log: Path | None = None


@frozen(kw_only=True)
class BackendInfo:
    """A backend as it is installed or configured."""

    name: str
    plugin: str
    distribution: str
    version: str
    ok: bool
    error: str = ""
    capabilities: Capabilities | None = None


def status_of(store: Store) -> EngineStatus:
    """Read who works on a store."""
    holder = store.lease()
    with store.read() as reader:
        counts = reader.counts(JobFilter())
    unfinished = {state: n for state, n in counts.items() if state not in ENDED}
    if not holder.live:
        return EngineStatus(running=False, epoch=holder.epoch, jobs=unfinished)
    info = holder.info
    return EngineStatus(
        running=True,
        pid=holder.pid,
        host=info.get("host", ""),
        started_at=info.get("started_at"),
        epoch=holder.epoch,
        version=info.get("version", ""),
        backends=tuple(BackendStatus(**row) for row in info.get("backends", ())),
        jobs=unfinished,
        log=Path(info["log"]) if "log" in info else None,
    )
