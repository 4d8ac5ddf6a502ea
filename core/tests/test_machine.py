"""The life of a job as tables: what follows from a fact, and what is owed then."""

from typing import Any

import pytest
from attrs import evolve

from drover import events as e
from drover import instructions as i
from drover.errors import IllegalTransitionError
from drover.machine import create, end_of, judge, owed, replay, retry_at, step
from drover.models import (
    EndReport,
    JobRecord,
    JobSpec,
    Outcome,
    Progress,
    Reason,
    Request,
    Retry,
    Source,
    Started,
    Usage,
    Verb,
    Verdict,
)
from drover.states import State

NOW = 100.0
SUCCESS = Outcome(reason=Reason.EXITED, started=Started.YES, exit_code=0)
CANCELLED = Outcome(reason=Reason.CANCELLED, started=Started.NO)
FAILURE = Outcome(reason=Reason.EXITED, started=Started.YES, exit_code=1)


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**{"argv": ["x"], **fields})


def job(state: State = State.QUEUED, **changes: Any) -> JobRecord:
    fields = changes.pop("spec", {})
    placed = {"token": "t", "native_id": "7", "native_submitted_at": 50.0}
    base = JobRecord(id="j", backend="b", spec=spec(**fields), state=state, **placed)
    return evolve(base, **changes)


def asked(verb: Verb = Verb.CANCEL, **changes: Any) -> Request:
    return evolve(Request(id="r", verb=verb, by="me", at=NOW), **changes)


def report(source: Source = Source.AGENT, **changes: Any) -> EndReport:
    return evolve(EndReport(source=source, at=90.0, exit_code=0), **changes)


# What is owed


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (job(State.NEW), (i.SubmitJob(),)),
        (job(State.NEW, spec={"after": "a"}), (i.AdmitJob(),)),
        (job(State.NEW, hold=frozenset({"user"})), (i.AdmitJob(),)),
        (job(State.NEW, spec={"not_before": 5}), (i.AdmitJob(),)),
        (job(State.NEW, spec={"inputs": [("a", "b")]}), (i.AdmitJob(),)),
        (job(State.WAITING), (i.SubmitJob(),)),
        (job(State.WAITING, ready_at=200.0), (i.SubmitJob(at=200.0),)),
        (job(State.WAITING, spec={"after": "a"}), (i.AwaitDependencies(),)),
        (job(State.WAITING, spec={"after": "a"}, dependencies_met=True), (i.SubmitJob(),)),
        (job(State.WAITING, hold=frozenset({"system"})), ()),
        (job(State.WAITING, spec={"inputs": [("a", "b")]}), (i.StageIn(),)),
        (job(State.WAITING, spec={"inputs": [("a", "b")]}, staged_in=True), (i.SubmitJob(),)),
        (job(State.VALIDATING), ()),
        (job(State.AWAITING_APPROVAL), ()),
        (job(State.STAGING_IN), (i.StageIn(),)),
        (job(State.SUBMITTING), (i.SettleSubmission(),)),
        (job(State.QUEUED), (i.WatchJob(),)),
        (job(State.RUNNING), (i.WatchJob(),)),
        (job(State.SUSPENDED), (i.WatchJob(),)),
        (job(State.COMPLETING, settle_at=160.0), (i.WatchJob(), i.DecideEnd(at=160.0))),
        (job(State.SLEEPING, ready_at=160.0), (i.WatchJob(), i.WakeJob(at=160.0))),
        (job(State.STAGING_OUT), (i.StageOut(),)),
        (job(State.SUCCEEDED), ()),
        (job(State.LOST), ()),
        (job(State.FAILED, spec={"expires_after": 10}, ended_at=NOW), (i.ForgetJob(at=110.0),)),
        (
            job(State.RUNNING, spec={"deadline": 300}),
            (i.WatchJob(), i.EndAt(at=300.0, reason=Reason.DEADLINE)),
        ),
        (job(State.RUNNING, spec={"deadline": 300}, ending=Reason.DEADLINE), (i.WatchJob(),)),
        (job(State.SUCCEEDED, spec={"deadline": 300}), ()),
    ],
)
def test_a_record_owes(record: JobRecord, expected: tuple[i.Instruction, ...]) -> None:
    """An engine that starts after a crash knows from the record alone what is to be done."""
    assert expected == owed(record)


CANCEL = asked()
SIGNALLED = asked(verdict=Verdict.SIGNALLED, grace_s=5.0)
HOLD, RELEASE = asked(Verb.HOLD), asked(Verb.RELEASE)
RETRY = asked(Verb.RETRY)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (job(State.WAITING, pending=(CANCEL,)), i.EndUnplaced(request=CANCEL)),
        (job(State.STAGING_IN, pending=(CANCEL,)), i.EndUnplaced(request=CANCEL)),
        (job(State.WAITING, pending=(HOLD,)), i.PlaceHold(request=HOLD)),
        (job(State.NEW, pending=(RELEASE,)), i.LiftHold(request=RELEASE)),
        (
            job(State.WAITING, pending=(asked(Verb.SUSPEND),)),
            i.SettleRequest(
                request=asked(Verb.SUSPEND),
                verdict=Verdict.REFUSED,
                why="it has not been handed to a backend",
            ),
        ),
        (job(State.RUNNING, pending=(CANCEL,)), i.CarryOut(request=CANCEL)),
        (job(State.QUEUED, pending=(HOLD,)), i.CarryOut(request=HOLD)),
        (
            job(State.RUNNING, pending=(SIGNALLED,)),
            i.SettleRequest(
                request=SIGNALLED,
                verdict=Verdict.OVERDUE,
                why="the backend passed it on, no effect was seen",
                at=NOW + 5.0 + 60.0,
            ),
        ),
        (
            job(State.CANCELLED, pending=(SIGNALLED,)),
            i.SettleRequest(request=SIGNALLED, verdict=Verdict.DONE),
        ),
        (
            job(State.SUCCEEDED, pending=(SIGNALLED,), outcome=SUCCESS),
            i.SettleRequest(request=SIGNALLED, verdict=Verdict.TOO_LATE),
        ),
        (
            job(
                State.FAILED,
                pending=(SIGNALLED,),
                ending=Reason.DEADLINE,
                outcome=Outcome(reason=Reason.DEADLINE),
            ),
            i.SettleRequest(request=SIGNALLED, verdict=Verdict.DONE),
        ),
        (
            job(State.LOST, pending=(CANCEL,)),
            i.SettleRequest(
                request=CANCEL,
                verdict=Verdict.OVERDUE,
                why="the job is LOST: nobody can say whether it is gone",
            ),
        ),
        (
            job(State.FAILED, pending=(HOLD,)),
            i.SettleRequest(request=HOLD, verdict=Verdict.TOO_LATE, why="the job is FAILED"),
        ),
        (job(State.LOST, pending=(RETRY,)), i.CloseAttempt(request=RETRY)),
        (job(State.LOST, pending=(RETRY,), token_closed=True), i.OpenRetry(request=RETRY)),
        (job(State.LOST, pending=(RETRY,), token=""), i.OpenRetry(request=RETRY)),
        (
            job(State.LOST, pending=(evolve(RETRY, may_run_twice=True),)),
            i.OpenRetry(request=evolve(RETRY, may_run_twice=True)),
        ),
    ],
)
def test_a_request_is_owed_an_answer(record: JobRecord, expected: i.Instruction) -> None:
    assert expected in owed(record)


@pytest.mark.parametrize(
    ("verb", "record", "effect"),
    [
        (Verb.HOLD, job(hold=frozenset({"user"})), True),
        (Verb.HOLD, job(hold=frozenset({"system"})), False),
        (Verb.RELEASE, job(), True),
        (Verb.RELEASE, job(hold=frozenset({"user"})), False),
        (Verb.SUSPEND, job(State.SUSPENDED), True),
        (Verb.SUSPEND, job(State.RUNNING), False),
        (Verb.RESUME, job(State.RUNNING), True),
        (Verb.RESUME, job(State.SUSPENDED), False),
        (Verb.SIGNAL, job(State.RUNNING), True),
        (Verb.CANCEL, job(State.RUNNING), False),
    ],
)
def test_what_was_passed_on_is_done_when_its_effect_is_seen(
    verb: Verb, record: JobRecord, effect: bool
) -> None:
    """A verdict is what was observed, not what was promised."""
    request = asked(verb, verdict=Verdict.SIGNALLED)
    (order,) = [
        one for one in owed(evolve(record, pending=(request,))) if isinstance(one, i.SettleRequest)
    ]

    assert (Verdict.DONE if effect else Verdict.OVERDUE) is order.verdict


# What a fact does


@pytest.mark.parametrize(
    ("record", "fact", "state", "orders"),
    [
        (
            job(State.NEW, token=""),
            e.SubmitIntended(at=NOW, attempt=1, token="t", batch="b"),
            State.SUBMITTING,
            (i.SettleSubmission(),),
        ),
        (
            job(State.SUBMITTING),
            e.Accepted(at=NOW, attempt=1, native_id="7"),
            State.QUEUED,
            (i.WatchJob(),),
        ),
        (job(), e.Started(at=NOW, attempt=1, source=Source.QUEUE), State.RUNNING, ()),
        (
            job(State.RUNNING),
            e.EndReported(at=NOW, attempt=1, report=report(Source.QUEUE), settle_at=160.0),
            State.COMPLETING,
            (i.DecideEnd(at=160.0),),
        ),
        (job(State.RUNNING), e.Ended(at=NOW, attempt=1, outcome=SUCCESS), State.SUCCEEDED, ()),
        (job(State.RUNNING), e.Ended(at=NOW, attempt=1, outcome=FAILURE), State.FAILED, ()),
        (
            job(State.RUNNING),
            e.Ended(at=NOW, attempt=1, outcome=FAILURE, retry_at=130.0),
            State.WAITING,
            (i.SubmitJob(at=130.0),),
        ),
        (
            job(State.SUBMITTING),
            e.Withdrawn(at=NOW, attempt=1, why="full", ready_at=130.0),
            State.WAITING,
            (i.SubmitJob(at=130.0),),
        ),
        (
            job(State.RUNNING),
            e.ControlAsked(at=NOW, request=CANCEL),
            State.RUNNING,
            (i.CarryOut(request=CANCEL),),
        ),
        (job(State.FAILED), e.RetryAsked(at=NOW, by="me"), State.WAITING, (i.SubmitJob(),)),
        (
            job(State.RUNNING),
            e.StagingOutStarted(at=NOW, attempt=1, outcome=SUCCESS),
            State.STAGING_OUT,
            (i.StageOut(),),
        ),
        (job(State.STAGING_IN, native_id=None), e.StagedIn(at=NOW, attempt=1), State.WAITING,
         (i.SubmitJob(),)),
        (job(State.COMPLETING, settle_at=160.0),
         e.Restarted(at=NOW, attempt=1, restart=1, source=Source.QUEUE), State.QUEUED, ()),
        (job(State.LOST), e.Started(at=NOW, attempt=1, source=Source.QUEUE), State.RUNNING,
         (i.WatchJob(),)),
        (job(State.LOST), e.Resolved(at=NOW, state=State.FAILED, by="me"), State.FAILED, ()),
    ],
)  # fmt: skip
def test_a_fact_moves_and_adds_what_is_newly_owed(
    record: JobRecord, fact: e.Event, state: State, orders: tuple[i.Instruction, ...]
) -> None:
    after, new = step(record, fact)

    assert (state, orders) == (after.state, new)


def test_nothing_of_an_attempt_leaks_into_the_next() -> None:
    """An old native id would be watched, an old report would decide the new attempt."""
    old = job(
        State.COMPLETING,
        settle_at=160.0, started_at=80.0, batch="b", native_state="R", restart=2,
        reports=(report(Source.QUEUE),), progress=Progress(fraction=0.5), unknown_since=1.0,
        observed_at=80.0, observed_source=Source.QUEUE, staged_in=True, token_closed=True,
        ending=Reason.DEADLINE, suspended_by=frozenset({"user"}),
    )  # fmt: skip
    after, _ = step(old, e.Ended(at=NOW, attempt=1, outcome=FAILURE, retry_at=130.0))
    fresh = JobRecord(
        id="j", backend="b", spec=spec(), state=State.WAITING, attempt=2, ready_at=130.0,
        outcome=FAILURE,
    )  # fmt: skip

    assert fresh == after


HELD, SYSTEM = frozenset({"user"}), frozenset({"system"})


@pytest.mark.parametrize(
    ("record", "hold"),
    [
        (job(hold=SYSTEM), frozenset()),
        (job(hold=HELD), frozenset()),
        (job(hold=HELD, hold_asked=True), HELD),
        (job(hold=HELD | SYSTEM, hold_asked=True), HELD),
        (job(State.WAITING, hold=HELD, token=""), HELD),
    ],
)
def test_a_hold_that_was_asked_for_outlives_an_attempt(
    record: JobRecord, hold: frozenset[str]
) -> None:
    """One that the scheduler put on its own job would never be lifted from the next."""
    if record.token:
        after, _ = step(record, e.Withdrawn(at=NOW, attempt=1, why="gone"))
        assert (2, hold) == (after.attempt, after.hold)
    after, _ = step(record, e.Ended(at=NOW, attempt=1, outcome=CANCELLED))
    after, _ = step(after, e.RetryAsked(at=NOW, by="me"))

    assert (2, hold) == (after.attempt, after.hold)
    assert (() if hold else (i.SubmitJob(),)) == owed(after)


def test_a_hold_is_of_the_job_once_somebody_asked_for_it() -> None:
    """What is seen of it later, or was before, says nothing about who wants it."""
    record = job()
    history = [
        (e.HoldsSeen(at=NOW, hold=HELD), False),
        (e.HoldsSeen(at=NOW, hold=HELD, asked=True), True),
        (e.HoldsSeen(at=NOW, hold=frozenset()), True),
        (e.HoldsSeen(at=NOW, hold=HELD | SYSTEM), True),
        (e.HoldsSeen(at=NOW, hold=SYSTEM, asked=True), False),
    ]
    for event, expected in history:
        record, _ = step(record, event)
        assert (event.hold, expected) == (record.hold, record.hold_asked)


def test_attempts_that_never_ran_do_not_count() -> None:
    """A full queue must not use up the retries that the user paid for."""
    record = job(State.SUBMITTING, spec={"retry": Retry(attempts=2)})
    record, _ = step(record, e.Withdrawn(at=NOW, attempt=1, why="full"))
    record, _ = step(record, e.SubmitIntended(at=NOW, attempt=2, token="t2", batch="b"))

    assert (2, 1) == (record.attempt, record.counted_attempt)
    assert retry_at(record, FAILURE, NOW) is not None


def test_a_refused_fact_changes_nothing() -> None:
    record = job(State.QUEUED)
    before = evolve(record)

    with pytest.raises(IllegalTransitionError):
        step(record, e.Resumed(at=NOW, attempt=1))
    assert before == record


def test_a_first_settle_time_stays() -> None:
    """A scheduler that repeats itself must not put the decision off for ever."""
    record = job(State.RUNNING)
    for at in (110.0, 120.0):
        record, _ = step(
            record,
            e.EndReported(at=at, attempt=1, report=report(Source.QUEUE), settle_at=at + 60),
        )

    assert 170.0 == record.settle_at
    assert 1 == len(record.reports)


def test_replay_is_a_fold() -> None:
    made = create(e.Submitted(at=1.0, spec=spec(hold=True), backend="b"), job_id="j", n=3)
    after = replay(
        made,
        [
            e.Deferred(at=2.0, why="a release"),
            e.HoldsSeen(at=3.0, hold=frozenset()),
            e.SubmitIntended(at=4.0, attempt=1, token="t", batch="b"),
            e.AnswerLost(at=5.0, attempt=1),
            e.Accepted(at=6.0, attempt=1, native_id="7"),
        ],
    )

    assert (frozenset({"user"}), frozenset()) == (made.hold, after.hold)
    assert (State.QUEUED, "7", None) == (after.state, after.native_id, after.unknown_since)


# Two channels, one outcome

RECORD = report(Source.EXIT_RECORD, exit_code=3, usage=Usage(wall_s=1.0, max_rss_bytes=5))
QUEUE = report(Source.QUEUE, exit_code=3)
ACCOUNTING = report(Source.ACCOUNTING, exit_code=3, usage=Usage(max_rss_bytes=9), native_id="7")
KILLED = {"exit_code": None, "signal": 9}


@pytest.mark.parametrize(
    ("reports", "options", "expected"),
    [
        # One conclusive word is enough.
        ([report()], {}, (Reason.EXITED, 0, None)),
        ([report(Source.SERVER, exit_code=4)], {}, (Reason.EXITED, 4, None)),
        ([report(**KILLED)], {}, (Reason.SIGNALLED, None, 9)),
        ([report(reason=Reason.OUT_OF_MEMORY, **KILLED)], {}, (Reason.OUT_OF_MEMORY, None, 9)),
        ([QUEUE, report(Source.USER, exit_code=0)], {}, (Reason.EXITED, 0, None)),
        # Of two channels both are waited for.
        ([], {}, None),
        ([RECORD], {}, None),
        ([QUEUE], {}, None),
        ([QUEUE, ACCOUNTING], {}, None),
        ([RECORD, QUEUE], {}, (Reason.EXITED, 3, None)),
        # The code is the record's, the reason the scheduler's where it did it.
        (
            [RECORD, evolve(ACCOUNTING, exit_code=0, reason=Reason.OUT_OF_MEMORY)],
            {},
            (Reason.OUT_OF_MEMORY, 3, None),
        ),
        (
            [RECORD, evolve(QUEUE, reason=Reason.WALL_TIME), ACCOUNTING],
            {},
            (Reason.WALL_TIME, 3, None),
        ),
        (
            [RECORD, evolve(QUEUE, reason=Reason.LAUNCH_FAILED)],
            {},
            (Reason.EXITED, 3, None),
        ),
        # At the end of the settle time the record alone decides.
        ([RECORD], {"settled": True}, (Reason.EXITED, 3, None)),
        # The scheduler alone is believed in failure, in success only with the claim.
        ([QUEUE], {"settled": True, "claimed": True}, (Reason.EXITED, 3, None)),
        ([QUEUE], {"settled": True, "claimed": False}, (Reason.LAUNCH_FAILED, 3, None)),
        ([QUEUE], {"settled": True}, (Reason.EXITED, 3, None)),
        (
            [evolve(QUEUE, exit_code=0)],
            {"settled": True, "claimed": True},
            (Reason.EXITED, 0, None),
        ),
        ([evolve(QUEUE, exit_code=0)], {"settled": True}, (Reason.LOST, None, None)),
        (
            [evolve(QUEUE, exit_code=0)],
            {"settled": True, "claimed": False},
            (Reason.LOST, None, None),
        ),
        (
            [evolve(QUEUE, reason=Reason.NODE_LOST, exit_code=None)],
            {"settled": True, "claimed": True},
            (Reason.NODE_LOST, None, None),
        ),
        ([], {"settled": True}, (Reason.LOST, None, None)),
    ],
)
def test_one_table_decides(
    reports: list[EndReport], options: dict[str, Any], expected: tuple[Any, ...] | None
) -> None:
    """Absence never yields SUCCEEDED; what nobody knows is LOST and says so."""
    outcome = judge(job(State.COMPLETING), reports, **options)

    told = None if outcome is None else (outcome.reason, outcome.exit_code, outcome.signal)
    assert expected == told
    if outcome is not None:
        assert set(reports) == set(outcome.evidence)


def test_usage_is_taken_from_who_sees_more() -> None:
    outcome = judge(job(State.COMPLETING), [RECORD, ACCOUNTING])

    assert outcome is not None
    assert Usage(wall_s=1.0, max_rss_bytes=9) == outcome.usage


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Reason.SIGNALLED),
        ({"pending": (CANCEL,)}, Reason.SIGNALLED),
        ({"pending": (SIGNALLED,)}, Reason.CANCELLED),
        ({"pending": (SIGNALLED,), "ending": Reason.DEADLINE}, Reason.DEADLINE),
        ({"pending": (evolve(SIGNALLED, verb=Verb.HOLD),)}, Reason.SIGNALLED),
    ],
)
def test_a_signal_is_a_cancel_only_where_one_was_passed_on(
    changes: dict[str, Any], expected: Reason
) -> None:
    """A job that crashed before the cancel reached it was not cancelled."""
    outcome = judge(job(State.RUNNING, **changes), [report(**KILLED)])

    assert outcome is not None
    assert expected is outcome.reason


@pytest.mark.parametrize(
    ("retry", "outcome", "changes", "expected"),
    [
        (Retry(), FAILURE, {}, None),
        (Retry(attempts=2), FAILURE, {}, NOW),
        (Retry(attempts=2, backoff_s=5), FAILURE, {}, NOW + 5),
        (Retry(attempts=4, backoff_s=5), FAILURE, {"attempt": 3}, NOW + 20),
        (Retry(attempts=2), SUCCESS, {}, None),
        (Retry(attempts=2), FAILURE, {"attempt": 2}, None),
        (Retry(attempts=2), FAILURE, {"attempt": 2, "uncounted": 1}, NOW),
        (Retry(attempts=2, on=[Reason.WALL_TIME]), FAILURE, {}, None),
        (Retry(attempts=2, exit_codes=[75]), FAILURE, {}, None),
        (Retry(attempts=2, exit_codes=[1]), FAILURE, {}, NOW),
        (Retry(attempts=2), Outcome(reason=Reason.LOST), {}, None),
        (Retry(attempts=2), Outcome(reason=Reason.CANCELLED), {}, None),
        (Retry(attempts=2), FAILURE, {"pending": (CANCEL,)}, None),
        (Retry(attempts=2), FAILURE, {"ending": Reason.DEADLINE}, None),
    ],
)
def test_when_the_next_attempt_begins(
    retry: Retry, outcome: Outcome, changes: dict[str, Any], expected: float | None
) -> None:
    record = job(State.RUNNING, spec={"retry": retry}, **changes)

    assert expected == retry_at(record, outcome, NOW)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (SUCCESS, e.StagingOutStarted),
        (FAILURE, e.StagingOutStarted),
        (Outcome(reason=Reason.SIGNALLED, started=Started.YES, signal=9), e.StagingOutStarted),
        (Outcome(reason=Reason.WALL_TIME, started=Started.YES), e.Ended),
        (Outcome(reason=Reason.LAUNCH_FAILED, started=Started.NO), e.Ended),
        (Outcome(reason=Reason.LOST), e.Ended),
    ],
)
def test_outputs_are_fetched_of_what_ran(outcome: Outcome, kind: type[e.Event]) -> None:
    record = job(State.RUNNING, spec={"outputs": [("a", "b")]})

    assert kind is type(end_of(record, outcome, NOW))
    assert e.Ended is type(end_of(evolve(record, state=State.STAGING_OUT), outcome, NOW))
