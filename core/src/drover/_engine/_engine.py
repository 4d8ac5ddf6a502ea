"""The engine: rounds of looking, deciding, committing, and only then acting.

A round is one transaction. Inside it everything that has come in is turned into facts; what
follows from the facts is asked of backends after the commit, so that every action stands in
the journal before it is taken.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drover import events as e
from drover import instructions as i
from drover import machine
from drover._engine import _dependencies
from drover._engine._attempts import attempt_of, attempts_of, variables_of
from drover._engine._backends import Backends, LaneMaker, Loader
from drover._engine._calls import Calls
from drover._engine._desk import Desk
from drover._engine._duties import do_duties
from drover._engine._inbox import Inbox
from drover._engine._lanes import Call
from drover._engine._observers import Observers
from drover._engine._runtime import MOST_TURNS, Runtime
from drover._engine._wallclock import WallClock
from drover._engine._watching import Watching
from drover._store import RENEW_S, Reader, Store, Writer, new_id
from drover.commandline import claims
from drover.commandline.tokens import attempt_path, job_of_token, token_of
from drover.config import Config
from drover.models import (
    Attempt,
    Claim,
    Closing,
    JobRecord,
    OrderAnswer,
)
from drover.states import ENDED, PLACED, State

_log: Final = logging.getLogger(__name__)
MOST_BASES: Final = 256
"""Environments kept, by digest: most jobs of a store inherit one of a few."""
MANY: Final = 32
"""Live jobs above which the engine does more at a time, later."""
STOP_S: Final = 5.0
"""How long a backend may take to let go when the engine leaves."""


class Engine:
    """Move the jobs of one store. One thread calls it; lanes and backends ring its bell."""

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        epoch: int,
        wake: Callable[[], None],
        tell_clients: Callable[[int], None] = lambda _seq: None,
        load: Loader | None = None,
        lanes: LaneMaker | None = None,
    ) -> None:
        self.store: Final = store
        self.epoch: Final = epoch
        self._tell_clients = tell_clients
        self._inbox = Inbox(wake)
        self._answers: deque[OrderAnswer] = deque()
        self._receipts: list[Callable[[], None]] = []
        self._again: set[int] = set()
        self._intended: set[str] = set()
        self._closed: list[tuple[str, str, int]] = []
        self._check: list[int] = []
        self._written: list[tuple[int, e.Event]] = []
        self._bases: dict[str, Mapping[str, str]] = {}
        self.backends: Final = Backends(
            store,
            config,
            epoch,
            load=load,
            lanes=lanes,
            reply=self._inbox.reply,
            report=self._inbox.report,
        )
        self.observers: Final = Observers(self.backends.observers())
        self.desk: Final = Desk(self.observers.retry)
        self.calls: Final = Calls(self)
        self.watching: Final = Watching(self)
        self._seq = 0
        self.clock: Final = WallClock(store.clock)
        self._renew_at = store.clock.monotonic() + RENEW_S
        self._begun = False
        self._more = True
        self.is_draining = False  # Nothing waits to be handed over.
        self.now = 0.0
        self.tick = 0.0
        self.reader: Reader
        self.writer: Writer

    # Rounds

    def round(self) -> bool:
        """Do one round: take in, decide, commit, act.

        Returns:
            Whether another should follow at once.

        Raises:
            StaleEpochError: Another engine has taken over; nothing was written.
            StoreUnusableError: The store cannot be written now; nothing is lost.
        """
        self.now, self.tick = self.clock.read()
        self._more = False
        for runtime in self.backends.runtimes.values():
            runtime.begin_round()
        facts: list[tuple[JobRecord, e.Event]] = []
        try:
            with self.store.write(self.epoch) as (self.writer, self.reader):
                self._begin()
                self._heed_clock()
                self._take_in()
                self._work()
                facts = self._flush()
        except BaseException:
            self._forget_round()
            raise
        self._after_commit(facts)
        self._act()
        self.desk.clear_round()
        return self._more or bool(self._inbox or self._answers)

    def _begin(self) -> None:
        if not self._begun:
            self._seq = self.reader.last_seq()
            for job in self.reader.unsettled():
                self.desk.touch(job)
            stuck = self.reader.stuck()
            for job in self.reader.jobs_of(stuck):
                self.desk.touch(job)
            self._check += stuck
            self._begun = True
            return
        self._seq, asked = self.reader.asked_since(self._seq)
        for job in self.reader.jobs_of(asked):
            self.desk.touch(job)
            if job.state in ENDED:
                self.desk.ended.append(job)  # Somebody resolved it: others may wait for it.
            elif job.spec.after and not job.dependencies_met:
                self._check.append(job.n)  # Retried: what it waits for may have ended long ago.

    def _heed_clock(self) -> None:
        """Let what counts by duration move along with a wall clock that was set."""
        jump_s = self.clock.jump_s(self.writer)
        if not jump_s:
            return
        _log.warning("the clock was set by %+.1f s", jump_s)
        fact = e.ClockSet(at=self.now, seconds=jump_s)
        for job in self.reader.delayed():
            if job.n not in self.desk.jobs:
                self.desk.put(job)
        for job in tuple(self.desk.jobs.values()):
            # Its turn to be woken may stand there in the old time.
            self.desk.touch(job)
            self.desk.dirty[job.n] = None
            if machine.apply(job, fact) is not job:
                self.desk.tell(job.n, fact)

    def _take_in(self) -> None:
        for runtime, seen, on_durable in self._inbox.take_reports():
            if self.watching.take_in(runtime, seen) and runtime.polled:
                runtime.look_soon()
            if on_durable is not None:
                self._receipts.append(on_durable)
        for reply in self._inbox.take_replies(self.tick, busy=self.live > MANY):
            reply.deliver()
        while self._answers:
            self.calls.ordered(self._answers.popleft())
        for n in self._again:
            job = self.desk.jobs.get(n)
            if job is not None:
                self.desk.touch(job)
        self._again.clear()
        due = self.reader.due(self.now)
        self._more |= len(due) == 1000
        for job in due:
            self.desk.touch(self.desk.jobs.get(job.n, job))
            self.desk.dirty[job.n] = None  # Its turn may have come: the projection says so.

    def _work(self) -> None:
        self._do_touched()
        self._save()
        for name in self._backends_wanted():
            runtime = self.backends.get(name)
            if runtime is not None:
                self._hand_over(runtime)

    def _do_touched(self) -> None:
        due = self.desk.due
        while due:
            n = next(iter(due))
            do_duties(self, n)
            # What it told of the job itself was looked at too.
            due.pop(n, None)

    def _save(self) -> None:
        """Write the facts so far, and what they mean for jobs that wait for others."""
        written: list[tuple[int, e.Event]] = []
        while self.desk.facts or self._check or self.desk.dirty or self.desk.ended:
            facts, self.desk.facts = self.desk.facts, []
            self.writer.append_all(facts)
            self.writer.save_all([self.desk.jobs[n] for n in self.desk.dirty], self.now)
            self.desk.dirty.clear()
            written += facts
            ended, self.desk.ended = self.desk.ended, []
            checks, self._check = self._check, []
            _dependencies.follow(self, facts, ended, checks)
            self._do_touched()
        self._written += written

    def _backends_wanted(self) -> list[str]:
        placed = {self.desk.jobs[n].backend for n in self.desk.touched if n in self.desk.jobs}
        turns = self.reader.backends_with_turns()
        self.is_draining = not turns
        return sorted(placed.union(turns))

    # Handing over

    def _hand_over(self, runtime: Runtime) -> None:
        """Take jobs whose turn it is, as many as the backend has room for."""
        if not runtime.ready:
            return
        unstarted = self.desk.unstarted[runtime.name]
        room = runtime.room(unstarted)
        if room <= 0:
            return
        full: list[str] = []
        passed: list[int] = []
        batch = new_id()
        taken = 0  # Who only moves on to wait for something takes no room.
        while room > 0 and taken < MOST_TURNS:
            jobs = self.reader.turns(runtime.name, room, full, passed)
            if not jobs:
                return
            for job in jobs:
                now = self.desk.jobs.get(job.n, job)  # The desk's is newer.
                if self._is_full(now, full):
                    continue
                taken += 1
                room -= self._take(now, batch)
                if not self._has_moved(job):
                    passed.append(job.n)
            runtime.handed_over()
            self._save()
        is_cut = taken >= MOST_TURNS > len(passed)
        self._more |= is_cut or runtime.capabilities.window is None or not unstarted

    def _has_moved(self, job: JobRecord) -> bool:
        """Tell whether anything came of a job's turn; if not, it would come up again and again."""
        now = self.desk.jobs.get(job.n)
        return now is None or now.state is not job.state

    def _is_full(self, job: JobRecord, full: list[str]) -> bool:
        array = job.spec.array
        if array is None or array.max_running is None or job.array_id is None:
            return False
        if self.desk.placed[job.array_id] < array.max_running:
            return False
        if job.array_id not in full:
            full.append(job.array_id)
        return True

    def _take(self, job: JobRecord, batch: str) -> int:
        """Do what a job's turn is for.

        Returns:
            1 if it now takes room in the backend.
        """
        self.desk.touch(job)
        do_duties(self, job.n)
        self.desk.due.pop(job.n, None)
        job = self.desk.jobs[job.n]
        for order in machine.owed(job):
            if isinstance(order, i.StageIn | i.SubmitJob):
                if order.at is not None and order.at > self.now:
                    return 0
                if isinstance(order, i.StageIn):
                    self.desk.tell(job.n, e.StagingInStarted(at=self.now, attempt=job.attempt))
                    return 0
                token = token_of(self.store.store_id, job.id, job.attempt)
                self._intended.add(token)
                self.desk.tell(
                    job.n,
                    e.SubmitIntended(at=self.now, attempt=job.attempt, token=token, batch=batch),
                )
                return 1
        return 0

    # After the work

    def _flush(self) -> list[tuple[JobRecord, e.Event]]:
        self._save()
        for token, backend, n in self._closed:
            self.writer.watch_token(token, backend, n, self.now)
        self._closed.clear()
        self._forget_expired()
        self._seq = self.reader.last_seq()
        written, self._written = self._written, []
        jobs = self.desk.jobs
        return [(jobs[n], event) for n, event in written if n in jobs]

    def _forget_expired(self) -> None:
        expired = [
            job
            for n in self.desk.touched
            if (job := self.desk.jobs.get(n)) is not None
            and job.spec.expires_after is not None
            and any(
                isinstance(order, i.ForgetJob) and order.at <= self.now
                for order in machine.owed(job)
            )
        ]
        # Often there are none, and then nothing is written.
        awaited = self.reader.awaited(expired) if expired else ()
        # Behind one that is LOST others wait until somebody knows: it has to stay till then.
        gone = [job for job in expired if job.n not in awaited]
        by_backend: dict[str, list[Attempt]] = {}
        for job in gone:
            by_backend.setdefault(job.backend, []).extend(attempts_of(job, self.store.store_id))
            self.desk.drop(job.n)
        for name, attempts in by_backend.items():
            self.backends.forget(name, attempts)
        if gone:
            self.writer.forget([job.n for job in gone])

    def _after_commit(self, facts: Sequence[tuple[JobRecord, e.Event]]) -> None:
        self.clock.keep()
        self._inbox.committed()
        receipts, self._receipts = self._receipts, []
        for receipt in receipts:
            receipt()
        self._tell_clients(self._seq)
        self.observers.tell(facts)

    def _act(self) -> None:
        by_backend: dict[str, list[JobRecord]] = {}
        for n in self.desk.touched:
            job = self.desk.jobs.get(n)
            if job is not None:
                by_backend.setdefault(job.backend, []).append(job)
        for name, runtime in self.backends.runtimes.items():
            runtime.start_if_due(self._adopt(runtime))
            if runtime.ready:
                self.calls.dispatch(runtime, by_backend.get(name, ()))
                self._look_at(runtime, by_backend.get(name, ()))
        self._retry_waiting()

    def _look_at(self, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        if runtime.polled and runtime.next_look is None and not runtime.looking:
            live = jobs or [j for j in self.desk.jobs.values() if j.backend == runtime.name]
            if any(job.state in PLACED and job.state is not State.SUBMITTING for job in live):
                runtime.look_soon()
        self.watching.look_if_due(runtime)

    def _adopt(self, runtime: Runtime) -> Callable[[], None]:
        def ready() -> None:
            """Look at everything of this backend again, now that it can be called."""
            self._more = True
            runtime.adopted = False
            self._again.update(n for n, j in self.desk.jobs.items() if j.backend == runtime.name)

        return ready

    def _retry_waiting(self) -> None:
        """Look again at jobs whose pause between two attempts to settle something is over."""
        tick = self.store.clock.monotonic()
        for runtime in self.backends.runtimes.values():
            over = [key for key, at in runtime.again_at.items() if at <= tick]
            if not over:
                continue
            for key in over:
                del runtime.again_at[key]
            self._again.update(n for n, j in self.desk.jobs.items() if j.backend == runtime.name)
            self._more = True

    def _forget_round(self) -> None:
        """Go back to what the store says: a round was not committed."""
        self.desk.abandon_round()
        self.clock.forget()
        self._begun = False
        self._receipts.clear()
        self._closed.clear()
        self._check.clear()
        self._written = []
        self._inbox.put_back()
        for runtime in self.backends.runtimes.values():
            runtime.adopted = False  # What it pushed into this round must be asked for again.

    # Time

    def wait_s(self) -> float | None:
        """Say how long nothing will be due, in seconds; `None`: until somebody rings."""
        now, tick = self.store.clock.time(), self.store.clock.monotonic()
        with self.store.read() as reader:
            wake = reader.next_wake()
        waits = [self._renew_at - tick]
        if self._inbox.due_at is not None:
            waits.append(self._inbox.due_at - tick)
        if wake is not None:
            waits.append(wake - now)
        for runtime in self.backends.runtimes.values():
            at = runtime.wake_at()
            if at is not None:
                waits.append(at - tick)
        return max(0.0, min(waits))

    def renew(self, info: Mapping[str, Any] | None = None) -> None:
        """Extend the lease if it is time.

        Raises:
            StaleEpochError: Another engine has taken over.
        """
        tick = self.store.clock.monotonic()
        if info is not None or tick >= self._renew_at:
            self.store.renew_lease(self.epoch, dict(info) if info is not None else None)
            self._renew_at = tick + RENEW_S

    def is_idle(self) -> bool:
        """Tell whether nothing is under way and the store has no unfinished job."""
        if self.desk.jobs or not self.backends.idle:
            return False
        with self.store.read() as reader:
            return not reader.has_unfinished()

    @property
    def live(self) -> int:
        """Count the jobs that a backend has, or that something was asked of."""
        return len(self.desk.jobs)

    def close(self) -> None:
        """Let backends go. Jobs go on."""
        self.backends.close(self._await_reply)

    def _await_reply(self, call: Call) -> None:
        """Wait for one call to come back; what else comes back is of no use any more."""
        deadline = self.store.clock.monotonic() + STOP_S
        while self.store.clock.monotonic() < deadline:
            while (reply := self._inbox.next_reply()) is not None:
                if reply.call is call:
                    return
            self._inbox.arrived.wait(STOP_S / 100)
            self._inbox.arrived.clear()

    # Backends

    def load(self, name: str) -> bool:
        """Load a backend before a job needs it.

        Returns:
            Whether it could be loaded.
        """
        return self.backends.get(name) is not None

    def runtime_of(self, job: JobRecord) -> Runtime | None:
        """Give the backend of a job, if it could be loaded."""
        return self.backends.get(job.backend)

    # What duties and calls need

    @staticmethod
    def new_id() -> str:
        """Make the id of a request."""
        return new_id()

    def job_with(self, token: str) -> JobRecord | None:
        """Find the live job whose current attempt bears a token."""
        n = self.desk.tokens.get(token)
        return None if n is None else self.desk.jobs.get(n)

    def staging_job(self, token: str) -> JobRecord | None:
        """Find a job whose transfers came back: before its submission it bears no token."""
        known = job_of_token(self.store.store_id, token)
        if known is None:
            return None
        at = self.reader.positions([known[0]]).get(known[0])
        job = None if at is None else self.desk.jobs.get(at[0])
        return job if job is not None and job.attempt == known[1] else None

    def token_of(self, job: JobRecord) -> str:
        """Give the token that the current attempt has, or will have."""
        return job.token or token_of(self.store.store_id, job.id, job.attempt)

    def full_attempt(self, job: JobRecord) -> Attempt:
        """Describe an attempt with its environment."""
        token = self.token_of(job)
        base = self._base_of(job.base_digest) if job.base_digest else dict[str, str]()
        return attempt_of(job, token=token, base=base, variables=variables_of(job, token))

    def _base_of(self, digest: str) -> Mapping[str, str]:
        known = self._bases.get(digest)
        if known is None:
            with self.store.read() as reader:
                known = reader.environment(digest)
            if len(self._bases) > MOST_BASES:
                self._bases.clear()
            self._bases[digest] = known
        return known

    def is_intended_now(self, token: str) -> bool:
        """Tell whether this engine wrote the intent and has not called the backend yet."""
        return token in self._intended

    def intentions_passed_on(self, tokens: Sequence[str]) -> None:
        """Note that the backend is being called."""
        self._intended.difference_update(tokens)

    def answer_soon(self, row: OrderAnswer) -> None:
        """Draw the consequences of an answer in the next round."""
        self._answers.append(row)
        self._more = True

    def look_again(self, token: str) -> None:
        """Look at the job again in the next round."""
        n = self.desk.tokens.get(token)
        if n is not None:
            self._again.add(n)

    def check_dependencies(self, n: int) -> None:
        """Look at what a job waits for, in this round."""
        self._check.append(n)

    def attempt_dir(self, job: JobRecord) -> Path:
        """Give the folder of the current attempt; it need not be there."""
        return attempt_path(self.store.home, job.id, job.attempt)

    def is_claimed(self, job: JobRecord) -> bool | None:
        """Tell whether the wrapper of the current attempt took its claim."""
        runtime = self.runtime_of(job)
        if runtime is None or runtime.capabilities.claim is not Claim.DIRECTORY:
            return None
        if job.native_id is None:
            return False
        owner = claims.Owner(native_id=job.native_id, restart=job.restart)
        return claims.is_owner(self.attempt_dir(job), owner)

    def close_token(self, job: JobRecord, why: str) -> None:
        """Record that the current attempt can never start any more."""
        self._closed.append((job.token, job.backend, job.n))
        self.desk.tell(
            job.n,
            e.AttemptClosed(at=self.now, attempt=job.attempt, token=job.token, why=why),
        )

    def close_claim(self, runtime: Runtime, job: JobRecord) -> bool:
        """Close the current attempt where that needs no call.

        Returns:
            Whether it is closed now.
        """
        if runtime.capabilities.claim is not Claim.DIRECTORY:
            return False
        closed = claims.close(self.attempt_dir(job), "it was cancelled")
        if closed.closing is not Closing.CLOSED:
            return False
        self.close_token(job, "it was cancelled")
        return True

    def withdraw(self, job: JobRecord, why: str, ready_at: float | None = None) -> None:
        """Let a job wait again whose attempt never ran and never will."""
        self.desk.tell(
            job.n, e.Withdrawn(at=self.now, attempt=job.attempt, why=why, ready_at=ready_at)
        )
