"""Run an engine until it has nothing to do, is stopped, or is replaced."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import define, field

from drover._engine._backends import LaneMaker, Loader
from drover._engine._bell import Bell, socket_path
from drover._engine._engine import MANY, Engine
from drover._store import Store
from drover.config import Config
from drover.errors import StaleEpochError, StoreUnusableError

_log: Final = logging.getLogger(__name__)

IDLE_S: Final = 30.0
"""How long an engine stays with nothing to do, so that the next job finds one."""
GATHER_S: Final = 0.02
LONGEST_GATHER_S: Final = 0.05
"""Between the beginnings of two rounds then: three times as long as a round takes, so that on a
machine that is slow or busy it is not the rounds that make it so.
"""
LAST_GATHER_S: Final = 0.005
"""The same while nothing waits to be handed over: somebody may wait for the last ends."""
TROUBLE_S: Final = 1.0
"""Pause before the next round after one that could not be written (a full disk)."""


def gather_s(took_s: float, *, is_draining: bool) -> float:
    """Say how long after the beginning of a round the next may begin, while much is under way."""
    if is_draining:
        return LAST_GATHER_S
    return min(LONGEST_GATHER_S, max(GATHER_S, 3 * took_s))


class EngineBell(Protocol):
    """What an engine waits at between two rounds."""

    def ring(self) -> None:
        """Wake `wait`. From any thread."""
        ...

    def tell(self, seq: int) -> None:
        """Tell clients of a commit."""
        ...

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until somebody rings, or the time is over."""
        ...

    def rest(self, seconds: float) -> None:
        """Let news gather."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


@define
class Stop:
    """A request to leave, from any thread."""

    _asked: threading.Event = field(factory=threading.Event)
    _wake: Callable[[], None] | None = None

    def ask(self) -> None:
        """Ask the engine to leave after its round."""
        self._asked.set()
        if self._wake is not None:
            self._wake()

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody asks, or the time is over.

        Returns:
            Whether somebody asked.
        """
        return self._asked.wait(timeout_s)

    def attach(self, wake: Callable[[], None]) -> None:
        """Say how the engine is woken."""
        self._wake = wake

    @property
    def asked(self) -> bool:
        """Tell whether somebody asked."""
        return self._asked.is_set()


class EngineLoop:
    """An engine with its lease and its bell."""

    def __init__(
        self,
        store: Store,
        config: Config,
        info: Mapping[str, Any],
        *,
        load: Loader | None = None,
        lanes: LaneMaker | None = None,
        bell: Callable[[Path], EngineBell] = Bell,
        idle_s: float | None = None,
    ) -> None:
        self._store = store
        self._config = config
        self._info = dict(info)
        self._load = load
        self._lanes = lanes
        self._bell = bell
        self._idle_s = float(config.get("engine.idle_s", IDLE_S)) if idle_s is None else idle_s
        self._published: list[dict[str, Any]] | None = None
        self._idle_since: float | None = None
        self.stop: Final = Stop()
        self.ready: Final = threading.Event()
        """Set once the engine holds the lease and listens, or will never."""

    def run(self) -> bool:
        """Work until there is a reason to leave. May be called again after that.

        Returns:
            Whether this engine ever held the lease.
        """
        epoch = self._store.acquire_lease(self._info)
        if epoch is None:
            self.ready.set()
            return False
        self._published = self._idle_since = None
        bell = self._hang_up_bell()
        self.stop.attach(bell.ring)
        engine = Engine(
            self._store,
            self._config,
            epoch=epoch,
            wake=bell.ring,
            tell_clients=bell.tell,
            load=self._load,
            lanes=self._lanes,
        )
        self.ready.set()
        _log.info("engine epoch %d works on %s", epoch, self._store.home)
        try:
            self._work(engine, bell)
        except StaleEpochError as exc:
            _log.warning("%s", exc)
        finally:
            # First, so that a later engine finds the place free.
            bell.close()
            engine.close()
        return True

    def _hang_up_bell(self) -> EngineBell:
        """Hang up the bell; where that cannot be, clients and engine look from time to time."""
        try:
            return self._bell(socket_path(self._store.home, self._store.store_id))
        except (StoreUnusableError, OSError) as exc:
            _log.error("no bell, so all takes longer: %s", exc)
            return Bell(None)

    def _work(self, engine: Engine, bell: EngineBell) -> None:
        engine.load(str(self._config.get("backend", "local")))
        while not self.stop.asked:
            begun = time.monotonic()
            try:
                wait_s = self._round(engine)
                if self._leaves(engine):
                    _log.info("nothing to do, leaving")
                    return
            except StoreUnusableError as exc:
                _log.error("%s", exc)
                wait_s = TROUBLE_S
            took = time.monotonic() - begun
            bell.wait(wait_s)
            if engine.live > MANY:  # A round costs as much as five jobs.
                pause_s = gather_s(took, is_draining=engine.is_draining)
                bell.rest(begun + pause_s - time.monotonic())
            if not self._store.is_there():
                _log.error("the store is gone, leaving")
                return
        self._store.release_lease(engine.epoch)

    def _round(self, engine: Engine) -> float | None:
        """Do a round.

        Returns:
            How long to wait for the next, in seconds.
        """
        more = engine.round()
        engine.renew()
        wait_s = 0.0 if more else engine.wait_s()
        self._publish(engine)
        return wait_s

    def _publish(self, engine: Engine) -> None:
        backends = engine.backends.info()
        if backends != self._published:
            engine.renew({**self._info, "backends": backends})
            self._published = backends

    def _leaves(self, engine: Engine) -> bool:
        """Leave if there was nothing to do for long, giving the lease back in the very
        transaction that finds so.
        """
        if not engine.is_idle():
            self._idle_since = None
            return False
        tick = self._store.clock.monotonic()
        if self._idle_since is None:
            self._idle_since = tick
        if tick - self._idle_since < self._idle_s:
            return False
        return self._store.release_lease(engine.epoch, if_idle=True)
