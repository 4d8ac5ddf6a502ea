"""The backends of an engine: loaded when first needed, each with two lanes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from drover._engine._lanes import Call, Lane, Reply, ThreadLane
from drover._engine._runtime import Phase, Runtime
from drover._plugins import Backend, BackendContext, load_backend, wrappers
from drover._store import Store
from drover.config import Config
from drover.errors import DroverError
from drover.models import Attempt, Observation

_log: Final = logging.getLogger(__name__)

Receipt = Callable[[], None]
Report = tuple[Runtime, Sequence[Observation], Receipt | None]
Loader = Callable[[str, BackendContext, Config], Backend]
LaneMaker = Callable[[Backend, Callable[[Reply], None]], Lane]


def nothing_follows(_answer: object, error: DroverError | None) -> None:
    """Take an answer that matters to nobody."""
    if error is not None:
        _log.warning("%s", error)


class Backends:
    """Load backends and keep them."""

    def __init__(
        self,
        store: Store,
        config: Config,
        epoch: int,
        *,
        load: Loader | None,
        lanes: LaneMaker | None,
        reply: Callable[[Reply], None],
        report: Callable[[Report], None],
    ) -> None:
        self.runtimes: Final[dict[str, Runtime]] = {}
        self.broken: Final[dict[str, str]] = {}
        """What cannot be loaded, and why."""
        self._store = store
        self._config = config
        self._epoch = epoch
        self._load: Loader = load or load_backend
        self._lanes: LaneMaker = lanes or self._thread_lane
        self._reply = reply
        self._report = report

    def _thread_lane(self, backend: Backend, reply: Callable[[Reply], None]) -> Lane:
        return ThreadLane(backend, self._store.clock, reply)

    def get(self, name: str) -> Runtime | None:
        """Give a backend, loaded now if need be; `None` if it cannot be."""
        known = self.runtimes.get(name)
        if known is not None or name in self.broken:
            return known
        try:
            backend = self._load(name, self._context(name), self._config)
        except DroverError as exc:
            _log.error("%s", exc)
            self.broken[name] = str(exc)
            return None
        runtime = Runtime(
            backend,
            self._lanes(backend, self._reply),
            self._lanes(backend, self._reply),
            self._store.clock,
            self._plugin_of(name),
        )
        self.runtimes[name] = runtime
        return runtime

    def observers(self) -> Mapping[str, object]:
        """Make the plugins that are no backends."""
        return wrappers(self._context(""), self._config)

    def _context(self, name: str) -> BackendContext:
        options = self._config.table(f"backends.{name}") if name else {}
        options.pop("plugin", None)

        def report(seen: Sequence[Observation], on_durable: Receipt | None) -> None:
            if name in self.runtimes:
                self._report((self.runtimes[name], tuple(seen), on_durable))

        return BackendContext(
            name=name,
            home=self._store.home,
            store_id=self._store.store_id,
            clock=self._store.clock,
            epoch=self._epoch,
            config=options,
            reporter=report,
        )

    def _plugin_of(self, name: str) -> str:
        return str(self._config.get(f"backends.{name}.plugin", name))

    def forget(self, name: str, attempts: Sequence[Attempt]) -> None:
        """Let a backend delete what it keeps of attempts."""
        runtime = self.get(name)
        if runtime is not None:
            arguments = {"attempts": tuple(attempts)}
            runtime.call("drover_forget", set(), arguments, nothing_follows)

    def info(self) -> list[dict[str, Any]]:
        """Describe the backends for `drover engine status`, by name."""
        rows: list[dict[str, Any]] = [
            {
                "name": runtime.name,
                "plugin": runtime.plugin,
                "ok": runtime.phase is Phase.READY,
                "error": runtime.error or runtime.full,
                "broken": False,
            }
            for runtime in self.runtimes.values()
        ]
        rows += [
            {
                "name": name,
                "plugin": self._plugin_of(name),
                "ok": False,
                "error": error,
                "broken": True,
            }
            for name, error in self.broken.items()
        ]
        return sorted(rows, key=lambda row: str(row["name"]))

    @property
    def idle(self) -> bool:
        """Tell whether no call is under way."""
        return all(r.control.idle and r.data.idle for r in self.runtimes.values())

    def close(self, await_reply: Callable[[Call], None]) -> None:
        """Let all of them go. Jobs go on."""
        for runtime in self.runtimes.values():
            if runtime.phase is Phase.READY:
                stopping = Call(hook="drover_stop", arguments={}, then=nothing_follows)
                runtime.control.add(stopping)
                await_reply(stopping)
            runtime.control.close()
            runtime.data.close()
