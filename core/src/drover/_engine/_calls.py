"""What the engine asks of backends, and what follows from their answers."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from drover import events as e
from drover import instructions as i
from drover import machine
from drover._engine._attempts import attempt_of
from drover._engine._runtime import Runtime
from drover.errors import DroverError
from drover.models import (
    USER,
    Answer,
    Attempt,
    CloseAnswer,
    Closing,
    Found,
    JobRecord,
    Order,
    OrderAnswer,
    Outcome,
    Reason,
    Source,
    StageAnswer,
    Started,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover.states import State

if TYPE_CHECKING:
    from drover._engine._engine import Engine

_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")
MOST_TRANSFERS: Final = 100
"""Jobs whose files are moved by one call: none waits for the files of all others."""


class Calls:
    """Turn instructions into calls, batched by backend and hook."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._acts: Final[dict[type[i.Instruction], Callable[[Runtime, Any], None]]] = {
            i.CarryOut: self._carry_out,
            i.SettleSubmission: self._submit_or_find,
            i.CloseAttempt: self._close,
            i.StageIn: self._stage_in,
            i.StageOut: self._stage_out,
        }

    def dispatch(self, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        """Ask a backend for all that these jobs owe and is not under way."""
        wanted: dict[type[i.Instruction], list[tuple[JobRecord, Any]]] = {
            kind: [] for kind in self._acts
        }
        for job in jobs:
            for order in machine.owed(job):
                rows = wanted.get(type(order))
                if rows is not None:
                    rows.append((job, order))
        for kind, rows in wanted.items():
            if rows:
                self._acts[kind](runtime, rows)

    # Submission

    def _submit_or_find(
        self, runtime: Runtime, rows: Sequence[tuple[JobRecord, i.SettleSubmission]]
    ) -> None:
        fresh: list[JobRecord] = []
        again: list[JobRecord] = []
        for job, _ in rows:
            if any(
                runtime.is_under_way(hook, job.token)
                for hook in ("drover_submit", "drover_find", "drover_close")
            ):
                continue
            if self._engine.is_intended_now(job.token):
                fresh.append(job)
            elif runtime.may_try(job.token):
                again.append(job)
        repeat = again if runtime.key_is_claim else []
        for batch in _batches([*fresh, *repeat], runtime.capabilities.max_batch):
            self._submit(runtime, batch)
        search = [] if runtime.key_is_claim else again
        if search:
            self._find(runtime, search)

    def _submit(self, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        engine = self._engine
        attempts = tuple(engine.full_attempt(job) for job in jobs)
        tokens = [attempt.token for attempt in attempts]
        repeated = {token for token in tokens if not engine.is_intended_now(token)}
        engine.intentions_passed_on(tokens)

        def then(answer: Sequence[SubmitAnswer] | None, error: DroverError | None) -> None:
            told = {row.token: row for row in answer or ()}
            why = str(error) if error else "the backend said nothing about it"
            full = [row for row in told.values() if row.answer is Answer.REFUSED and row.retryable]
            if full:
                runtime.turned_away(full[0].message)
            elif any(row.answer is Answer.ACCEPTED for row in told.values()):
                runtime.taken()
            for token in tokens:
                row = told.get(token) or SubmitAnswer(
                    token=token, answer=Answer.UNKNOWN, message=why
                )
                if row.answer is Answer.REFUSED and token in repeated:
                    self._refused_again(runtime, row)
                else:
                    self._submitted(runtime, row)

        # Where ends are pushed, those of short jobs bring the acceptance with them.
        can_wait = runtime.capabilities.push
        runtime.call("drover_submit", set(tokens), {"attempts": attempts}, then, can_wait=can_wait)

    def _submitted(self, runtime: Runtime, row: SubmitAnswer) -> None:
        engine = self._engine
        job = engine.job_with(row.token)
        if job is None or job.state is not State.SUBMITTING:
            return
        now = engine.now
        if row.answer is Answer.ACCEPTED and row.native_id is not None:
            runtime.settled(row.token)
            engine.desk.tell(
                job.n,
                e.Accepted(
                    at=now,
                    attempt=job.attempt,
                    native_id=row.native_id,
                    submitted_at=row.submitted_at,
                ),
            )
            runtime.look_soon()
        elif row.answer is Answer.REFUSED:
            runtime.settled(row.token)
            self._refused(runtime, job, row)
        else:
            self._unanswered(runtime, job, row.message)

    def _unanswered(self, runtime: Runtime, job: JobRecord, message: str) -> None:
        now = self._engine.now
        since = now - (job.unknown_since if job.unknown_since is not None else now)
        runtime.try_again_later(job.token, since)
        if job.unknown_since is None:
            self._engine.desk.tell(
                job.n, e.AnswerLost(at=now, attempt=job.attempt, message=message)
            )

    def _refused_again(self, runtime: Runtime, row: SubmitAnswer) -> None:
        """Believe a refusal of a repeated submission only once the token is closed.

        The server may have turned the repetition away (too many requests) without a look at what
        became of the first, or may still hold that one and accept it when it wakes.
        """
        if row.reason is Reason.LOST:
            self._submitted(runtime, row)
            return

        def then(answer: Sequence[CloseAnswer] | None, _error: DroverError | None) -> None:
            closed = next((told for told in answer or () if told.token == row.token), None)
            job = self._engine.job_with(row.token)
            if job is None or job.state is not State.SUBMITTING:
                return
            if closed is not None and closed.closing is Closing.CLOSED:
                self._engine.close_token(job, "refused when it was repeated")
                self._submitted(runtime, row)
            elif closed is not None and closed.native_id is not None:
                taken = SubmitAnswer(
                    token=row.token, answer=Answer.ACCEPTED, native_id=closed.native_id
                )
                self._submitted(runtime, taken)
            else:
                self._unanswered(runtime, job, row.message)

        runtime.call("drover_close", {row.token}, {"tokens": (row.token,)}, then)

    def _refused(self, runtime: Runtime, job: JobRecord, row: SubmitAnswer) -> None:
        now = self._engine.now
        if row.retryable:
            pause = runtime.capabilities.poll_s * 2
            self._engine.withdraw(job, row.message, ready_at=now + pause)
            return
        started = Started.UNKNOWN if row.reason is Reason.LOST else Started.NO
        outcome = Outcome(reason=row.reason, started=started, message=row.message)
        self._end(job, outcome)

    def _end(self, job: JobRecord, outcome: Outcome) -> None:
        now = self._engine.now
        again = machine.retry_at(job, outcome, now)
        self._engine.desk.tell(
            job.n, e.Ended(at=now, attempt=job.attempt, outcome=outcome, retry_at=again)
        )

    def _find(self, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        tokens = [job.token for job in jobs]

        def then(answer: Sequence[Found] | None, _error: DroverError | None) -> None:
            engine = self._engine
            found = {row.token: row for row in answer or ()}
            runtime.searched(tokens, heard=answer is not None)
            for token in tokens:
                job = engine.job_with(token)
                if job is None or job.state is not State.SUBMITTING:
                    continue
                row = found.get(token)
                if row is None:
                    self._not_found(runtime, job)
                    continue
                runtime.settled(token)
                engine.desk.tell(
                    job.n,
                    e.Accepted(
                        at=engine.now,
                        attempt=job.attempt,
                        native_id=row.native_id,
                        submitted_at=row.submitted_at,
                        source=Source.QUEUE,
                    ),
                )
                runtime.look_soon()

        runtime.call("drover_find", set(tokens), {"tokens": tuple(tokens)}, then)

    def _not_found(self, runtime: Runtime, job: JobRecord) -> None:
        now = self._engine.now
        since = job.unknown_since
        if since is None:
            since = now
            self._engine.desk.tell(
                job.n,
                e.AnswerLost(
                    at=now,
                    attempt=job.attempt,
                    message="the engine was gone when it was handed over",
                ),
            )
        runtime.try_again_later(job.token, now - since)

    # Requests

    def _carry_out(self, runtime: Runtime, rows: Sequence[tuple[JobRecord, i.CarryOut]]) -> None:
        orders = [
            Order(attempt=attempt_of(job), request=order.request)
            for job, order in rows
            # Before its submission is answered the backend may not know the token yet.
            if job.state is not State.SUBMITTING
            and not runtime.is_under_way("drover_control", order.request.id)
            and runtime.may_try(order.request.id)
        ]
        if not orders:
            return
        refused = [o for o in orders if o.request.verb not in runtime.capabilities.verbs]
        for order in refused:
            self._engine.answer_soon(
                OrderAnswer(
                    token=order.attempt.token,
                    request_id=order.request.id,
                    verdict=Verdict.REFUSED,
                    message=f"backend {runtime.name!r} cannot {order.request.verb}",
                )
            )
        able = tuple(order for order in orders if order not in refused)
        if not able:
            return

        def then(answer: Sequence[OrderAnswer] | None, _error: DroverError | None) -> None:
            told = {row.request_id: row for row in answer or ()}
            for order in able:
                row = told.get(order.request.id)
                if row is None:
                    runtime.try_again_later(order.request.id, self._engine.now - order.request.at)
                    self._engine.look_again(order.attempt.token)
                else:
                    runtime.settled(order.request.id)
                    self.ordered(row)
            runtime.look_soon()

        ids = {order.request.id for order in able}
        runtime.call("drover_control", ids, {"orders": able}, then)

    def ordered(self, row: OrderAnswer) -> None:
        """Draw the consequences of an answer to a request."""
        engine = self._engine
        job = engine.job_with(row.token)
        request = next((r for r in job.pending if r.id == row.request_id), None) if job else None
        if job is None or request is None:
            return
        now = engine.now
        if row.verdict is Verdict.DONE and request.verb.ends_job:
            if job.state in (State.SUBMITTING, State.QUEUED):
                outcome = machine.unrun_outcome(job, Reason.CANCELLED, row.message)
                engine.desk.tell(job.n, e.Ended(at=now, attempt=job.attempt, outcome=outcome))
                return
            row = OrderAnswer(token=row.token, request_id=row.request_id, verdict=Verdict.SIGNALLED)
        if row.verdict is Verdict.SIGNALLED:
            engine.desk.tell(
                job.n,
                e.ControlSignalled(at=now, request_id=request.id, message=row.message),
            )
            return
        engine.desk.tell(
            job.n,
            *_effect(job, request.verb, now, done=row.verdict is Verdict.DONE),
            e.ControlSettled(
                at=now,
                request_id=request.id,
                verdict=row.verdict,
                message=row.message,
                survivors=row.survivors,
            ),
        )

    def _close(self, runtime: Runtime, rows: Sequence[tuple[JobRecord, i.CloseAttempt]]) -> None:
        if not runtime.key_is_claim:
            return
        tokens = tuple(
            job.token
            for job, _ in rows
            if not runtime.is_under_way("drover_close", job.token) and runtime.may_try(job.token)
        )
        if not tokens:
            return

        def then(answer: Sequence[CloseAnswer] | None, _error: DroverError | None) -> None:
            told = {row.token: row for row in answer or ()}
            for token in tokens:
                self._closed(runtime, token, told.get(token))

        runtime.call("drover_close", set(tokens), {"tokens": tokens}, then)

    def _closed(self, runtime: Runtime, token: str, row: CloseAnswer | None) -> None:
        engine = self._engine
        job = engine.job_with(token)
        if job is None:
            return
        if row is None or row.closing is Closing.UNKNOWN:
            runtime.try_again_later(token, 0.0)
            engine.look_again(token)
        elif row.closing is Closing.CLOSED:
            runtime.settled(token)
            engine.close_token(job, "a retry was asked for")
        else:
            runtime.settled(token)
            owner = f" as {row.native_id}" if row.native_id else ""
            for request in job.pending:
                if request.verb is Verb.RETRY:
                    engine.desk.tell(
                        job.n,
                        e.ControlSettled(
                            at=engine.now,
                            request_id=request.id,
                            verdict=Verdict.REFUSED,
                            message=f"its last attempt was started{owner} and may still run; "
                            "ask with may_run_twice",
                        ),
                    )

    # Transfers

    def _stage_in(self, runtime: Runtime, rows: Sequence[tuple[JobRecord, i.StageIn]]) -> None:
        jobs = [job for job, _ in rows if job.state is State.STAGING_IN]
        self._stage(runtime, "drover_stage_in", jobs, self._staged_in)

    def _stage_out(self, runtime: Runtime, rows: Sequence[tuple[JobRecord, i.StageOut]]) -> None:
        self._stage(runtime, "drover_stage_out", [job for job, _ in rows], self._staged_out)

    def _stage(
        self,
        runtime: Runtime,
        hook: str,
        jobs: Iterable[JobRecord],
        settle: Callable[[JobRecord, StageAnswer], None],
    ) -> None:
        engine = self._engine
        attempts = tuple(
            engine.full_attempt(job)
            for job in jobs
            if not runtime.is_under_way(hook, engine.token_of(job))
        )
        for batch in _batches(attempts, MOST_TRANSFERS):
            self._stage_batch(runtime, hook, batch, settle)

    def _stage_batch(
        self,
        runtime: Runtime,
        hook: str,
        attempts: Sequence[Attempt],
        settle: Callable[[JobRecord, StageAnswer], None],
    ) -> None:
        tokens = [attempt.token for attempt in attempts]

        def then(answer: Sequence[StageAnswer] | None, error: DroverError | None) -> None:
            told = {row.token: row for row in answer or ()}
            why = str(error) if error else "the backend said nothing about it"
            for token in tokens:
                job = self._engine.staging_job(token)
                if job is not None:
                    row = told.get(token)
                    settle(job, row or StageAnswer(token=token, ok=False, message=why))

        arguments = {"attempts": tuple(attempts)}
        runtime.call(hook, set(tokens), arguments, then, lane=runtime.data)

    def _staged_in(self, job: JobRecord, row: StageAnswer) -> None:
        if job.state is not State.STAGING_IN:
            return
        if row.ok:
            self._engine.desk.tell(job.n, e.StagedIn(at=self._engine.now, attempt=job.attempt))
            return
        self._end(
            job,
            Outcome(reason=Reason.STAGING_FAILED, started=Started.NO, message=row.message),
        )

    def _staged_out(self, job: JobRecord, row: StageAnswer) -> None:
        run = job.outcome
        if job.state is not State.STAGING_OUT or run is None:
            return
        if not row.ok:
            run = Outcome(
                reason=Reason.STAGING_FAILED if run.succeeded else run.reason,
                started=run.started,
                exit_code=run.exit_code,
                signal=run.signal,
                core_dumped=run.core_dumped,
                message=f"outputs did not arrive: {row.message}",
                evidence=run.evidence,
                usage=run.usage,
            )
        self._end(job, run)


def _effect(job: JobRecord, verb: Verb, now: float, *, done: bool) -> tuple[e.Event, ...]:
    """Give the facts that a request which is done at once brings with it."""
    if not done:
        return ()
    if verb is Verb.HOLD:
        return (e.HoldsSeen(at=now, hold=job.hold | {USER}, asked=True),)
    if verb is Verb.RELEASE:
        return (e.HoldsSeen(at=now, hold=job.hold - {USER}, asked=True),)
    if verb is Verb.SUSPEND and job.state is State.RUNNING:
        return (e.Suspended(at=now, attempt=job.attempt, by=frozenset({USER})),)
    if verb is Verb.RESUME and job.state is State.SUSPENDED:
        return (e.Resumed(at=now, attempt=job.attempt),)
    return ()


def _batches(rows: Sequence[_T], size: int) -> Iterable[Sequence[_T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
