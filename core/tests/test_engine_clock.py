"""The wall clock is set, by an hour forwards or back: what counts by duration does not notice."""

from typing import Any

import pytest

from drover.models import (
    Answer,
    Claim,
    EndReport,
    Observed,
    Phase,
    Retry,
    Source,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover.states import State

Bench = Any
HOUR = 3600.0
BOTH = pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forwards"])


def failed_once(bench: Bench) -> Any:
    """Give a job whose second attempt waits for half a minute."""
    job = bench.placed(Phase.RUNNING, retry=Retry(attempts=2, backoff_s=30.0))
    bench.world.end(job.record.token, 1)
    bench.advance(1)
    assert (State.WAITING, 2) == (job.state, job.attempt), bench.story()
    return job


@BOTH
def test_a_retry_delay_is_a_duration(bench: Bench, jump: float) -> None:
    """It must not come at once because the clock was put right, nor an hour late."""
    job = failed_once(bench)
    bench.clock.jump(jump)
    bench.advance(25)
    assert State.WAITING is job.state
    bench.advance(7)

    assert State.QUEUED is job.state, bench.story()
    assert [jump] == [fact.seconds for fact in bench.facts(job, "ClockSet")]


@BOTH
def test_a_clock_that_is_set_between_two_engines_is_noticed(bench: Bench, jump: float) -> None:
    job = failed_once(bench)
    bench.crash()
    bench.clock.jump(jump)
    bench.advance(25)
    assert State.WAITING is job.state
    bench.advance(7)

    assert State.QUEUED is job.state, bench.story()


def test_of_another_boot_nothing_is_concluded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock begins anew: its distance to the wall clock says nothing."""
    job = failed_once(bench)
    bench.crash()
    monkeypatch.setenv("DROVER_BOOT_ID", "another")
    bench.clock.ticks = 5.0
    bench.clock.now += 40.0
    bench.advance(2)

    assert State.QUEUED is job.state, bench.story()
    assert [] == bench.facts(job, "ClockSet")


@BOTH
def test_a_settle_time_is_a_duration(bench: Bench, jump: float) -> None:
    """An hour off, and the second channel is not heard, or everybody waits for it."""
    bench.capable(settle_s=60.0, push=True)
    job = bench.placed(Phase.RUNNING)
    report = EndReport(source=Source.QUEUE, at=bench.clock.time(), exit_code=1)
    seen = bench.world.see(job.record.token, Phase.ENDED, end=report, source=Source.QUEUE)
    bench.contexts[-1].report([seen])
    bench.settle()
    assert State.COMPLETING is job.state, bench.story()
    bench.clock.jump(jump)
    bench.advance(50)
    assert State.COMPLETING is job.state
    bench.advance(15)

    assert State.FAILED is job.state, bench.story()


@BOTH
def test_a_request_is_overdue_after_its_time(bench: Bench, jump: float) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.ask(job, grace_s=10.0)
    bench.advance(5)
    bench.clock.jump(jump)
    bench.advance(55)
    assert [] == bench.verdicts(job)
    bench.advance(15)

    assert [Verdict.OVERDUE] == bench.verdicts(job), bench.story()


def test_a_request_of_after_the_jump_is_left_as_it_is(bench: Bench) -> None:
    """A client reads the new time before the engine has noticed."""
    job = bench.placed(Phase.RUNNING)
    bench.clock.jump(-HOUR)
    bench.ask(job, grace_s=10.0)
    bench.advance(60)

    assert [] == bench.verdicts(job), bench.story()


@BOTH
def test_a_submission_without_an_answer_is_given_up_after_its_time(
    bench: Bench, jump: float
) -> None:
    bench.capable(claim=Claim.NONE, unknown_after_s=100.0)

    def lose(attempts: Any) -> Any:
        return [SubmitAnswer(token=one.token, answer=Answer.UNKNOWN) for one in attempts]

    bench.rewrite(submit=lose)
    job = bench.placed()
    assert State.SUBMITTING is job.state, bench.story()
    bench.clock.jump(jump)
    bench.advance(90)
    assert State.SUBMITTING is job.state, bench.story()
    bench.advance(60)

    assert State.LOST is job.state, bench.story()


def test_what_is_seen_after_a_jump_back_is_news(bench: Bench) -> None:
    """A job that is stopped shows it at once, and not when the old time has come again."""
    job = bench.placed(Phase.RUNNING)
    bench.world.see(job.record.token, Phase.SUSPENDED)
    bench.advance(2)
    assert State.SUSPENDED is job.state
    bench.clock.jump(-HOUR)
    bench.advance(2)
    bench.world.see(job.record.token, Phase.RUNNING)
    bench.advance(5)

    assert State.RUNNING is job.state, bench.story()


def test_an_absence_is_a_duration(bench: Bench) -> None:
    bench.capable(missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    bench.rewrite(observe=lambda _: Observed())
    bench.world.rows.clear()
    bench.advance(10)
    bench.clock.jump(HOUR)
    bench.advance(40)
    assert State.RUNNING is job.state
    bench.advance(20)

    assert State.LOST is job.state


def test_instants_are_the_walls(bench: Bench) -> None:
    """`not_before` and `deadline` name instants: who sets the clock moves them."""
    later = bench.submit(not_before=bench.clock.time() + 2 * HOUR)
    due = bench.placed(Phase.RUNNING, deadline=bench.clock.time() + 2 * HOUR)
    bench.clock.jump(HOUR)
    bench.advance(5)
    assert (State.WAITING, ()) == (later.state, due.pending)
    bench.clock.jump(HOUR)
    bench.advance(5)

    assert State.QUEUED is later.state, bench.story()
    assert [Verb.CANCEL] == [request.verb for request in due.pending]
    assert [] == bench.facts(later, "ClockSet")


def test_a_slow_second_is_no_jump(bench: Bench) -> None:
    job = failed_once(bench)
    bench.clock.jump(1.0)
    bench.advance(5)

    assert [] == bench.facts(job, "ClockSet")
