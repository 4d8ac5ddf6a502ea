"""What is seen of placed jobs, and what is not."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drover import events as e
from drover import machine
from drover._engine._attempts import attempt_of
from drover._engine._duties import may_end
from drover._engine._runtime import Runtime
from drover.commandline.tokens import job_of_token
from drover.errors import DroverError
from drover.models import (
    ENGINE,
    JobRecord,
    Observation,
    Observed,
    Order,
    Phase,
    Reason,
    Request,
    Source,
    Verb,
    Verdict,
)
from drover.states import State

if TYPE_CHECKING:
    from drover._engine._engine import Engine

_log: Final = logging.getLogger(__name__)
_NOT_ENDED: Final = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.SUSPENDED})
_WATCHED: Final = frozenset(
    {State.QUEUED, State.RUNNING, State.SUSPENDED, State.COMPLETING, State.SLEEPING}
)


class Watching:
    """Ask backends about placed jobs, and take in what they say."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    # Asking

    def look_if_due(self, runtime: Runtime) -> None:
        """Observe all placed jobs of a backend in one call, if it is time."""
        if not runtime.ready or runtime.looking:
            return
        due = runtime.next_look is not None and self._engine.tick >= runtime.next_look
        if not due and runtime.adopted:
            return
        if not runtime.polled and runtime.adopted and not runtime.missing_since:
            runtime.next_look = None
            return
        jobs = [
            job
            for job in self._engine.desk.jobs.values()
            if job.backend == runtime.name and job.state in _WATCHED
        ]
        first, runtime.adopted = not runtime.adopted, True
        runtime.next_look = None
        if not jobs:
            return
        self._look(runtime, jobs, first=first)

    def _look(self, runtime: Runtime, jobs: Sequence[JobRecord], *, first: bool) -> None:
        attempts = tuple(attempt_of(job) for job in jobs)
        before = {attempt.token: attempt.restart for attempt in attempts}
        runtime.looking = True

        def then(answer: Observed | None, error: DroverError | None) -> None:
            runtime.looking = False
            if error is not None or answer is None:
                runtime.failures += error is None
                runtime.pause_grace()
                if first:
                    runtime.adopted = False
                self._next_look(runtime, changed=False)
                return
            runtime.failures, runtime.error = 0, ""
            runtime.looked_at = self._engine.tick
            runtime.rest_s = answer.rest_s
            runtime.in_queue = frozenset(
                seen.token
                for seen in answer.observations
                if seen.source is Source.QUEUE and seen.phase in _NOT_ENDED
            )
            changed = self.take_in(runtime, answer.observations)
            if answer.complete:
                self._absent(runtime, before, answer.observations)
            self._next_look(runtime, changed=changed)

        runtime.call("drover_observe", set(), {"attempts": attempts}, then)

    def _next_look(self, runtime: Runtime, *, changed: bool) -> None:
        if not runtime.polled and not runtime.missing_since and runtime.adopted:
            runtime.next_look = None
            return
        caps = runtime.capabilities
        # Twice the last pause while nothing changes, so that a quiet queue is asked rarely.
        pause = caps.poll_s if changed else min(caps.idle_poll_s, runtime.pause_s * 2)
        if runtime.missing_since or self._has_end_pending(runtime):
            pause = caps.poll_s
        pause = max(pause, runtime.rest_s)
        runtime.pause_s = pause
        runtime.next_look = self._engine.tick + pause

    def _has_end_pending(self, runtime: Runtime) -> bool:
        return any(
            job.backend == runtime.name and (job.state is State.COMPLETING or job.pending)
            for job in self._engine.desk.jobs.values()
        )

    # Taking in

    def take_in(self, runtime: Runtime, rows: Sequence[Observation]) -> bool:
        """Draw the consequences of observations, each by itself.

        Returns:
            Whether anything changed.
        """
        changed = False
        for seen in rows:
            try:
                changed |= self._take_one(runtime, seen)
            # One bad row harms one job: what a plugin put into a row can be anything.
            except (AttributeError, TypeError, ValueError) as exc:
                _log.error("backend %r: unusable row %r: %s", runtime.name, seen, exc)
        if changed:
            runtime.has_moved()
        return changed

    def _take_one(self, runtime: Runtime, seen: Observation) -> bool:
        engine = self._engine
        job = engine.job_with(seen.token) or self._from_store(seen.token)
        if seen.progress is not None and (job is None or job.token != seen.token):
            job = self._staging(seen.token) or job
        if job is None or job.token not in (seen.token, ""):
            self._stranger(runtime, job, seen)
            return False
        facts = machine.events_of(job, seen, settle_s=runtime.capabilities.settle_s)
        if machine.is_about(job, seen) and _is_there(seen):
            runtime.missing_since.pop(seen.token, None)
        if not facts:
            return False
        ends = any(isinstance(fact, e.Ended | e.StagingOutStarted) for fact in facts)
        if ends and not may_end(engine, job, max(job.restart, seen.restart or 0)):
            return False
        engine.desk.put(job)
        engine.desk.tell(job.n, *facts)
        return True

    def _from_store(self, token: str) -> JobRecord | None:
        """Find a job that is not on the desk: LOST ones may yet be heard of."""
        known = job_of_token(self._engine.store.store_id, token)
        if known is None:
            return None
        job = self._engine.reader.jobs_by_id([known[0]]).get(known[0])
        # What this round has done to it already is not in the store yet.
        return None if job is None else self._engine.desk.jobs.get(job.n, job)

    def _staging(self, token: str) -> JobRecord | None:
        """Find a job whose inputs are on their way: until its submission it bears no token."""
        job = self._engine.staging_job(token)
        return job if job is not None and job.state is State.STAGING_IN else None

    def _stranger(self, runtime: Runtime, job: JobRecord | None, seen: Observation) -> None:
        """Note what is told of an older attempt, and end what bears a closed token."""
        engine = self._engine
        known = job_of_token(engine.store.store_id, seen.token)
        if known is None or job is None:
            return
        if seen.phase is Phase.ENDED and known[1] < job.attempt:
            engine.desk.put(job)
            what = f"attempt {known[1]} is told to have ended"
            engine.desk.tell(
                job.n, e.EvidenceNoted(at=seen.at, attempt=known[1], what=what, report=seen.end)
            )
        elif seen.phase in (Phase.QUEUED, Phase.RUNNING) and engine.reader.watched([seen.token]):
            self._cancel_stranger(runtime, job, seen)

    def _cancel_stranger(self, runtime: Runtime, job: JobRecord, seen: Observation) -> None:
        if runtime.is_under_way("drover_control", seen.token):
            return
        request = Request(
            id=self._engine.new_id(),
            verb=Verb.CANCEL,
            by=ENGINE,
            at=self._engine.now,
            why="its token was closed",
        )
        order = Order(attempt=attempt_of(job, token=seen.token), request=request)
        runtime.call(
            "drover_control", {seen.token}, {"orders": (order,)}, lambda _answer, _error: None
        )

    # Absence

    def _absent(self, runtime: Runtime, asked: dict[str, int], rows: Sequence[Observation]) -> None:
        """Wait out the grace of jobs that a good answer does not name, then call them LOST."""
        engine = self._engine
        listed = set[str]()
        for seen in rows:
            job = engine.job_with(seen.token)
            if job is not None and machine.is_about(job, seen) and _is_there(seen):
                listed.add(seen.token)
        for token in asked:
            job = engine.job_with(token)
            if token in listed or job is None or job.state not in _WATCHED:
                runtime.missing_since.pop(token, None)
                continue
            since = runtime.missing_since.setdefault(token, engine.tick)
            if engine.tick - since >= runtime.capabilities.missing_grace_s:
                runtime.missing_since.pop(token)
                self._lost(runtime, job)

    def _lost(self, runtime: Runtime, job: JobRecord) -> None:
        if job.state is State.COMPLETING:
            return  # Its settle time decides.
        engine = self._engine
        never_seen_started = job.started_at is None
        cancelled = any(r.verb.ends_job and r.verdict is Verdict.SIGNALLED for r in job.pending)
        if never_seen_started and cancelled and engine.close_claim(runtime, job):
            from_cancel = machine.unrun_outcome(job, Reason.CANCELLED)
            engine.desk.tell(
                job.n, e.Ended(at=engine.now, attempt=job.attempt, outcome=from_cancel)
            )
            return
        grace = runtime.capabilities.missing_grace_s
        why = f"the backend has not listed it for {grace:g} s, and nothing tells how it ended"
        outcome = machine.lost(why, job.reports)
        engine.desk.tell(job.n, e.Ended(at=engine.now, attempt=job.attempt, outcome=outcome))


def _is_there(seen: Observation) -> bool:
    """Tell whether a row says that the job is there: the record of its start does not."""
    return seen.source is not Source.EXIT_RECORD or seen.phase is not Phase.RUNNING
