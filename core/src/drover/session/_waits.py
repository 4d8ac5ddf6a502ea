"""Waits of asyncio: any number of them in one thread, which no program waits for.

In asyncio's own threads six waits on a machine with two processors would let nothing else run,
and a program whose wait was given up would end no sooner than the job.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from drover.session._waiting import MANY, Waiter
from drover.session._watch import CARE_S, Watch


class Wait:
    """The ends of some jobs, waited for by a task."""

    def __init__(self, waiter: Waiter, *, until_any: bool) -> None:
        self._waiter = waiter
        self._until_any = until_any
        self._loop: Final = asyncio.get_running_loop()
        self.ended: Final[list[str]] = []
        self.over: Final[asyncio.Future[None]] = self._loop.create_future()

    def look(self) -> bool:
        """Take in what has ended.

        Returns:
            Whether there is nothing more to wait for, or nobody who does.
        """
        if self.over.done():
            return True
        self._waiter.look()
        self.ended.extend(self._waiter.take_ended())
        is_enough = not self._waiter.pending or (self._until_any and bool(self.ended))
        if is_enough or self._waiter.all_blocked():
            self.tell(None)
            return True
        return False

    def tell(self, error: Exception | None) -> None:
        """Let the task go on. From the thread."""

        def settle() -> None:
            if not self.over.done():
                self.over.set_result(None) if error is None else self.over.set_exception(error)

        # The loop of a program that has given up waiting is closed.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)


class Waits:
    """Serve the waits of one session."""

    def __init__(self, watch: Callable[[], Watch]) -> None:
        self._watch = watch
        self._lock: Final = threading.Lock()
        self._waits: list[Wait] = []
        self._works = False

    async def ended(self, waiter: Waiter, timeout_s: float | None, *, until_any: bool) -> list[str]:
        """Give the ids of jobs as they have ended: all, those till the first look that shows one,
        or those in time. None more if all others wait behind a LOST one.
        """
        wait = Wait(waiter, until_any=until_any)
        if not wait.look():
            with self._lock:
                self._waits.append(wait)
                if not self._works:
                    self._works = True
                    threading.Thread(target=self._work, name="drover-waits", daemon=True).start()
        try:
            await asyncio.wait({wait.over}, timeout=timeout_s)
            if wait.over.done():
                wait.over.result()
        finally:
            wait.over.cancel()  # Nobody waits any more.
        return wait.ended

    def _work(self) -> None:
        watch = self._watch()
        try:
            while self._look():
                watch.wait(watch.now() + CARE_S)
                if len(self._waits) > MANY:
                    watch.rest()
        # Whatever it is, it belongs to the tasks that wait.
        except Exception as exc:  # noqa: BLE001
            with self._lock:
                waits, self._waits, self._works = self._waits, [], False
            for wait in waits:
                wait.tell(exc)
        finally:
            watch.close()

    def _look(self) -> bool:
        with self._lock:
            waits = tuple(self._waits)
        over = {wait for wait in waits if wait.look()}
        with self._lock:
            self._waits = [wait for wait in self._waits if wait not in over]
            self._works = bool(self._waits)
            return self._works
