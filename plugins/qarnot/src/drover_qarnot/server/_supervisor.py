"""Brings every task one step further whenever something about it has changed.

What is to be done next stands in the database (`phase`, `wanted`), never in memory alone: a server
that is killed anywhere goes on from there. Steps of one task never run at the same time.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from drover_qarnot.server._buckets import BucketsError

_log: Final = logging.getLogger("drover.qarnot.supervisor")
TICK_S: Final = 1.0
"""Between two looks at what is due."""
FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 60.0


class Supervisor:
    """Run steps of things by name, each as soon as it is poked, one at a time per name."""

    def __init__(
        self,
        step: Callable[[str], float | None],
        due: Callable[[float], None],
        *,
        workers: int,
        initializer: Callable[[], None],
    ) -> None:
        """Make one that stands still.

        Args:
            step: Brings one thing further. It answers in how many seconds it wants to be called
                again; `None`: when it is poked.
            due: Called every second with the time, for what the clock brings about.
            workers: Threads.
            initializer: Called in each of them first.
        """
        self._step = step
        self._due = due
        self._pool = ThreadPoolExecutor(
            workers, thread_name_prefix="drover-qarnot", initializer=initializer
        )
        self._workers = workers
        self._changed = threading.Condition()
        self._ready: dict[str, float] = {}
        self._busy = set[str]()
        self._failures: dict[str, int] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="drover-qarnot", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the steps that are under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def poke(self, name: str, delay_s: float = 0.0) -> None:
        """Have a step run, at once or in a while."""
        at = time.monotonic() + delay_s
        with self._changed:
            if at < self._ready.get(name, float("inf")):
                self._ready[name] = at
                self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Tell whether nothing runs, and nothing is to run now."""
        now = time.monotonic()
        with self._changed:
            return not self._busy and all(at > now for at in self._ready.values())

    def _run(self) -> None:
        tick = 0.0
        while True:
            now = time.monotonic()
            if now >= tick:
                tick = now + TICK_S
                self._call_due()
            with self._changed:
                if self._stopping:
                    return
                started = self._start_ready(now)
                if not started:
                    self._changed.wait(max(0.0, self._until(tick, time.monotonic())))

    def _call_due(self) -> None:
        try:
            self._due(time.time())
        except (sqlite3.Error, OSError) as exc:
            _log.warning("what is due has to wait: %s", exc)

    def _start_ready(self, now: float) -> bool:
        started = False
        for name in list(self._ready):
            if len(self._busy) >= self._workers:
                break
            if self._ready[name] <= now and name not in self._busy:
                del self._ready[name]
                self._busy.add(name)
                self._pool.submit(self._step, name).add_done_callback(
                    lambda done, name=name: self._done(name, done)  # type: ignore[misc]
                )
                started = True
        return started

    def _until(self, tick: float, now: float) -> float:
        if len(self._busy) >= self._workers:
            return tick - now
        waiting = [at for name, at in self._ready.items() if name not in self._busy]
        return min([tick, *waiting]) - now

    def _done(self, name: str, done: "Future[float | None]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        again = None if error else done.result()
        if error is not None:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            again = min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 16), LONGEST_BACKOFF_S)
            known = isinstance(error, BucketsError | sqlite3.Error | OSError)
            # A fault of ours harms one task, and is told with where it happened.
            _log.warning(
                "a step of %s failed, the next try is in %.1f s: %s", name, again, error,
                exc_info=None if known else error,
            )  # fmt: skip
        else:
            self._failures.pop(name, None)
        with self._changed:
            self._busy.discard(name)
            if again is not None:
                at = time.monotonic() + again
                self._ready[name] = min(at, self._ready.get(name, float("inf")))
            self._changed.notify_all()
