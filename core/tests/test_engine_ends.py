"""What the engine makes of what is seen, of what is not, and of what people ask."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from drover.commandline import claims
from drover.events import Event
from drover.hookspecs import hookimpl
from drover.models import (
    Array,
    Claim,
    Condition,
    Dependency,
    EndReport,
    JobRecord,
    Observation,
    Observed,
    OrderAnswer,
    Outcome,
    Phase,
    Progress,
    Reason,
    Retry,
    Source,
    StageAnswer,
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


def settled(bench: Bench, job: Any) -> list[Verdict]:
    return [fact.verdict for fact in bench.facts(job, "ControlSettled")]


# Absence is not evidence


def test_a_job_that_is_not_listed_is_lost_after_the_grace(bench: Bench) -> None:
    bench.capable(missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.rows.clear()
    bench.advance(55)
    assert State.RUNNING is job.state
    bench.advance(10)

    assert (State.LOST, Reason.LOST) == (job.state, job.outcome.reason)


def test_a_query_that_fails_says_nothing(bench: Bench) -> None:
    """A scheduler in maintenance for a day must not lose ten thousand jobs."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)

    def fail(_attempts: object) -> None:
        message = "squeue: error"
        raise OSError(message)

    for _ in range(20):
        bench.rewrite(observe=fail)
        bench.rewrite(observe=lambda _: None)
        bench.rewrite(observe=lambda _: Observed(complete=False))
    bench.advance(200)

    assert State.RUNNING is job.state


def test_a_job_that_is_listed_again_is_not_missing(bench: Bench) -> None:
    """The grace is one span, not a sum of moments."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    row = bench.world.rows[job.record.token]
    for _ in range(5):
        bench.world.rows.clear()
        bench.advance(6)
        bench.world.rows[row.token] = row
        bench.advance(6)

    assert State.RUNNING is job.state


def test_a_foreign_row_is_no_sign_of_life(bench: Bench) -> None:
    """A native id that was handed out again names somebody else's job."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.rows[job.record.token] = evolve(
        bench.world.end(job.record.token), native_id="another"
    )
    bench.advance(20)

    assert State.LOST is job.state


def test_late_evidence_revives_a_lost_job(bench: Bench) -> None:
    bench.capable(missing_grace_s=10.0, push=True)
    job = bench.placed()
    bench.crash()
    kept = dict(bench.world.rows)
    bench.world.rows.clear()
    bench.advance(60)
    assert State.LOST is job.state, bench.story()
    bench.world.rows.update(kept)
    bench.contexts[-1].report([bench.world.end(job.record.token, 3)])
    bench.settle()

    assert (State.FAILED, 3) == (job.state, job.outcome.exit_code)


def test_evidence_on_an_older_attempt_moves_nothing(bench: Bench) -> None:
    """The end of attempt 1 must not end attempt 2, whatever it says."""
    bench.capable(push=True)
    job = bench.placed(retry=Retry(attempts=2))
    first = job.record.token
    bench.contexts[-1].report([bench.world.end(first, 1)])
    bench.settle()
    assert (State.QUEUED, 2) == (job.state, job.attempt)
    bench.contexts[-1].report([bench.world.end(first, 0)])
    bench.settle()

    assert (State.QUEUED, 2) == (job.state, job.attempt)
    assert [1] == [fact.attempt for fact in bench.facts(job, "EvidenceNoted")]


# Two channels


def told(bench: Bench, job: Any, source: Source, code: int = 0) -> None:
    report = EndReport(source=source, at=bench.clock.time(), exit_code=code)
    bench.world.see(job.record.token, Phase.ENDED, source=source, end=report)


def test_both_channels_decide_together(bench: Bench) -> None:
    bench.capable(settle_s=30.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 3)
    bench.advance(5)
    assert State.COMPLETING is job.state
    told(bench, job, Source.EXIT_RECORD, 3)
    bench.advance(5)

    assert (State.FAILED, 3, 2) == (job.state, job.outcome.exit_code, len(job.outcome.evidence))


def test_a_success_that_nobody_confirms_is_lost(bench: Bench) -> None:
    """A scheduler that cleans up after a crash says 0 of what never ran."""
    bench.capable(settle_s=30.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 0)
    bench.advance(60)

    assert State.LOST is job.state


def test_a_success_with_its_claim_is_one(bench: Bench) -> None:
    bench.capable(settle_s=30.0, claim=Claim.DIRECTORY)
    job = bench.placed(Phase.RUNNING)
    folder = bench.home / "jobs" / job.id / "1"
    folder.mkdir(parents=True)
    assert claims.take(folder, claims.Owner(native_id=job.native_id)).won
    told(bench, job, Source.QUEUE, 0)
    bench.advance(60)

    assert State.SUCCEEDED is job.state, bench.story()


def test_the_settle_time_stands_still_while_queries_fail(bench: Bench) -> None:
    """The second channel cannot speak through a line that is down."""
    bench.capable(settle_s=10.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 3)
    bench.advance(2)
    for _ in range(40):
        bench.rewrite(observe=lambda _: None)
    bench.advance(30)
    assert State.COMPLETING is job.state, bench.story()
    bench.world.answers["drover_observe"].clear()
    bench.advance(20)

    assert State.FAILED is job.state


def test_a_restart_takes_back_the_end(bench: Bench) -> None:
    bench.capable(settle_s=30.0, restart=True)
    job = bench.placed(Phase.RUNNING, requeue=True)
    told(bench, job, Source.QUEUE, 1)
    bench.advance(3)
    bench.world.see(job.record.token, Phase.RUNNING, restart=1, end=None)
    bench.advance(3)

    assert (State.RUNNING, 1, 1) == (job.state, job.restart, job.attempt)


# Requests


def test_a_cancel_before_the_backend_has_it_needs_no_backend(bench: Bench) -> None:
    job = bench.submit(hold=True)
    bench.settle()
    bench.ask(job)
    bench.settle()

    assert (State.CANCELLED, [Verdict.DONE]) == (job.state, settled(bench, job))
    assert [] == bench.world.called("drover_submit")


def test_a_cancel_of_a_queued_job_may_be_done_at_once(bench: Bench) -> None:
    job = bench.placed()
    bench.rewrite(control=answer(Verdict.DONE))
    bench.ask(job)
    bench.settle()

    assert (State.CANCELLED, [Verdict.DONE]) == (job.state, settled(bench, job))


def test_a_cancel_of_a_running_job_is_done_when_its_end_is_seen(bench: Bench) -> None:
    """That the signal was sent says nothing about the job."""
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, grace_s=3.0)
    bench.advance(2)
    assert (State.RUNNING, []) == (job.state, settled(bench, job))
    bench.world.end(job.record.token, exit_code=None, signal=15)
    bench.advance(5)

    assert (State.CANCELLED, 15, [Verdict.DONE]) == (
        job.state,
        job.outcome.signal,
        settled(bench, job),
    )
    ((order,),) = bench.world.called("drover_control")
    assert (Verb.CANCEL, 3.0) == (order.request.verb, order.request.grace_s)


def test_a_cancel_that_comes_too_late_says_so(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.world.end(job.record.token, 0)
    bench.ask(job)
    bench.advance(5)

    assert (State.SUCCEEDED, [Verdict.TOO_LATE]) == (job.state, settled(bench, job))


def test_a_cancel_without_effect_is_overdue(bench: Bench) -> None:
    """Who asked must not wait for ever; the job is told as what it is."""
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, grace_s=1.0)
    bench.advance(70)

    assert (State.RUNNING, [Verdict.OVERDUE]) == (job.state, settled(bench, job))


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
        settled(bench, job),
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

    assert (State.QUEUED, [Verdict.DONE]) == (job.state, settled(bench, job))


def test_a_new_job_can_be_held_before_it_is_looked_at(bench: Bench) -> None:
    job = bench.submit()
    bench.ask(job, Verb.HOLD)
    bench.settle()

    assert (State.WAITING, []) == (job.state, bench.world.called("drover_submit"))


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
    assert (State.RUNNING, []) == (job.state, settled(bench, job))
    bench.world.see(job.record.token, Phase.SUSPENDED)
    bench.advance(5)

    assert (State.SUSPENDED, [Verdict.DONE]) == (job.state, settled(bench, job))


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
    assert [Verdict.DONE if may_run_twice else Verdict.REFUSED] == settled(bench, job)


# Time


def test_a_deadline_ends_what_runs(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING, deadline=bench.clock.time() + 50)
    bench.advance(45)
    assert [] == bench.world.called("drover_control")
    bench.advance(10)
    ((order,),) = bench.world.called("drover_control")
    assert ("engine", Verb.CANCEL) == (order.request.by, order.request.verb)
    bench.world.end(job.record.token, exit_code=None, signal=15, reason=Reason.CANCELLED)
    bench.advance(5)

    assert (State.FAILED, Reason.DEADLINE) == (job.state, job.outcome.reason)


@pytest.mark.parametrize("fields", [{"hold": True}, {"not_before": 1_700_000_500.0}])
def test_a_deadline_ends_what_waits(bench: Bench, fields: dict[str, Any]) -> None:
    job = bench.submit(deadline=bench.clock.time() + 50, retry=Retry(attempts=3), **fields)
    bench.advance(60)

    assert (State.FAILED, Reason.DEADLINE, 1) == (job.state, job.outcome.reason, job.attempt)


def test_a_job_does_not_start_before_its_time(bench: Bench) -> None:
    job = bench.submit(not_before=bench.clock.time() + 50)
    bench.advance(49)
    assert State.WAITING is job.state
    bench.advance(2)

    assert State.QUEUED is job.state


def test_a_job_that_expired_is_forgotten(bench: Bench) -> None:
    job = bench.placed(expires_after=100)
    bench.world.end(job.record.token)
    bench.advance(50)
    assert State.SUCCEEDED is job.state
    bench.advance(100)

    assert [] == bench.session.jobs()
    ((attempt,),) = bench.world.called("drover_forget")
    assert (job.id, 1) == (attempt.job_id, attempt.number)


def test_a_wall_clock_that_jumps_back_holds_nothing_up(bench: Bench) -> None:
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    bench.clock.jump(-3600)
    bench.world.end(job.record.token)
    bench.advance(5)

    assert State.SUCCEEDED is job.state


# Jobs that wait for jobs


def after(*jobs: Any, condition: Condition = Condition.SUCCEEDED) -> dict[str, Any]:
    return {"after": [Dependency(job=job.id, condition=condition) for job in jobs]}


@pytest.mark.parametrize(
    ("condition", "code", "expected"),
    [
        (Condition.SUCCEEDED, 0, State.QUEUED),
        (Condition.SUCCEEDED, 1, State.FAILED),
        (Condition.FAILED, 0, State.FAILED),
        (Condition.FAILED, 1, State.QUEUED),
        (Condition.ENDED, 0, State.QUEUED),
        (Condition.ENDED, 1, State.QUEUED),
    ],
)
def test_a_dependency_lets_go_or_ends(
    bench: Bench, condition: Condition, code: int, expected: State
) -> None:
    first = bench.placed(Phase.RUNNING)
    second = bench.submit(**after(first, condition=condition))
    bench.settle()
    assert State.WAITING is second.state
    bench.world.end(first.record.token, code)
    bench.advance(5)

    assert expected is second.state
    if expected is State.FAILED:
        assert Reason.DEPENDENCY_FAILED is second.outcome.reason
        assert first.id in second.outcome.message


def test_a_chain_fails_to_its_end(bench: Bench) -> None:
    first = bench.placed(Phase.RUNNING)
    chain = [first]
    for _ in range(5):
        chain.append(bench.submit(**after(chain[-1])))
    bench.world.end(first.record.token, 1)
    bench.advance(5)

    assert [State.FAILED] * 6 == [job.state for job in chain]


def test_a_job_waits_for_all(bench: Bench) -> None:
    first, second = bench.placed(Phase.RUNNING), bench.placed(Phase.RUNNING)
    third = bench.submit(**after(first, second))
    bench.world.end(first.record.token)
    bench.advance(5)
    assert State.WAITING is third.state
    bench.crash()
    bench.world.end(second.record.token)
    bench.advance(5)

    assert State.QUEUED is third.state


def test_an_end_that_came_before_the_question_counts(bench: Bench) -> None:
    first = bench.placed(Phase.RUNNING)
    bench.world.end(first.record.token)
    bench.advance(5)
    second = bench.submit(**after(first))
    bench.settle()

    assert State.QUEUED is second.state


def test_an_array_is_waited_for_as_a_whole(bench: Bench) -> None:
    array = bench.session.submit(["x"], array=Array(indices=3))
    bench.settle()
    second = bench.submit(**after(array))
    bench.settle()
    for element in array:
        assert State.WAITING is second.state
        bench.world.end(element.record.token)
        bench.advance(5)

    assert State.QUEUED is second.state


def test_behind_a_lost_job_one_waits_until_somebody_knows(bench: Bench) -> None:
    """LOST is neither success nor failure: nothing may follow from it."""
    bench.capable(missing_grace_s=5.0)
    first = bench.placed(Phase.RUNNING)
    second = bench.submit(**after(first))
    bench.world.rows.clear()
    bench.advance(30)
    assert (State.LOST, State.WAITING) == (first.state, second.state)
    assert [first] == second.blockers()
    first.resolve(State.SUCCEEDED)
    bench.settle()

    assert State.QUEUED is second.state


def test_a_retry_of_the_first_opens_the_way(bench: Bench) -> None:
    first = bench.placed(Phase.RUNNING, retry=Retry(attempts=2))
    second = bench.submit(**after(first))
    bench.world.end(first.record.token, 1)
    bench.advance(5)
    assert State.WAITING is second.state
    bench.world.end(first.record.token, 0)
    bench.advance(5)

    assert State.QUEUED is second.state


# Transfers


def test_transfers_come_before_and_after(bench: Bench) -> None:
    bench.capable(stage_in=True, stage_out=True)
    job = bench.placed(Phase.RUNNING, inputs=[("a", "b")], outputs=[("c", "d")])
    bench.world.end(job.record.token)
    bench.advance(5)

    hooks = [hook for hook, _ in bench.world.log if hook != "drover_observe"]
    assert ["drover_stage_in", "drover_submit", "drover_stage_out"] == hooks[1:]
    assert State.SUCCEEDED is job.state


def test_inputs_that_do_not_arrive_end_the_job_unrun(bench: Bench) -> None:
    bench.capable(stage_in=True)
    bench.rewrite(stage_in=lambda _: None)
    job = bench.placed(inputs=[("a", "b")])

    assert (State.FAILED, Reason.STAGING_FAILED, []) == (
        job.state,
        job.outcome.reason,
        bench.world.runs,
    )


def test_outputs_that_do_not_arrive_keep_the_exit_code(bench: Bench) -> None:
    bench.capable(stage_out=True)
    bench.rewrite(
        stage_out=lambda all_: [
            StageAnswer(token=one.token, ok=False, message="disk full") for one in all_
        ]
    )
    job = bench.placed(Phase.RUNNING, outputs=[("c", "d")])
    bench.world.end(job.record.token, 0)
    bench.advance(5)

    assert (State.FAILED, Reason.STAGING_FAILED, 0) == (
        job.state,
        job.outcome.reason,
        job.outcome.exit_code,
    )
    assert "disk full" in job.outcome.message


def test_transfers_are_begun_again_after_a_crash(bench: Bench) -> None:
    bench.capable(stage_in=True)
    bench.world.dies["drover_stage_in"] = "before"
    job = bench.placed(inputs=[("a", "b")])
    assert State.STAGING_IN is job.state
    bench.advance(5)

    assert State.QUEUED is job.state


# Strangers' code


class Policy:
    """A retry policy and an observer in one."""

    def __init__(self, delay_s: float | None, *, fail: bool = False) -> None:
        self.delay_s, self.fail = delay_s, fail
        self.heard: list[tuple[str, str]] = []
        self.ended: list[State] = []

    def _maybe_fail(self) -> None:
        if self.fail:
            message = "oops"
            raise RuntimeError(message)

    @hookimpl
    def drover_job_should_retry(self, job: JobRecord, outcome: Outcome) -> float | None:
        self._maybe_fail()
        return self.delay_s

    @hookimpl
    def drover_job_transition(self, job: JobRecord, event: Event) -> None:
        self._maybe_fail()
        self.heard.append((job.id, type(event).__name__))

    @hookimpl
    def drover_job_ended(self, job: JobRecord) -> None:
        self._maybe_fail()
        self.ended.append(job.state)


def with_policy(monkeypatch: pytest.MonkeyPatch, policy: Policy) -> None:
    monkeypatch.setattr("drover._engine._backends.wrappers", lambda *_: {"policy": policy})


@pytest.mark.parametrize(
    ("delay_s", "retry", "expected"),
    [
        (7.0, Retry(), State.WAITING),
        (-1.0, Retry(attempts=3), State.FAILED),
        (None, Retry(attempts=3), State.QUEUED),
        (None, Retry(), State.FAILED),
    ],
)
def test_a_policy_decides_on_the_retry(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    delay_s: float | None,
    retry: Retry,
    expected: State,
) -> None:
    with_policy(monkeypatch, Policy(delay_s))
    job = bench.placed(Phase.RUNNING, retry=retry)
    bench.world.end(job.record.token, 1)
    bench.advance(3)

    assert expected is job.state


def test_no_policy_retries_what_was_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_policy(monkeypatch, Policy(0.0))
    job = bench.placed(Phase.RUNNING)
    bench.ask(job)
    bench.settle()
    bench.world.end(job.record.token, exit_code=None, signal=9)
    bench.advance(5)

    assert State.CANCELLED is job.state


def test_no_policy_retries_what_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say that it does not run: a policy's guess would be a second run."""
    bench.capable(missing_grace_s=5.0)
    with_policy(monkeypatch, Policy(0.0))
    job = bench.placed(Phase.RUNNING)
    bench.world.rows.clear()
    bench.advance(30)

    assert (State.LOST, 1) == (job.state, job.attempt)


def test_observers_hear_every_fact_once_and_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(None)
    with_policy(monkeypatch, policy)
    job = bench.placed(Phase.RUNNING)
    bench.world.end(job.record.token)
    bench.advance(5)

    assert bench.names(job)[1:] == [name for _, name in policy.heard]
    assert [State.SUCCEEDED] == policy.ended


def test_a_failing_observer_harms_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(monkeypatch, Policy(None, fail=True))
    job = bench.placed(Phase.RUNNING, retry=Retry(attempts=2))
    bench.world.end(job.record.token, 1)
    bench.advance(5)

    assert (State.QUEUED, 2) == (job.state, job.attempt)


ODD_ROWS: list[dict[str, Any]] = [
    {"phase": "dancing"},
    {"phase": None},
    {"at": None},
    {"at": "noon"},
    {"at": float("nan")},
    {"native_id": 7},
    {"native_state": 3},
    {"native_state": None},
    {"started_at": "noon"},
    {"restart": "1"},
    {"hold": 3},
    {"suspended_by": 3, "phase": Phase.SUSPENDED},
    {"progress": 0.5},
    {"progress": Progress(fraction="half")},  # type: ignore[arg-type]
    {"source": "squeue"},
    {"submitted_at": "noon"},
    {"phase": Phase.ENDED, "end": "it ended"},
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=None, exit_code=0)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, exit_code="0")},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source="me", at=1.0, exit_code=0)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, message=3)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, reason="BAD")},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, usage={"a": 1})},  # type: ignore[arg-type]
]


@pytest.mark.parametrize("odd", ODD_ROWS, ids=" ".join)
def test_a_row_that_cannot_be_used_harms_one_job(bench: Bench, odd: dict[str, Any]) -> None:
    """What a plugin put into a row can be anything; everybody else's jobs go on."""
    one, other = bench.placed(), bench.placed()
    row = bench.world.see(one.record.token, Phase.RUNNING)
    bench.world.rows[row.token] = evolve(row, **odd)
    bench.world.end(other.record.token)
    bench.advance(5)

    assert State.SUCCEEDED is other.state
    bench.world.rows[row.token] = row
    bench.world.end(one.record.token, 3)
    bench.advance(5)
    bench.crash()
    bench.advance(40)

    assert (State.FAILED, 3) == (one.state, one.outcome.exit_code), bench.story()


@pytest.mark.parametrize("odd", [None, "row", 7, object()])
def test_what_is_no_row_at_all_is_passed_over(bench: Bench, odd: object) -> None:
    job = bench.placed()
    row = bench.world.end(job.record.token)
    bench.rewrite(observe=lambda _: Observed(observations=(odd, row)))
    bench.advance(5)

    assert State.SUCCEEDED is job.state


@pytest.mark.parametrize("hook", ["submit", "find", "observe", "control", "close"])
@pytest.mark.parametrize("odd", [7, "yes", [None], [object()], {"a": 1}])
def test_an_answer_that_cannot_be_used_is_no_answer(bench: Bench, hook: str, odd: object) -> None:
    """A hook that answers nonsense said nothing; it is asked again, and the engine lives."""
    bench.capable(claim=Claim.DIRECTORY if hook == "find" else Claim.SERVER_KEY)
    bench.rewrite(**{hook: lambda _: odd})
    if hook == "find":
        bench.rewrite(submit=lambda all_: [bench.world.accept(one) for one in all_] and None)
    job = bench.placed()
    bench.advance(10)
    bench.ask(job)
    bench.advance(10)
    bench.world.end(job.record.token)
    bench.advance(60)

    assert job.state in {State.SUCCEEDED, State.CANCELLED}, bench.story()
    assert 1 == len(bench.world.runs)


def test_an_unknown_word_is_kept_and_moves_nothing(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.world.see(job.record.token, Phase.UNKNOWN, native_state="SPECIAL_EXIT")
    bench.advance(5)

    assert (State.RUNNING, "SPECIAL_EXIT") == (job.state, job.native_state)


def test_a_row_about_nobody_is_passed_over(bench: Bench) -> None:
    job = bench.placed()
    row = bench.world.rows[job.record.token]
    strangers = [
        evolve(row, token=token) for token in ("", "x", "s-j-1", "\udcff", f"{row.token}9")
    ]
    bench.rewrite(observe=lambda _: Observed(observations=(*strangers, row)))
    bench.advance(5)

    assert State.QUEUED is job.state


def test_observations_come_with_the_time_they_were_made(bench: Bench) -> None:
    job = bench.placed()
    started = bench.clock.time() - 20
    bench.world.see(job.record.token, Phase.RUNNING, started_at=started)
    bench.advance(5)

    assert started == job.started_at
    assert isinstance(bench.world.rows[job.record.token], Observation)
