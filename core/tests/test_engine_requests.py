"""What people ask of jobs that are there, and what came of it."""

from collections.abc import Callable
from typing import Any

import pytest

from drover.commandline import claims
from drover.errors import IllegalRequestError
from drover.models import (
    Claim,
    OrderAnswer,
    Phase,
    Reason,
    Retry,
    Verb,
    Verdict,
)
from drover.states import State

Bench = Any


def answer(verdict: Verdict, message: str = "") -> Callable[[Any], list[OrderAnswer]]:
    return lambda orders: [
        OrderAnswer(
            token=one.attempt.token, request_id=one.request.id, verdict=verdict, message=message
        )
        for one in orders
    ]


def test_a_cancel_before_the_backend_has_it_needs_no_backend(bench: Bench) -> None:
    job = bench.submit(hold=True)
    bench.settle()
    bench.ask(job)
    bench.settle()

    assert (State.CANCELLED, [Verdict.DONE]) == (job.state, bench.verdicts(job))
    assert [] == bench.world.called("drover_submit")


def test_why_a_user_cancels_is_text_for_people(bench: Bench) -> None:
    """A word that the engine uses as well must not decide how the job ended."""
    job = bench.submit(hold=True)
    bench.settle()
    bench.ask(job, why="LOST")
    bench.settle()

    assert (State.CANCELLED, Reason.CANCELLED) == (job.state, job.outcome.reason)


def test_a_cancel_of_a_queued_job_may_be_done_at_once(bench: Bench) -> None:
    job = bench.placed()
    bench.rewrite(control=answer(Verdict.DONE))
    bench.ask(job)
    bench.settle()

    assert (State.CANCELLED, [Verdict.DONE]) == (job.state, bench.verdicts(job))


def test_a_cancel_of_a_running_job_is_done_when_its_end_is_seen(bench: Bench) -> None:
    """That the signal was sent says nothing about the job."""
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, grace_s=3.0)
    bench.advance(2)
    assert (State.RUNNING, []) == (job.state, bench.verdicts(job))
    bench.world.end(job.record.token, exit_code=None, signal=15)
    bench.advance(5)

    assert (State.CANCELLED, 15, [Verdict.DONE]) == (
        job.state,
        job.outcome.signal,
        bench.verdicts(job),
    )
    ((order,),) = bench.world.called("drover_control")
    assert (Verb.CANCEL, 3.0) == (order.request.verb, order.request.grace_s)


def test_a_cancel_that_comes_too_late_says_so(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.world.end(job.record.token, 0)
    bench.ask(job)
    bench.advance(5)

    assert (State.SUCCEEDED, [Verdict.TOO_LATE]) == (job.state, bench.verdicts(job))


def test_a_cancel_without_effect_is_overdue(bench: Bench) -> None:
    """Who asked must not wait for ever; the job is told as what it is."""
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, grace_s=1.0)
    bench.advance(70)

    assert (State.RUNNING, [Verdict.OVERDUE]) == (job.state, bench.verdicts(job))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"exit_code": None, "signal": 9}, (State.CANCELLED, Reason.CANCELLED)),
        ({"exit_code": 1}, (State.FAILED, Reason.EXITED)),
        ({"exit_code": 0}, (State.SUCCEEDED, Reason.EXITED)),
    ],
    ids=["killed", "cleaned up", "came to its end"],
)
def test_a_cancel_that_is_overdue_is_not_forgotten(
    bench: Bench, ends: dict[str, Any], expected: tuple[State, Reason]
) -> None:
    """A job that takes long to die would come back to life by its retry."""
    job = bench.placed(Phase.RUNNING, retry=Retry(attempts=3))
    bench.ask(job, grace_s=1.0)
    bench.advance(70)
    assert [Verdict.OVERDUE] == bench.verdicts(job)
    bench.world.end(job.record.token, **ends)
    bench.advance(60)

    assert (*expected, 1) == (job.state, job.outcome.reason, len(bench.world.runs))


def test_a_job_whose_cancel_is_overdue_keeps_its_deadline(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING, deadline=bench.clock.time() + 100)
    bench.ask(job, grace_s=1.0)
    bench.advance(150)

    cancels = [order.request.by for (order,) in bench.world.called("drover_control")]
    assert 2 == len(cancels)
    assert "engine" == cancels[1]


def test_a_retry_after_an_overdue_cancel_begins_anew(bench: Bench) -> None:
    """That the last attempt was to be ended says nothing about the next."""
    job = bench.placed(Phase.RUNNING, retry=Retry(attempts=3))
    bench.ask(job, grace_s=1.0)
    bench.advance(70)
    bench.world.end(job.record.token, exit_code=None, signal=9)
    bench.advance(60)
    job.retry()
    bench.settle()
    bench.world.end(job.record.token, 1)
    bench.advance(5)

    assert (State.QUEUED, 3) == (job.state, job.attempt)


def test_a_refused_cancel_keeps_its_reason(bench: Bench) -> None:
    job = bench.placed()
    bench.rewrite(control=answer(Verdict.REFUSED, "held by the administrator"))
    bench.ask(job)
    bench.settle()

    (fact,) = bench.facts(job, "ControlSettled")
    assert (Verdict.REFUSED, "held by the administrator") == (fact.verdict, fact.message)
    assert State.QUEUED is job.state


def test_a_request_that_nobody_answered_is_passed_on_again(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.rewrite(control=lambda _: None)
    bench.ask(job)
    bench.advance(10)

    first, second = bench.world.called("drover_control")
    assert first[0].request.id == second[0].request.id


def test_a_verb_that_the_backend_has_not_is_refused_by_name(bench: Bench) -> None:
    bench.capable(verbs=frozenset({Verb.CANCEL}))
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, Verb.SUSPEND)
    bench.settle()

    (fact,) = bench.facts(job, "ControlSettled")
    assert (Verdict.REFUSED, True) == (fact.verdict, "cannot suspend" in fact.message)
    assert [] == bench.world.called("drover_control")


def test_a_cancel_waits_for_an_unknown_submission(bench: Bench) -> None:
    """The backend may not know the token yet: a cancel sent now would be lost."""
    bench.capable(claim=Claim.SERVER_KEY)
    bench.rewrite(submit=lambda _: None)
    job = bench.placed()
    bench.ask(job)
    bench.settle()
    assert [] == bench.world.called("drover_control")
    bench.advance(10)

    assert (State.QUEUED, 1) == (job.state, len(bench.world.called("drover_control")))


def test_a_cancelled_job_is_not_submitted_again(bench: Bench) -> None:
    """An unknown submission that turns out as never made ends with the cancel."""
    bench.capable(claim=Claim.DIRECTORY, unknown_after_s=10.0)
    bench.rewrite(submit=lambda _: None)
    job = bench.placed()
    bench.ask(job)
    bench.advance(30)

    assert (State.CANCELLED, [Verdict.DONE], []) == (
        job.state,
        bench.verdicts(job),
        bench.world.runs,
    )


def test_a_cancel_of_a_lost_job_is_refused_with_the_way_out(bench: Bench) -> None:
    bench.capable(missing_grace_s=5.0)
    job = bench.placed()
    bench.world.rows.clear()
    bench.advance(30)
    (verdict,) = bench.session.cancel([job], timeout=0.0)

    assert (Verdict.REFUSED, True) == (verdict.verdict, "drover resolve" in verdict.message)


def test_a_cancelled_job_that_never_started_and_is_gone_is_cancelled(bench: Bench) -> None:
    """The scheduler forgot it without a word; closed, it can never start."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    bench.ask(job)
    bench.settle()
    bench.world.rows.clear()
    bench.advance(30)

    assert State.CANCELLED is job.state
    folder = bench.home / "jobs" / job.id / "1"
    assert not claims.take(folder, claims.Owner(native_id="late")).won


@pytest.mark.parametrize("claim", [Claim.NONE, Claim.DIRECTORY])
def test_a_job_that_may_have_started_is_lost_not_cancelled(bench: Bench, claim: Claim) -> None:
    bench.capable(claim=claim, missing_grace_s=5.0)
    job = bench.placed(Phase.RUNNING)
    bench.ask(job)
    bench.settle()
    bench.world.rows.clear()
    bench.advance(30)

    assert State.LOST is job.state


def test_a_held_job_waits_for_its_release(bench: Bench) -> None:
    job = bench.submit(hold=True)
    bench.advance(100)
    assert (State.WAITING, frozenset({"user"})) == (job.state, job.held_by)
    bench.ask(job, Verb.RELEASE)
    bench.settle()

    assert (State.QUEUED, [Verdict.DONE]) == (job.state, bench.verdicts(job))


def test_a_new_job_can_be_held_before_it_is_looked_at(bench: Bench) -> None:
    job = bench.submit()
    bench.ask(job, Verb.HOLD)
    bench.settle()

    assert (State.WAITING, []) == (job.state, bench.world.called("drover_submit"))


def test_a_hold_of_the_schedulers_goes_with_its_job(bench: Bench) -> None:
    """An administrator held it, and its controller lost it."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    bench.world.see(job.record.token, Phase.QUEUED, hold=frozenset({"system"}))
    bench.advance(5)
    assert frozenset({"system"}) == job.held_by
    bench.world.rows.clear()
    bench.advance(30)
    bench.ask(job, Verb.RETRY)
    bench.settle()

    assert (State.QUEUED, 2, frozenset()) == (job.state, job.record.attempt, job.held_by)


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.SIGNALLED])
def test_a_hold_that_was_asked_for_stays_with_the_job(bench: Bench, verdict: Verdict) -> None:
    """Whether the backend says that it is done, or it is seen later."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    bench.rewrite(control=answer(verdict))
    bench.ask(job, Verb.HOLD)
    bench.settle()
    bench.world.see(job.record.token, Phase.QUEUED, hold=frozenset({"user"}))
    bench.advance(5)
    assert [Verdict.DONE] == bench.verdicts(job)
    bench.world.rows.clear()
    bench.advance(30)
    bench.ask(job, Verb.RETRY)
    bench.settle()

    assert (State.WAITING, 2, frozenset({"user"})) == (job.state, job.record.attempt, job.held_by)


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.RELEASE])
def test_a_queued_job_is_held_by_its_backend(bench: Bench, verb: Verb) -> None:
    job = bench.placed()
    bench.rewrite(control=answer(Verdict.DONE))
    bench.ask(job, verb)
    bench.settle()

    assert (State.QUEUED, verb is Verb.HOLD) == (job.state, bool(job.held_by))


def test_a_job_is_suspended_when_that_is_seen(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, Verb.SUSPEND)
    bench.advance(2)
    assert (State.RUNNING, []) == (job.state, bench.verdicts(job))
    bench.world.see(job.record.token, Phase.SUSPENDED)
    bench.advance(5)

    assert (State.SUSPENDED, [Verdict.DONE]) == (job.state, bench.verdicts(job))


def test_a_retry_of_a_lost_job_closes_it_first(bench: Bench) -> None:
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    bench.world.rows.clear()
    bench.advance(30)
    bench.ask(job, Verb.RETRY)
    bench.settle()

    names = bench.names(job)
    assert (State.QUEUED, 2) == (job.state, job.attempt)
    assert names.index("AttemptClosed") < names.index("RetryAsked")


@pytest.mark.parametrize("may_run_twice", [False, True])
def test_a_retry_of_what_may_still_run_must_be_meant(bench: Bench, may_run_twice: bool) -> None:
    """LOST is not dead: a second run beside the first can destroy its results."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed(Phase.RUNNING)
    folder = bench.home / "jobs" / job.id / "1"
    folder.mkdir(parents=True)
    assert claims.take(folder, claims.Owner(native_id=job.native_id)).won
    bench.world.rows.clear()
    bench.advance(30)
    bench.ask(job, Verb.RETRY, may_run_twice=may_run_twice)
    bench.settle()

    assert (State.QUEUED if may_run_twice else State.LOST) is job.state
    assert [Verdict.DONE if may_run_twice else Verdict.REFUSED] == bench.verdicts(job)


def test_a_retry_keeps_to_the_start_time(bench: Bench) -> None:
    """It does not start earlier, whoever cancelled it and thought better of it."""
    start = bench.clock.time() + 1000
    job = bench.submit(not_before=start)
    bench.settle()
    bench.ask(job)
    bench.settle()
    assert State.CANCELLED is job.state
    job = bench.session.job(job.retry().id)
    bench.advance(900)
    assert State.WAITING is job.state
    bench.clock.jump(-500)
    bench.advance(500)
    assert State.WAITING is job.state
    bench.advance(200)

    assert State.QUEUED is job.state


@pytest.mark.parametrize("has_started", [False, True])
def test_what_was_resolved_cannot_start_any_more(bench: Bench, has_started: bool) -> None:
    """Its submission may still lie in a queue, and would run beside the retry or after the end."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    record = job.record
    folder = bench.start().attempt_dir(record)
    owner = claims.Owner(native_id=record.native_id)
    folder.mkdir(parents=True)
    if has_started:
        assert claims.take(folder, owner).won
    bench.world.rows.clear()
    bench.advance(30)
    assert State.LOST is job.state
    job.resolve(State.FAILED, "nothing came of it")
    assert not claims.take(folder, claims.Owner(native_id="later")).won
    assert has_started is not job.record.token_closed
    job.retry()
    bench.settle()

    assert (State.QUEUED, 2) == (job.state, job.attempt)
    with bench.session.store.read() as reader:
        assert has_started is not bool(reader.watched([record.token]))


def lost(bench: Bench) -> Any:
    """Give a job that was handed over, and of which nothing is known."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=5.0)
    job = bench.placed()
    bench.world.rows.clear()
    bench.advance(30)
    assert State.LOST is job.state
    return job


def test_a_refused_resolve_has_shut_nothing(bench: Bench) -> None:
    """None is changed, it says: the first of two could not start any more."""
    job = lost(bench)
    folder = bench.start().attempt_dir(job.record)
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(IllegalRequestError, match="only LOST jobs"):
        bench.session.resolve([job, bench.submit()], State.FAILED)

    assert claims.take(folder, claims.Owner(native_id="later")).won


def test_a_users_word_stands_where_the_claim_cannot_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server that is away is no reason to wait for ever."""
    job = lost(bench)

    def away(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(claims, "close", away)
        job.resolve(State.FAILED, "nothing came of it")

    assert (State.FAILED, False) == (job.state, job.record.token_closed)
