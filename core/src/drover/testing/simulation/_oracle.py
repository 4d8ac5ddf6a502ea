"""What must be so after every run, whatever happened: told by the world, not by the engine."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from drover._store import JournalEntry
from drover.errors import DroverError
from drover.events import (
    AnswerLost,
    AttemptClosed,
    ControlAsked,
    Ended,
    RetryAsked,
    SubmitIntended,
    Withdrawn,
)
from drover.models import Claim, Condition, Dependency, JobRecord, Phase, Reason, Started, Verb
from drover.states import State
from drover.testing._cluster import Execution, SimulatedJob
from drover.testing.simulation._world import World

_OVER: Final = (Phase.ENDED, Phase.UNRUN)


class Oracle:
    """Judge a world that has come to rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cluster: Final = world.cluster
        self._records: Final = {record.id: record for record in world.clients.records()}
        self._runs: Final[dict[str, list[Execution]]] = {}
        for run in world.cluster.executions:
            self._runs.setdefault(run.token, []).append(run)

    def findings(self) -> Iterator[tuple[str, str | None]]:
        """Find what is not as it must be: what, and of which job."""
        for found in self._world.findings:
            yield found, None
        try:
            yield from self._of_the_store()
        except DroverError as exc:
            yield f"the journal does not replay: {exc}", None
        runs = Counter((run.token, run.restart) for run in self._cluster.executions)
        for (token, restart), times in runs.items():
            if times > 1:
                yield f"{token} ran {times} times as restart {restart}", _job_of(token)
        for record in self._records.values():
            with self._world.clients.store.read() as reader:
                history = reader.history(record)
            for found in self._of_a_job(record, history):
                yield found, record.id

    def _of_the_store(self) -> Iterator[tuple[str, str | None]]:
        for job_id in self._world.clients.told:
            if job_id not in self._records:
                yield f"job {job_id} was handed in and is lost", None
        for job in self._cluster.jobs:
            if job.attempt.job_id not in self._records:
                yield f"{job.token} was submitted and belongs to no job", None
        with self._world.clients.store.read() as reader:
            for replayed, stored in reader.replayed():
                if replayed != stored:
                    yield f"its journal says {replayed}, the store {stored}", stored.id

    def _of_a_job(self, record: JobRecord, history: Sequence[JournalEntry]) -> Iterator[str]:
        yield from self._ends(record, history)
        yield from self._is_true(record)
        yield from self._attempts(record, history)
        yield from self._wishes(record, history)
        yield from self._leftovers(record)

    # --- its end -------------------------------------------------------------------------------

    def _ends(self, record: JobRecord, history: Sequence[JournalEntry]) -> Iterator[str]:
        if not record.state.ends_wait or record.outcome is None:
            yield f"it is {record.state}, and does not end"
        if record.pending:
            yield f"nobody answers {[request.verb.value for request in record.pending]}"
        if record.state is State.LOST and not self._may_be_lost(record, history):
            yield "it is LOST, and somebody could have said how it ended"

    def _may_be_lost(self, record: JobRecord, history: Sequence[JournalEntry]) -> bool:
        """Tell whether the world gave no way of knowing."""
        token = record.token
        if token in self._cluster.forgotten:
            return True
        native = self._native_of(record)
        if native is not None and native.now.phase in _OVER:
            # Told for a while, and nobody looked: the engine was paused, or there was none.
            kept = native.now.at + self._cluster.keep_ended_s
            if record.ended_at is not None and kept <= record.ended_at:
                return True
        unanswered = any(
            isinstance(entry.event, AnswerLost) and entry.event.attempt == record.attempt
            for entry in history
        )
        return (
            self._cluster.claim is Claim.NONE
            and unanswered
            and record.native_id is None
            and self._cluster.told_absent[token] > 0
        )

    def _native_of(self, record: JobRecord) -> SimulatedJob | None:
        """Give the native job of the present attempt, if the world has it."""
        named = [
            job
            for job in self._cluster.by_token(record.token)
            if record.native_id in (None, job.native_id)
        ]
        return named[-1] if named and record.token else None

    def _is_true(self, record: JobRecord) -> Iterator[str]:
        """Compare what was told with what happened."""
        outcome, runs = record.outcome, self._runs.get(record.token, [])
        if outcome is None or record.state is State.LOST or not record.state.ends_wait:
            return
        if outcome.started is Started.NO and runs:
            yield f"it is told never to have started, and ran at {runs[0].at:.3f}"
        if outcome.started is Started.YES and not runs:
            yield "it is told to have started, and never ran"
        native = self._native_of(record)
        end = native.now.end if native is not None else None
        if end is None:
            if record.state is State.SUCCEEDED and record.token not in self._cluster.forgotten:
                yield "it is told to have succeeded, and the world knows of no end"
            return
        told = (outcome.exit_code, outcome.signal)
        if outcome.started is Started.YES and told != (end.exit_code, end.signal):
            yield f"it is told to have ended with {told}, it was {(end.exit_code, end.signal)}"
        staged = outcome.reason is not Reason.STAGING_FAILED
        if (record.state is State.SUCCEEDED) is not (end.exit_code == 0 and staged):
            yield f"it is told to be {record.state}, it ended with {end.exit_code}"

    # --- its attempts --------------------------------------------------------------------------

    def _attempts(self, record: JobRecord, history: Sequence[JournalEntry]) -> Iterator[str]:
        intended = {e.event.token: e.at for e in history if isinstance(e.event, SubmitIntended)}
        tokens = {run.token for run in self._cluster.executions if run.job_id == record.id}
        for token in sorted(tokens):
            first = self._runs[token][0]
            if token not in intended or intended[token] > first.at:
                yield f"{token} ran, and its intent does not stand in the journal"
            if not record.spec.requeue and len(self._runs[token]) > 1:
                yield f"{token} ran again, and no requeue was allowed"
        asked = sum(isinstance(entry.event, RetryAsked) for entry in history)
        if len(tokens) > record.spec.retry.attempts + asked:
            yield f"{len(tokens)} attempts of it ran, {record.spec.retry.attempts + asked} may"
        for token in sorted(tokens & _unrun(history)):
            yield f"{token} was given up as never started, and ran"

    # --- what was asked ------------------------------------------------------------------------

    def _wishes(self, record: JobRecord, history: Sequence[JournalEntry]) -> Iterator[str]:
        runs = [run for run in self._cluster.executions if run.job_id == record.id]
        asked = [e for e in history if isinstance(e.event, ControlAsked)]
        verbs = {e.event.request.verb for e in asked if isinstance(e.event, ControlAsked)}
        # A close of ours that hung, and acted after a repeated submission was accepted, drops the
        # job from the queue. To withdraw it then, that the close was asked for would have to stand
        # in the journal before the call; an end by an administrator looks the same.
        was_closed = record.token in self._cluster.closed
        was_asked = any(verb.ends_job for verb in verbs)
        if record.state is State.CANCELLED and not was_asked and not was_closed:
            yield "it is CANCELLED, and nobody asked for it"
        if record.spec.hold and runs:
            released = [
                entry.at
                for entry in asked
                if isinstance(entry.event, ControlAsked)
                and entry.event.request.verb is Verb.RELEASE
            ]
            if not released or released[0] > runs[0].at:
                yield "it ran while it was held"
        for dependency in record.spec.after if runs else ():
            if not self._was_met(dependency, runs[0].at):
                yield f"it ran before job {dependency.job} {dependency.condition}"

    def _was_met(self, dependency: Dependency, at: float) -> bool:
        other = self._records.get(dependency.job)
        if other is None:
            return True  # An array: its elements are jobs of their own.
        with self._world.clients.store.read() as reader:
            history = reader.history(other)
        ends = [e for e in history if isinstance(e.event, Ended) and e.event.retry_at is None]
        states = {
            entry.event.outcome.succeeded
            for entry in ends
            if isinstance(entry.event, Ended)
            and entry.event.outcome.reason is not Reason.LOST
            and entry.at <= at + 0.001
        }
        if dependency.condition is Condition.ENDED:
            return bool(states)
        return (dependency.condition is Condition.SUCCEEDED) in states

    def _leftovers(self, record: JobRecord) -> Iterator[str]:
        """What is over for us must be over for the world."""
        if record.state is State.LOST or self._cluster.claim is Claim.NONE:
            return
        for native in self._cluster.jobs:
            if native.attempt.job_id == record.id and native.now.phase not in _OVER:
                yield f"it is {record.state}, and its native job {native.native_id} still stands"


def _unrun(history: Sequence[JournalEntry]) -> set[str]:
    """List the tokens of which the journal says that they never started and never will."""
    tokens: dict[int, str] = {}
    unrun: set[str] = set()
    for entry in history:
        match entry.event:
            case SubmitIntended(attempt=attempt, token=token):
                tokens[attempt] = token
            case AttemptClosed(token=token):
                unrun.add(token)
            case Withdrawn(attempt=attempt):
                unrun.add(tokens.get(attempt, ""))
            case Ended(attempt=attempt, outcome=outcome) if outcome.started is Started.NO:
                unrun.add(tokens.get(attempt, ""))
            case _:
                pass
    return unrun


def _job_of(token: str) -> str:
    return token.split("-")[1]
