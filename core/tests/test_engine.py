"""The engine and its backends: intents, answers, claims, crashes. Each job runs once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from drover._engine._lanes import Call, Reply, ThreadLane
from drover._plugins import assemble
from drover._store import Store
from drover.commandline import claims
from drover.errors import CallOverdueError, StaleEpochError, StoreUnusableError, UnreachableError
from drover.hookspecs import hookimpl
from drover.models import (
    Answer,
    Array,
    Attempt,
    Claim,
    CloseAnswer,
    Closing,
    Found,
    Phase,
    Reason,
    Resources,
    Retry,
    Source,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover.states import State
from drover.testing import FakeClock

Bench = Any
CLAIMS = pytest.mark.parametrize("claim", list(Claim))


def lost(_attempts: object) -> None:
    """Answer nothing."""


def refuse(**fields: Any) -> Callable[[Any], list[SubmitAnswer]]:
    return lambda attempts: [
        SubmitAnswer(token=one.token, answer=Answer.REFUSED, message="no", **fields)
        for one in attempts
    ]


def fail(_given: object) -> None:
    message = "oops"
    raise ValueError(message)


# The plain way


def test_a_job_runs_from_intent_to_end(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.world.end(job.record.token)
    bench.advance(5)

    assert ["Submitted", "SubmitIntended", "Accepted", "Started", "Ended"] == bench.names(job)
    assert (State.SUCCEEDED, 0) == (job.state, job.outcome.exit_code)
    assert 1 == len(bench.world.runs)


def test_the_intent_is_durable_before_the_call(bench: Bench) -> None:
    """What is not in the journal when the engine dies would be submitted again."""
    job = bench.submit()
    seen: list[list[str]] = []

    def look(attempts: list[Attempt]) -> list[SubmitAnswer]:
        seen.append(bench.names(job))
        return [bench.world.accept(one) for one in attempts]

    bench.rewrite(submit=look)
    bench.settle()

    assert [["Submitted", "SubmitIntended"]] == seen


def test_a_backend_is_given_what_the_job_asked_for(bench: Bench) -> None:
    job = bench.placed(env={"A": "b"}, resources=Resources(cpus=3))
    ((attempt,),) = bench.world.called("drover_submit")

    assert (job.id, 1, job.record.token, 3) == (
        attempt.job_id,
        attempt.number,
        attempt.token,
        attempt.spec.resources.cpus,
    )
    told = {"A": "b", "DROVER_JOB_ID": job.id, "DROVER_ATTEMPT": "1"}
    assert told.items() <= attempt.environment.items()
    assert attempt.token == attempt.environment["DROVER_TOKEN"]


def test_jobs_are_handed_over_together(bench: Bench) -> None:
    """One call for a thousand jobs, not a thousand calls."""
    bench.capable(max_batch=4)
    for _ in range(10):
        bench.submit()
    bench.settle()

    assert [4, 4, 2] == [len(batch) for batch in bench.world.called("drover_submit")]


def test_a_window_is_not_overfilled(bench: Bench) -> None:
    """What waits in a small queue cannot be put in order any more."""
    bench.capable(window=2)
    jobs = [bench.submit() for _ in range(5)]
    bench.settle()
    for job in jobs:
        queued = [one for one in bench.records() if one.state is State.QUEUED]
        assert len(queued) <= 2
        bench.world.see(job.record.token, Phase.RUNNING)
        bench.advance(2)

    assert [State.RUNNING] * 5 == [job.state for job in jobs]


def test_an_array_keeps_to_its_limit(bench: Bench) -> None:
    array = bench.session.submit(["x"], array=Array(indices=5, max_running=2))
    for _ in range(5):
        bench.advance(2)
        placed = [one for one in bench.records() if one.state.is_placed]
        assert len(placed) <= 2, bench.story()
        bench.world.end(placed[0].token)
    bench.advance(5)
    for row in bench.records():
        if row.state.is_placed:
            bench.world.end(row.token)
    bench.advance(5)

    assert {State.SUCCEEDED: 5} == array.counts
    assert 5 == len(bench.world.runs)


# Refused


def test_an_array_that_is_over_is_forgotten(bench: Bench) -> None:
    """An engine runs for months, and sees arrays by the thousand."""
    array = bench.session.submit(["x"], array=Array(indices=2))
    bench.settle()
    for element in array:
        bench.world.end(element.record.token)
    bench.advance(5)

    assert {State.SUCCEEDED: 2} == array.counts
    assert [] == list(bench.start().desk.placed)


def test_a_refusal_ends_the_job_with_its_reason(bench: Bench) -> None:
    bench.rewrite(submit=refuse())
    job = bench.placed()

    assert (State.FAILED, Reason.REFUSED, "no") == (
        job.state,
        job.outcome.reason,
        job.outcome.message,
    )


def test_a_full_queue_is_tried_again_and_does_not_count(bench: Bench) -> None:
    bench.rewrite(submit=refuse(retryable=True))
    job = bench.placed()
    assert State.WAITING is job.state
    bench.advance(10)

    assert (State.QUEUED, 2, 1) == (job.state, job.attempt, job.record.counted_attempt)


def test_a_failed_launch_is_retried_as_asked(bench: Bench) -> None:
    bench.rewrite(submit=refuse(reason=Reason.LAUNCH_FAILED))
    job = bench.placed(retry=Retry(attempts=2, backoff_s=30))
    assert State.WAITING is job.state
    bench.advance(29)
    assert State.WAITING is job.state
    bench.advance(2)

    assert (State.QUEUED, 2) == (job.state, job.attempt)


# Unknown answers


@pytest.mark.parametrize("answer", [lost, fail], ids=["silence", "exception"])
def test_where_the_token_is_the_key_it_is_sent_again(
    bench: Bench, answer: Callable[[Any], Any]
) -> None:
    """The server knows the token: it cannot run it twice."""
    bench.capable(claim=Claim.SERVER_KEY)

    def accept_and_lose(attempts: list[Attempt]) -> Any:
        for one in attempts:
            bench.world.accept(one)
        return answer(attempts)

    bench.rewrite(submit=accept_and_lose)
    job = bench.placed()
    assert ["Submitted", "SubmitIntended", "AnswerLost"] == bench.names(job)
    bench.advance(10)

    first, second = bench.world.called("drover_submit")
    assert first[0].token == second[0].token
    assert (State.QUEUED, 1, [first[0].token]) == (job.state, job.attempt, bench.world.runs)


def test_where_the_claim_is_a_folder_it_is_searched_for(bench: Bench) -> None:
    bench.capable(claim=Claim.DIRECTORY)

    def accept_and_lose(attempts: list[Attempt]) -> None:
        for one in attempts:
            bench.world.accept(one)

    bench.rewrite(submit=accept_and_lose)
    job = bench.placed()
    bench.advance(10)

    assert (State.QUEUED, 1, 1) == (job.state, job.attempt, len(bench.world.runs))
    assert Source.QUEUE is bench.facts(job, "Accepted")[0].source
    assert 1 == len(bench.world.called("drover_submit"))


def test_what_is_not_found_is_closed_before_it_is_submitted_again(bench: Bench) -> None:
    """A negative find proves nothing: a hung controller accepts when it wakes."""
    bench.capable(claim=Claim.DIRECTORY, unknown_after_s=60.0)
    bench.rewrite(submit=lost)
    job = bench.placed()
    first = job.record.token
    bench.advance(50)
    assert (State.SUBMITTING, 1) == (job.state, len(bench.world.called("drover_submit")))
    bench.advance(30)

    names = bench.names(job)
    assert names.index("AttemptClosed") < names.index("Withdrawn")
    assert (State.QUEUED, 2, 1) == (job.state, job.attempt, job.record.counted_attempt)
    folder = bench.home / "jobs" / job.id / "1"
    assert not claims.take(folder, claims.Owner(native_id="late")).won
    assert first != job.record.token


def test_what_appears_late_under_a_closed_token_is_cancelled(bench: Bench) -> None:
    bench.capable(claim=Claim.DIRECTORY, unknown_after_s=10.0)
    bench.rewrite(submit=lost)
    job = bench.placed()
    old = job.record.token
    bench.advance(30)
    late = SubmitAnswer(token=old, answer=Answer.ACCEPTED)
    row = bench.world.rows[job.record.token]
    bench.contexts[-1].report([type(row)(token=late.token, phase=Phase.QUEUED, source=row.source,
                                         at=bench.clock.time(), native_id="late")])  # fmt: skip
    bench.settle()

    orders = [one for batch in bench.world.called("drover_control") for one in batch]
    assert [(old, Verb.CANCEL)] == [(one.attempt.token, one.request.verb) for one in orders]
    assert State.QUEUED is job.state


def test_a_claim_that_was_taken_is_adopted(bench: Bench) -> None:
    """The wrapper runs: whatever the scheduler says, another attempt would be a second run."""
    bench.capable(claim=Claim.DIRECTORY, unknown_after_s=10.0)
    bench.rewrite(submit=lost)
    job = bench.placed()
    folder = bench.home / "jobs" / job.id / "1"
    folder.mkdir(parents=True)
    assert claims.take(folder, claims.Owner(native_id="late")).won
    bench.advance(15)

    assert (State.QUEUED, "late", 1) == (job.state, job.native_id, job.attempt)
    assert 1 == len(bench.world.called("drover_submit"))


def test_without_a_claim_the_unknown_is_lost(bench: Bench) -> None:
    bench.capable(claim=Claim.NONE, unknown_after_s=10.0)
    bench.rewrite(submit=lost)
    job = bench.placed(retry=Retry(attempts=5))
    bench.advance(60)

    assert (State.LOST, 1) == (job.state, len(bench.world.called("drover_submit")))


def test_a_refused_repetition_is_believed_once_the_token_is_closed(bench: Bench) -> None:
    """A server that says no to the second may have said yes to the first."""
    bench.capable(claim=Claim.SERVER_KEY)

    def accept_and_lose(attempts: list[Attempt]) -> None:
        for one in attempts:
            bench.world.accept(one)

    bench.rewrite(submit=accept_and_lose)
    bench.rewrite(submit=refuse())
    job = bench.placed()
    bench.advance(10)

    assert (State.QUEUED, "n1") == (job.state, job.native_id)


def test_a_hook_that_hangs_is_given_up(bench: Bench) -> None:
    """Its answer is unknown, and the others' calls go on."""
    bench.capable(claim=Claim.SERVER_KEY, call_s={"drover_submit": 20.0})
    bench.world.hangs.add("drover_submit")
    job = bench.placed()
    bench.advance(19)
    assert ["Submitted", "SubmitIntended"] == bench.names(job)
    bench.world.hangs.clear()
    bench.advance(15)

    assert "AnswerLost" in bench.names(job)
    assert (State.QUEUED, 1) == (job.state, len(bench.world.runs))


def test_a_lane_replaces_a_thread_that_hangs() -> None:
    """A C library that never returns must not take the engine with it."""
    gate, clock, replies = threading.Event(), FakeClock(), list[Reply]()
    arrived = threading.Semaphore(0)
    entered = threading.Event()

    class Slow:
        @hookimpl
        def drover_find(self, tokens: list[str]) -> list[Found]:
            if "slow" in tokens:
                entered.set()
                gate.wait(30)
            return [Found(token=token, native_id="n") for token in tokens]

    def reply(one: Reply) -> None:
        replies.append(one)
        arrived.release()

    lane = ThreadLane(assemble("b", Slow(), {}), clock, reply)
    for word in ("slow", "quick"):
        lane.add(Call(hook="drover_find", arguments={"tokens": [word]}, then=lambda *_: None))
    assert entered.wait(10)
    lane.give_up_overdue()
    assert [] == replies
    clock.advance(61)
    lane.give_up_overdue()
    assert arrived.acquire(timeout=10)
    assert arrived.acquire(timeout=10)
    gate.set()
    lane.add(Call(hook="drover_find", arguments={"tokens": ["last"]}, then=lambda *_: None))
    assert arrived.acquire(timeout=10)
    lane.close()

    answers = [one.answer and one.answer[0].token for one in replies]
    assert [None, "quick", "last"] == answers
    assert isinstance(replies[0].error, CallOverdueError)


# Crashes


@CLAIMS
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_engine_that_dies_at_the_call_runs_the_job_at_most_once(
    bench: Bench, claim: Claim, when: str
) -> None:
    """The heart of it: killed between intent and call, or between call and answer."""
    bench.capable(claim=claim, unknown_after_s=10.0)
    job = bench.submit()
    bench.world.dies["drover_submit"] = when
    bench.settle()
    assert bench.engine is None
    bench.advance(60)
    for token in [one.token for one in bench.records() if one.state.is_placed]:
        bench.world.end(token)
    bench.advance(20)

    if claim is Claim.NONE and when == "before":
        assert (State.LOST, []) == (job.state, bench.world.runs), bench.story()
    else:
        assert (State.SUCCEEDED, 1) == (job.state, len(bench.world.runs)), bench.story()


@CLAIMS
def test_an_engine_that_dies_while_jobs_run_finds_them(bench: Bench, claim: Claim) -> None:
    bench.capable(claim=claim)
    job = bench.placed(Phase.RUNNING)
    bench.crash()
    bench.world.end(job.record.token, 3)
    bench.advance(5)

    assert (State.FAILED, 3) == (job.state, job.outcome.exit_code)
    assert 1 == len(bench.world.runs)


def test_a_backend_that_pushes_is_asked_once_by_the_next_engine(bench: Bench) -> None:
    """What happened between two engines was pushed to nobody."""
    bench.capable(push=True)
    job = bench.placed()
    bench.crash()
    bench.world.end(job.record.token)
    bench.advance(100)

    assert State.SUCCEEDED is job.state
    assert 1 == len(bench.world.called("drover_observe"))


def test_a_stale_engine_writes_nothing_and_calls_nobody(bench: Bench) -> None:
    """It was paused; another one has taken over; now it wakes."""
    old = bench.start()
    bench.settle()
    job = bench.submit()
    bench.crash()
    bench.settle()
    assert State.QUEUED is job.state
    before = bench.names(job)
    calls = len(bench.world.log)

    with pytest.raises(StaleEpochError):
        old.round()
    with pytest.raises(StaleEpochError):
        old.renew({})

    assert (before, calls) == (bench.names(job), len(bench.world.log))


def test_a_cancel_that_was_asked_for_without_an_engine_is_carried_out(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.crash()
    assert Verdict.ASKED is bench.ask(job)
    bench.settle()

    assert 1 == len(bench.world.called("drover_control"))


@CLAIMS
def test_a_full_disk_when_the_answer_comes_loses_nothing(
    bench: Bench, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend has accepted; the engine cannot write it down now; then it can."""
    bench.capable(claim=claim, unknown_after_s=10.0)
    job = bench.submit()
    while not bench.world.called("drover_submit"):
        bench.start().round()
    bench.world.answers["drover_find"].extend([lost] * 100)
    store = bench.engine.store

    def full() -> None:
        store._undo()
        raise StoreUnusableError("here", "disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_commit", full)
        for _ in range(2):
            with pytest.raises(StoreUnusableError):
                bench.engine.round()
    assert State.SUBMITTING is job.state
    bench.advance(60)

    assert (State.QUEUED, 1) == (job.state, len(bench.world.runs)), bench.story()


def test_a_full_disk_when_something_is_reported_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend lets go of what was reported once it is told that it is durable."""
    bench.capable(push=True)
    job = bench.placed()
    durable: list[State] = []
    bench.contexts[-1].report(
        [bench.world.end(job.record.token)], lambda: durable.append(job.state)
    )
    store = bench.engine.store

    def full() -> None:
        store._undo()
        raise StoreUnusableError("here", "disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_commit", full)
        with pytest.raises(StoreUnusableError):
            bench.engine.round()
    assert [] == durable
    bench.settle()

    assert ([State.SUCCEEDED], State.SUCCEEDED) == (durable, job.state)


def test_a_backend_that_cannot_start_is_tried_again(bench: Bench) -> None:
    """A cluster in maintenance is no reason to fail jobs."""

    def unreachable(_nothing: object) -> None:
        raise UnreachableError("the cluster", "maintenance")

    for _ in range(3):
        bench.rewrite(start=unreachable)
    job = bench.submit()
    bench.settle()
    assert State.NEW is job.state
    (info,) = bench.start().backends.info()
    assert (False, True) == (info["ok"], "maintenance" in info["error"])
    bench.advance(20)

    assert (4, State.QUEUED) == (len(bench.world.called("drover_start")), job.state)


def test_a_backend_that_cannot_be_loaded_harms_no_other(bench: Bench) -> None:
    bench.broken.add("other")
    job = bench.submit(backend="other")
    other = bench.placed()

    assert (State.NEW, State.QUEUED) == (job.state, other.state)
    rows = {row["name"]: row for row in bench.engine.backends.info()}
    assert (False, True) == (rows["other"]["ok"], "it is broken" in rows["other"]["error"])


def test_a_store_without_jobs_is_idle(bench: Bench) -> None:
    engine = bench.start()
    bench.settle()
    assert engine.is_idle()
    job = bench.placed()
    assert not engine.is_idle()
    bench.world.end(job.record.token)
    bench.advance(5)

    assert engine.is_idle()
    assert engine.store.release_lease(engine.epoch, if_idle=True)


def test_a_close_that_nobody_answers_is_asked_again(bench: Bench) -> None:
    """A LOST job is retried only once nobody can start it any more."""
    bench.capable(claim=Claim.SERVER_KEY, missing_grace_s=10.0)
    job = bench.placed()
    del bench.world.rows[job.record.token]
    bench.advance(60)
    assert State.LOST is job.state
    bench.rewrite(close=lost)
    bench.rewrite(
        close=lambda tokens: [CloseAnswer(token=t, closing=Closing.UNKNOWN) for t in tokens]
    )
    bench.ask(job, Verb.RETRY)
    bench.advance(60)

    assert (State.QUEUED, 2, 3) == (
        job.state,
        job.attempt,
        len(bench.world.called("drover_close")),
    ), bench.story()


def test_the_store_is_the_engines_only_memory(bench: Bench) -> None:
    """Every round could be the first of a new engine."""
    jobs = [bench.submit(hold=k == 3) for k in range(6)]
    bench.ask(jobs[3], Verb.RELEASE)
    for _ in range(12):
        bench.start().round()
        bench.crash()
    bench.advance(10)
    for job in jobs:
        bench.world.end(job.record.token)
    bench.advance(10)

    assert [State.SUCCEEDED] * 6 == [job.state for job in jobs], bench.story()
    assert 6 == len(bench.world.runs)


def test_another_process_sees_what_was_committed(bench: Bench) -> None:
    job = bench.placed()
    other = Store.open(bench.home)
    with other.read() as reader:
        assert State.QUEUED is reader.job(job.id).state
    other.close()
