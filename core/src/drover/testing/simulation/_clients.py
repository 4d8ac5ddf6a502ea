"""The clients of a store: they hand in, ask, are killed, and see to it that an engine works."""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import evolve

from drover.errors import StoreUnusableError, UserError
from drover.events import SubmitIntended
from drover.models import Attempt, Dependency, JobRecord, Verb
from drover.session import Job, Session
from drover.states import FINAL, State
from drover.testing._driver import NAME
from drover.testing.simulation._danger import Fate, Point, ProcessKilled
from drover.testing.simulation._setting import (
    Action,
    Ask,
    Forget,
    Requeue,
    Submit,
    Weather,
)
from drover.testing.simulation._store import GuardedStore

if TYPE_CHECKING:
    from drover.testing.simulation._world import World

CARE_S: Final = 3.0
"""How often somebody who waits looks whether an engine works."""


class Clients:
    """All clients of a store, in one place: they share nothing but the store."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.store: Final = GuardedStore.open(world.home, clock=world.clock)
        self.session: Final = Session(self.store, world.config, "none", NAME)
        self.told: Final[list[str]] = []
        """Ids that a client was given: of these jobs none may be lost."""
        self.keys: Final[dict[str, str]] = {}

    def guard(self) -> None:
        """Let each of their writes pass a gate from now on."""
        self.store.guard(self._gate)

    def _gate(self, point: Point) -> None:
        world = self._world
        fate = world.dice.fate(point, may_pause=False)
        if fate is Fate.KILLED:
            raise ProcessKilled
        if fate is Fate.FAILED:
            raise sqlite3.OperationalError("database or disk is full")

    # --- doing ---------------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        """Do what the plan has; the client may be killed in it."""
        match action:
            case Submit():
                self._as_client(lambda: self._submit(action))
            case Ask(verb=verb):
                self._as_client(lambda: self._ask_any(verb))
            case Requeue():
                self._requeue()
            case Forget():
                self._forget()
            case Weather(is_rough=is_rough):
                self._world.set_weather(rough=is_rough)

    def _as_client(self, work: Callable[[], None]) -> None:
        try:
            work()
            self.care()
        except ProcessKilled:
            self.store.abandon()
            self._world.tell("a client is killed")
            self._world.counts["clients killed"] += 1
        except StoreUnusableError:
            self._world.tell("a client cannot write")

    def care(self) -> None:
        """See to it that an engine works, as `drover._engine.ensure` does."""
        if self.store.may_start_engine():
            self._world.start_engine()

    def wait(self) -> None:
        """Do what a client does that waits for jobs."""
        if not self.store.lease().live:
            with self.store.read() as reader:
                needed = reader.has_unfinished()
            if needed:
                self._as_client(lambda: None)

    def _submit(self, action: Submit) -> None:
        world, spec = self._world, action.spec
        if action.waits_for is not None and (known := self.records()):
            other = world.chance.choice(known)
            after = Dependency(job=other.id, condition=action.waits_for)
            spec = evolve(spec, after=(after,))
        if action.key is not None:
            # A client that repeats itself has to say the same.
            spec = evolve(spec, after=())
        made = self.session.submit(spec, key=action.key)
        jobs = [made] if isinstance(made, Job) else list(made)
        self.told.extend(job.id for job in jobs)
        if action.key is not None:
            first = self.keys.setdefault(action.key, made.id)
            assert first == made.id, f"key {action.key!r} stands for {first} and {made.id}"
        world.tell(f"a client hands in {', '.join(job.id for job in jobs)}")

    def _ask_any(self, verb: Verb) -> None:
        known = self.records()
        if known:
            self.ask(self._world.chance.choice(known), verb)

    def ask(self, record: JobRecord, verb: Verb) -> None:
        """Ask something of a job; it may make no sense."""
        world = self._world
        try:
            if verb is Verb.RETRY and record.state in FINAL:
                self.session.retry(record.id)
            else:
                twice = verb is Verb.RETRY and world.chance.random() < 0.3
                self.session.ask(record.id, verb, may_run_twice=twice, timeout=0.0)
        except UserError:
            return
        world.tell(f"a client asks {record.id} to {verb}")

    # --- the outside world ---------------------------------------------------------------------

    def _requeue(self) -> None:
        world = self._world
        allowed = [job for job in world.cluster.jobs if job.attempt.spec.requeue]
        if allowed:
            job = world.chance.choice(allowed)
            world.cluster.requeue(job.token)
            world.tell(f"the scheduler requeues {job.token}")
            world.counts["requeues"] += 1

    def _forget(self) -> None:
        world = self._world
        if world.cluster.jobs:
            token = world.chance.choice(world.cluster.jobs).token
            world.cluster.forget(token)
            world.tell(f"the outside forgets {token}")

    # --- looking -------------------------------------------------------------------------------

    def records(self) -> list[JobRecord]:
        """Give the records of all jobs, oldest first."""
        return [job.record for job in reversed(self.session.jobs(newest=None))]

    def is_intended(self, attempt: Attempt) -> bool:
        """Tell whether the intent of an attempt is durable."""
        with self.store.read() as reader:
            history = reader.history(reader.job(attempt.job_id))
        tokens = [e.event.token for e in history if isinstance(e.event, SubmitIntended)]
        return attempt.token in tokens

    def unfinished(self) -> list[JobRecord]:
        """Give the records of jobs that have not ended, or owe somebody an answer."""
        return [record for record in self.records() if _is_open(record)]

    def let_go(self) -> None:
        """Release and resume what is held; cancel what waits behind a LOST job."""
        for record in self.unfinished():
            if record.hold:
                self.ask(record, Verb.RELEASE)
            if record.state is State.SUSPENDED:
                self.ask(record, Verb.RESUME)
            job = self.session.job(record.id)
            if isinstance(job, Job) and job.blockers():
                self.ask(record, Verb.CANCEL)
        self.care()


def _is_open(record: JobRecord) -> bool:
    return not record.state.ends_wait or bool(record.pending)
