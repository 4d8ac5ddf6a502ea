"""The process that runs the jobs of one store on this machine.

One thread, one loop: a child's end, a frame, a timer. It is given jobs ahead of time, so that no
slot waits for the engine, and tells what happened in batches: at once when little happens, every
15 ms when much does. It sleeps without a timer when there is nothing to do.
"""

import gc
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from drover_local._answers import Answers
from drover_local._closed import ClosedTokens
from drover_local._desk import Desk
from drover_local._doubt import Doubt
from drover_local._job import Job
from drover_local._ledger import Ledger
from drover_local._orphans import OrphanReader, Tally
from drover_local._place import Place
from drover_local._poller import Poller
from drover_local._recovery import Recovery
from drover_local._runner import Runner
from drover_local._spawn import Spawner
from drover_local._timers import Timers

# Batches of this length cost a short job at most 20 ms while others run, and save a wake-up of
# the engine per job: 0.85 instead of 0.63 of a bare loop, measured with 2 slots of /bin/true.
WINDOW_S: Final = 0.015


class Agent:
    """Everything of one agent, wired together."""

    def __init__(self, place: Place, keeper: int, tally: Tally) -> None:
        self.poller = Poller()
        self.timers = Timers()
        self.keeper_gone = False
        self._dirty: dict[str, Job] = {}
        self._flushed = 0.0
        self._idle_since: float | None = None
        self.poller.wake_up_on((signal.SIGCHLD, signal.SIGUSR1))
        home = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.runner = Runner(
            Ledger(place.path("ledger")),
            Spawner(home, place.output),
            self.timers,
            self._tell,
        )
        orphans = OrphanReader(place.path("orphans"))
        doubt = Doubt(keeper, tally, orphans, self.runner.ledger.entries)
        Recovery(
            self.runner, self.timers, self.poller, orphans, doubt=doubt, output=place.output
        ).run()
        answers = Answers(self.runner, ClosedTokens(place.path("closed")), keeper)
        self.answers = answers
        self.desk = Desk(self.poller, answers.answer)
        answers.desk = self.desk
        self._watch_keeper(keeper)
        self.desk.listen(place.address())

    def loop(self) -> None:
        """Work until there is nothing left to do and nobody who could bring more."""
        wait, runner, run_timers = self.poller.wait, self.runner, self.timers.run
        while not self._may_leave():
            wait(self._wait_s())
            runner.reap()
            run_timers()
            if runner.slots.free_cpus > 0:
                runner.start_due()
            runner.come_back()
            if self._dirty:
                self._flush()
        self.desk.close()

    def _tell(self, job: Job) -> None:
        self._dirty[job.token] = job

    def _flush(self) -> None:
        now = time.monotonic()
        if self._is_busy() and now - self._flushed < WINDOW_S:
            return
        engine = self.desk.engine
        if engine is not None:
            engine.send({"rows": [job.row() for job in self._dirty.values()]})
        # With no engine there, nothing is lost: the next one is told all ends when it comes.
        self._dirty.clear()
        self._flushed = now

    def _is_busy(self) -> bool:
        return self.runner.running > 0 or len(self.runner.queue) > 0

    def _wait_s(self) -> float | None:
        wait_s = self.timers.wait_s()
        until = self._flushed + WINDOW_S if self._dirty else None
        if self._idle_since is not None:
            # Then nothing waits to be told.
            until = self._idle_since + self.answers.idle_s
        if until is None:
            return wait_s
        left_s = max(0.0, until - time.monotonic())
        return left_s if wait_s is None else min(wait_s, left_s)

    def _may_leave(self) -> bool:
        if self._is_busy() or self._dirty:
            self._idle_since = None
            return False
        if self.keeper_gone:
            # Without a keeper a kill would cost exit codes: let a new pair take over.
            return True
        if self.desk.engine is not None:
            self._idle_since = None
            return False
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since >= self.answers.idle_s

    def _watch_keeper(self, keeper: int) -> None:
        try:
            fd = os.pidfd_open(keeper)
        except (OSError, AttributeError):
            return

        def gone() -> None:
            self.poller.unregister(fd)
            os.close(fd)
            self.keeper_gone = True

        self.poller.register(fd, gone)


def run(place: Place, keeper: int, tally: Tally, ready: Callable[[], Any]) -> int:
    """Be the agent of *place*, below *keeper* and its *tally*; call *ready* once it listens.

    Returns:
        0: it left because there was nothing to do.
    """
    _shut_inherited()
    agent = Agent(place, keeper, tally)
    ready()
    gc.collect()
    gc.freeze()
    # What lives long is frozen; what comes and goes has no cycles worth a frequent look.
    gc.set_threshold(50_000, 20, 100)
    agent.loop()
    return 0


def _shut_inherited() -> None:
    """Keep what was inherited from reaching the jobs."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:
                continue
