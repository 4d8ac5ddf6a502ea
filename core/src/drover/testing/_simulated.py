"""A backend on the simulated world, with every fault that real ones have shown."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from drover.errors import UnreachableError
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Chunk,
    Claim,
    CloseAnswer,
    Closing,
    Diagnosis,
    EndReport,
    FieldPlan,
    Found,
    Health,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    StageAnswer,
    Started,
    SubmitAnswer,
    Support,
    Verb,
    Verdict,
    check_fields,
    fields_set,
)
from drover.testing._cluster import (
    OPTIONS,
    SIGKILL,
    SIGTERM,
    SimulatedCluster,
    SimulatedJob,
    Snapshot,
)

PUSH_AGAIN_S: Final = 3.0
VERBS: Final = frozenset(Verb) - {Verb.RETRY, Verb.REQUEUE}


@frozen(kw_only=True)
class Faults:
    """How often what goes wrong: probabilities from 0 to 1, rolled for each call or row."""

    lag_s: float = 0.0
    """Most seconds that a listing or search is behind."""
    refuse: float = 0.0
    """A submission is refused, half of them for now only."""
    lose_answer: float = 0.0
    """A submission is accepted, the answer is lost."""
    lose_request: float = 0.0
    """A submission is lost before it arrives, and so is the answer."""
    accept_late: float = 0.0
    """Of the lost requests: accepted after all when the server wakes, up to `late_s` later."""
    late_s: float = 30.0
    drop_row: float = 0.0
    """A row is missing from a listing that counts as complete."""
    repeat_row: float = 0.0
    stale_row: float = 0.0
    """An older state comes again."""
    unknown_word: float = 0.0
    """A row with a word for its state that nobody knows."""
    foreign_row: float = 0.0
    """A row about a token that nobody asked about, or about another job of the same native id."""
    drop_record: float = 0.0
    """The exit record is missing this time, where there are two channels."""
    unreachable: float = 0.0
    """A call raises UnreachableError before it does anything."""
    crash: float = 0.0
    """A call raises a plugin's own error after it has done everything."""
    no_answer: float = 0.0
    """A call does everything and answers None."""


class SimulatedBug(RuntimeError):  # noqa: N818 - a stranger's exception, none of ours
    """What a plugin raises by mistake."""


class SimulatedBackend:
    """An ordinary backend object; make as many as there are engines, on one cluster.

    Its factory is `SimulatedBackend.on(cluster)`, or `SimulatedBackend` for a world of its own.
    """

    def __init__(
        self,
        context: Context | None = None,
        *,
        cluster: SimulatedCluster | None = None,
        faults: Faults = Faults(),
        capabilities: Capabilities | None = None,
    ) -> None:
        self.context = context
        self.cluster: Final = cluster or SimulatedCluster()
        self.faults = faults
        self.capabilities: Final = capabilities or default_capabilities(self.cluster.claim)
        self.calls: Final[list[str]] = []
        """Names of the hooks called, in order."""
        self.before_row: Callable[[], None] = lambda: None
        """Called before each row of a call that changes the world: whoever is to stop a call
        half-way raises here."""

    @classmethod
    def on(
        cls,
        cluster: SimulatedCluster,
        *,
        faults: Faults = Faults(),
        capabilities: Capabilities | None = None,
    ) -> Callable[[Context], "SimulatedBackend"]:
        """Give a factory of backend objects on one world."""
        return lambda context: cls(
            context, cluster=cluster, faults=faults, capabilities=capabilities
        )

    # --- for tests -----------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass; see `SimulatedCluster.advance`."""
        self.cluster.advance(seconds)

    def finish(self, token: str, exit_code: int = 0) -> None:
        """End a job now; see `SimulatedCluster.finish`."""
        self.cluster.finish(token, exit_code)

    # --- chance --------------------------------------------------------------------------------

    def _roll(self, probability: float) -> bool:
        return probability > 0 and self.cluster.random.random() < probability

    def _enter(self, hook: str) -> None:
        self.calls.append(hook)
        self.cluster.catch_up()
        if self._roll(self.faults.unreachable):
            raise UnreachableError("the simulated server", "it hung up")

    def _leave(self, hook: str) -> bool:
        """Tell whether there is an answer."""
        if self._roll(self.faults.crash):
            raise SimulatedBug(hook)
        return not self._roll(self.faults.no_answer)

    def _horizon(self) -> float:
        lag = self.cluster.random.uniform(0.0, self.faults.lag_s) if self.faults.lag_s else 0.0
        return self.cluster.clock.time() - lag

    # --- hooks ---------------------------------------------------------------------------------

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say what it can do."""
        return self.capabilities

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Honour everything, and check the options."""
        name = self.context.name if self.context else "simulated"
        check_fields(f"native.{name}", spec.native.get(name, {}), sorted(OPTIONS))
        honoured = [FieldPlan(field=word, support=Support.HONOURED) for word in fields_set(spec)]
        return Plan(backend=name, fields=tuple(honoured), command=spec.argv)

    @hookimpl
    def drover_start(self) -> None:
        """Begin to push, where it does, with what was never acknowledged."""
        self._enter("drover_start")
        if self.capabilities.push:
            self.cluster.watchers.append(self._push)
            for job in self.cluster.jobs:
                self._push(job)

    @hookimpl
    def drover_stop(self) -> None:
        """Push no more."""
        self.detach()

    def detach(self) -> None:
        """Fall silent, as when the engine is killed."""
        if self._push in self.cluster.watchers:
            self.cluster.watchers.remove(self._push)

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer] | None:
        """Accept, refuse, or leave in the dark."""
        self._enter("drover_submit")
        answers = [answer for attempt in attempts if (answer := self._submit_one(attempt))]
        return answers if self._leave("drover_submit") else None

    def _submit_one(self, attempt: Attempt) -> SubmitAnswer | None:
        self.before_row()
        faults, chance = self.faults, self.cluster.random
        unknown = SubmitAnswer(token=attempt.token, answer=Answer.UNKNOWN, message="timed out")
        if self._roll(faults.refuse):
            return SubmitAnswer(
                token=attempt.token,
                answer=Answer.REFUSED,
                message="no",
                retryable=self._roll(0.5),
            )
        if self._roll(faults.lose_request):
            if self._roll(faults.accept_late):
                delay = chance.uniform(0.0, faults.late_s)
                self.cluster.later(delay, lambda _at: self._arrive(attempt))
            return unknown if self._roll(0.5) else None
        job = self._accept(attempt)
        if self._roll(faults.lose_answer):
            return unknown if self._roll(0.5) else None
        if job is None:
            return SubmitAnswer(
                token=attempt.token, answer=Answer.REFUSED, message="the token is closed"
            )
        return SubmitAnswer(
            token=attempt.token,
            answer=Answer.ACCEPTED,
            native_id=job.native_id,
            submitted_at=job.submitted_at,
        )

    def _accept(self, attempt: Attempt) -> SimulatedJob | None:
        folder: Path | None = None
        if self.context is not None and self.cluster.claim is Claim.DIRECTORY:
            folder = self.context.attempt_dir(attempt)
        name = self.context.name if self.context else "simulated"
        return self.cluster.accept(attempt, folder, name)

    def _arrive(self, attempt: Attempt) -> None:
        self._accept(attempt)

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> list[Found] | None:
        """Search; what was accepted a moment ago may not be found."""
        self._enter("drover_find")
        horizon = self._horizon()
        found = [
            Found(token=token, native_id=job.native_id, submitted_at=job.submitted_at)
            for token in tokens
            for job in self.cluster.by_token(token)
            if job.submitted_at <= horizon and not self._roll(self.faults.drop_row)
        ]
        if not self._leave("drover_find"):
            return None
        self.cluster.told_absent.update(set(tokens) - {row.token for row in found})
        return found

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed | None:
        """List what was asked about, with everything that listings get wrong."""
        self._enter("drover_observe")
        horizon = self._horizon()
        rows: list[Observation] = []
        for attempt in attempts:
            for job in self.cluster.by_token(attempt.token):
                if attempt.native_id in (None, job.native_id):
                    # Without the submit time nobody could tell whose number it is.
                    by_number = None not in (attempt.native_id, attempt.submitted_at)
                    rows.extend(self._rows(job, horizon, by_number=by_number))
        if not self._leave("drover_observe"):
            return None
        return Observed(observations=tuple(rows))

    def _rows(
        self, job: SimulatedJob, horizon: float, *, by_number: bool = False
    ) -> Iterator[Observation]:
        snapshot = job.at(horizon)
        faults = self.faults
        if snapshot is None or self._roll(faults.drop_row):
            return
        ended = snapshot.phase in (Phase.ENDED, Phase.UNRUN)
        if ended and horizon - snapshot.at > self.cluster.keep_ended_s:
            return
        if self._roll(faults.stale_row):
            yield from self._tell(job, self.cluster.random.choice(job.past))
        if self._roll(faults.foreign_row):
            yield self._foreign(job, by_number=by_number)
        if self._roll(faults.unknown_word):
            yield evolve(self._row(job, snapshot), phase=Phase.UNKNOWN, native_state="Q?", end=None)
            return
        yield from self._tell(job, snapshot)
        if self._roll(faults.repeat_row):
            yield from self._tell(job, snapshot)

    def _tell(self, job: SimulatedJob, snapshot: Snapshot) -> Iterator[Observation]:
        """Give the row of a state; an end has one per channel."""
        row = self._row(job, snapshot)
        if row.end is None or not self.capabilities.exit_record:
            yield row
            return
        scheduler = evolve(row.end, source=Source.ACCOUNTING)
        yield evolve(row, source=Source.ACCOUNTING, end=scheduler)
        if row.end.started is Started.YES and not self._roll(self.faults.drop_record):
            record = evolve(row.end, source=Source.EXIT_RECORD, reason=None)
            yield evolve(row, source=Source.EXIT_RECORD, end=record)

    def _row(self, job: SimulatedJob, snapshot: Snapshot) -> Observation:
        batch = self.capabilities.exit_record
        return Observation(
            token=job.token,
            phase=snapshot.phase,
            source=Source.QUEUE if batch else Source.SERVER,
            at=self.cluster.clock.time(),
            native_id=job.native_id,
            native_state=snapshot.word,
            submitted_at=job.submitted_at,
            started_at=snapshot.started_at,
            end=snapshot.end,
            restart=snapshot.restart,
            hold=snapshot.hold,
        )

    def _foreign(self, job: SimulatedJob, *, by_number: bool) -> Observation:
        """Tell an end of somebody else's: under a strange token, or, where the job was asked for
        by its native id, of a later job that was given the same one.
        """
        end = EndReport(source=Source.SERVER, at=job.submitted_at, exit_code=66)
        row = evolve(self._row(job, job.past[0]), phase=Phase.ENDED, end=end)
        if by_number and self._roll(0.5):
            return evolve(row, submitted_at=job.submitted_at + 3600.0)
        return evolve(row, token=f"{job.token}-foreign")

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer] | None:
        """Carry out requests on the jobs that are meant, never on others of the same number."""
        self._enter("drover_control")
        answers = [self._obey(order) for order in orders]
        return answers if self._leave("drover_control") else None

    def _obey(self, order: Order) -> OrderAnswer:
        self.before_row()
        meant = order.attempt
        job = next(
            (
                job
                for job in self.cluster.by_token(meant.token)
                if meant.native_id in (None, job.native_id)
            ),
            None,
        )
        if job is None or job.now.phase in (Phase.ENDED, Phase.UNRUN):
            verdict = Verdict.TOO_LATE
        else:
            verdict = self._carry_out(order, job)
        return OrderAnswer(token=meant.token, request_id=order.request.id, verdict=verdict)

    def _carry_out(self, order: Order, job: SimulatedJob) -> Verdict:
        queued, request = job.now.phase is Phase.QUEUED, order.request
        match request.verb:
            case Verb.CANCEL | Verb.TERMINATE | Verb.KILL if queued:
                self.cluster.cancel(job, 0.0)
                return Verdict.DONE
            case Verb.CANCEL:
                grace = request.grace_s
                self.cluster.cancel(
                    job, self.capabilities.cancel_grace_s if grace is None else grace
                )
                return Verdict.SIGNALLED
            case Verb.TERMINATE | Verb.KILL:
                self.cluster.kill(job, SIGTERM if request.verb is Verb.TERMINATE else SIGKILL)
                return Verdict.SIGNALLED
            case Verb.HOLD | Verb.RELEASE if queued:
                self.cluster.hold(job, held=request.verb is Verb.HOLD)
            case Verb.SUSPEND if job.now.phase is Phase.RUNNING:
                self.cluster.suspend(job, suspended=True)
            case Verb.RESUME if job.now.phase is Phase.SUSPENDED:
                self.cluster.suspend(job, suspended=False)
            case Verb.SIGNAL if not queued:
                pass
            case _:
                return Verdict.REFUSED
        return Verdict.DONE

    @hookimpl
    def drover_close(self, tokens: Sequence[str]) -> list[CloseAnswer] | None:
        """Shut tokens, where the token is the key."""
        self._enter("drover_close")
        answers: list[CloseAnswer] = []
        for token in tokens:
            self.before_row()
            taken = self.cluster.close(token)
            closing = Closing.CLOSED if taken is None else Closing.TAKEN
            native_id = None if taken is None else taken.native_id
            answers.append(CloseAnswer(token=token, closing=closing, native_id=native_id))
        return answers if self._leave("drover_close") else None

    @hookimpl
    def drover_read_output(self, attempt: Attempt, offset: int, size: int) -> Chunk:
        """Give the same few words for every run."""
        text = f"ran {attempt.token}\n".encode() * self.cluster.runs(attempt.token)
        return Chunk(data=text[offset : offset + size], offset=offset, size=len(text))

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Move nothing, well."""
        return [StageAnswer(token=attempt.token, ok=True) for attempt in attempts]

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Move nothing, well."""
        return [StageAnswer(token=attempt.token, ok=True) for attempt in attempts]

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Be well."""
        return [Diagnosis(subject="simulated", health=Health.OK, message="all is well")]

    # --- push ----------------------------------------------------------------------------------

    def _push(self, job: SimulatedJob) -> None:
        """Report a change, again and again until it is durable: nobody will ask for it."""
        if self.context is None or self._push not in self.cluster.watchers:
            return
        told = job.now
        rows = tuple(self._rows(job, self.cluster.clock.time()))
        durable: list[bool] = []
        if rows:
            self.context.report(rows, lambda: durable.append(True))
        true = self._row(job, told)
        is_there = any(
            (row.phase, row.token, row.native_id) == (true.phase, true.token, true.native_id)
            for row in rows
        )

        def again(_at: float) -> None:
            if job.now is told and not (durable and is_there):
                self._push(job)

        self.cluster.later(PUSH_AGAIN_S, again)


def default_capabilities(claim: Claim) -> Capabilities:
    """Declare everything, with short times."""
    return Capabilities(
        claim=claim,
        verbs=VERBS,
        restart=claim is not Claim.SERVER_KEY,
        stage_in=True,
        stage_out=True,
        usage=True,
        exit_record=claim is Claim.DIRECTORY,
        poll_s=1.0,
        idle_poll_s=5.0,
        missing_grace_s=60.0,
        settle_s=10.0,
        unknown_after_s=20.0,
        cancel_grace_s=5.0,
    )
