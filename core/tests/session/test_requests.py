"""Asking something of jobs."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from session_hand import WAIT_S, Hand, poll

from drover import (
    Array,
    Job,
    JobArray,
    Session,
    State,
    Verb,
    Verdict,
)
from drover.commandline.tokens import attempt_path
from drover.errors import (
    IllegalRequestError,
    InvalidSpecError,
    UnknownJobError,
)
from drover.session import _purging

Submit = Callable[..., Job]


# Asking


@pytest.mark.parametrize(
    ("verb", "facts"),
    [
        (Verb.CANCEL, {"grace_s": "soon"}),
        (Verb.CANCEL, {"grace_s": float("nan")}),
        (Verb.CANCEL, {"grace_s": float("inf")}),
        (Verb.CANCEL, {"grace_s": -1}),
        (Verb.CANCEL, {"grace_s": True}),
        (Verb.CANCEL, {"why": 7}),
        (Verb.SIGNAL, {"signal": "USR1"}),
        (Verb.SIGNAL, {"signal": 0}),
        (Verb.SIGNAL, {"signal": 65}),
        (Verb.SIGNAL, {"signal": 2.5}),
    ],
)
def test_what_no_engine_could_read_is_not_asked(
    session: Session, submit: Submit, hand: Hand, verb: Verb, facts: dict[str, Any]
) -> None:
    """A request that cannot be read back would stop this engine and every one after it."""
    job = submit()
    poll(lambda: job.state is State.RUNNING, job)

    with pytest.raises(InvalidSpecError, match=next(iter(facts))):
        session.ask([job], verb, timeout=0, **facts)

    assert () == job.record.pending
    hand.end(job)
    assert job.wait(WAIT_S).succeeded


def test_a_lost_job_is_not_resolved_for_a_reason_that_is_no_text(
    session: Session, submit: Submit
) -> None:
    with pytest.raises(InvalidSpecError, match="why"):
        session.resolve([submit()], State.FAILED, why=7)  # type: ignore[arg-type]


def test_a_cancel_says_what_came_of_it(session: Session, submit: Submit, hand: Hand) -> None:
    over, runs = submit(), submit()
    hand.end(over)
    over.wait(WAIT_S)
    poll(lambda: runs.state is State.RUNNING, runs)
    late, done = session.cancel([over, runs], timeout=WAIT_S)

    assert (Verdict.TOO_LATE, 0) == (late.verdict, late.outcome and late.outcome.exit_code)
    assert (Verdict.DONE, (7,), 15) == (
        done.verdict,
        done.survivors,
        done.outcome and done.outcome.signal,
    )
    assert State.CANCELLED is runs.state


def test_a_job_asked_twice_gets_one_verdict_each(session: Session, submit: Submit) -> None:
    job = submit()

    assert [Verdict.DONE] * 2 == [
        one.verdict for one in session.cancel([job, job.id], timeout=WAIT_S)
    ]


def test_verbs(submit: Submit) -> None:
    job = submit()
    poll(lambda: job.state is State.RUNNING, job)

    assert Verdict.DONE is job.suspend().verdict
    assert State.SUSPENDED is job.state
    assert Verdict.DONE is job.resume().verdict
    assert Verdict.DONE is job.signal(10).verdict
    assert Verdict.DONE is job.hold().verdict
    assert frozenset({"user"}) == job.held_by
    assert Verdict.DONE is job.release().verdict


def test_a_signal_needs_its_number(session: Session, submit: Submit) -> None:
    with pytest.raises(InvalidSpecError):
        session.ask(submit(), Verb.SIGNAL)
    with pytest.raises(InvalidSpecError):
        session.ask(submit(), Verb.CANCEL, signal=3)


def test_a_retry_opens_an_attempt(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with pytest.raises(IllegalRequestError, match="has not ended"):
        job.retry()
    hand.end(job, 1)
    job.wait(WAIT_S)
    session.retry(job)
    poll(lambda: hand.attempts[job.id].number == 2, job)
    hand.end(job, 0)

    assert (0, 2) == (job.wait(WAIT_S).exit_code, job.attempt)


@pytest.mark.parametrize("by_session", [False, True])
def test_a_handle_of_a_retried_job_tells_of_the_new_attempt(
    session: Session, submit: Submit, hand: Hand, by_session: bool
) -> None:
    """Who looks until it is final would take the old end for the new one."""
    job = submit()
    hand.end(job, 1)
    poll(lambda: job.state is State.FAILED, job)
    if by_session:
        session.retry(one for one in [job])
    else:
        job.retry()
    assert (False, 2) == (job.state.is_final, job.attempt)
    poll(lambda: hand.attempts[job.id].number == 2, job)
    hand.end(job, 0)
    poll(lambda: job.state.is_final, job)

    assert (State.SUCCEEDED, 0) == (job.state, job.outcome and job.outcome.exit_code)


def test_a_retry_of_a_lost_job_must_be_meant(submit: Submit, hand: Hand) -> None:
    job = submit()
    hand.lose(job)
    job.wait(WAIT_S)
    with pytest.raises(IllegalRequestError, match="may_run_twice"):
        job.retry()
    assert State.LOST is job.state
    job.retry(may_run_twice=True)
    poll(lambda: job.state is State.RUNNING, job)


def test_resolve_is_for_lost_jobs(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with pytest.raises(IllegalRequestError, match="only LOST"):
        job.resolve(State.FAILED)
    hand.lose(job)
    job.wait(WAIT_S)
    with pytest.raises(IllegalRequestError, match="SUCCEEDED, FAILED or CANCELLED"):
        job.resolve(State.RUNNING)
    job.resolve(State.FAILED, "no results")

    assert State.FAILED is job.state
    assert "no results" in str(session.job(job.id).wait(1).message)


def test_approval_is_for_those_that_wait_for_it(submit: Submit) -> None:
    with pytest.raises(IllegalRequestError, match="approval"):
        submit().approve()


def test_purge_forgets_what_is_over(session: Session, submit: Submit, hand: Hand) -> None:
    over, runs = submit(), submit()
    hand.end(over)
    over.wait(WAIT_S)
    with pytest.raises(IllegalRequestError):
        session.purge(jobs=[over, runs])

    assert 0 == session.purge(ended_before=0.0)
    assert (1, [runs]) == (session.purge(), session.jobs())
    with pytest.raises(UnknownJobError):
        session.job(over.id)


def _over(session: Session, submit: Submit, hand: Hand) -> tuple[Job, Path]:
    job = submit()
    hand.end(job, 1)
    job.wait(WAIT_S)
    folder = attempt_path(session.home, job.id, 1)
    folder.mkdir(parents=True, exist_ok=True)
    return job, folder


def test_a_job_that_was_retried_meanwhile_is_not_purged(
    session: Session, submit: Submit, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many the last are looked at much later: their folders would vanish under what runs."""
    job, folder = _over(session, submit, hand)
    choose = _purging._chosen

    def choose_and_retry(*given: Any) -> Any:
        chosen = choose(*given)
        job.retry()
        return chosen

    monkeypatch.setattr(_purging, "_chosen", choose_and_retry)
    assert 0 == session.purge()

    assert folder.exists()
    poll(lambda: hand.attempts[job.id].number == 2, job)
    hand.end(job, 0)
    assert 0 == job.wait(WAIT_S).exit_code


def test_no_job_is_retried_while_it_is_purged(
    session: Session, submit: Submit, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new attempt would lose its folder, its output and its claim."""
    job, folder = _over(session, submit, hand)
    forget = _purging._forget_outside
    raised: list[Exception] = []

    def retry() -> None:
        try:
            job.retry()
        except UnknownJobError as exc:
            raised.append(exc)

    second = threading.Thread(target=retry)

    def forget_slowly(*given: Any) -> None:
        second.start()
        second.join(0.3)
        forget(*given)

    monkeypatch.setattr(_purging, "_forget_outside", forget_slowly)
    assert 1 == session.purge()
    second.join(WAIT_S)

    assert (1, False) == (len(raised), folder.exists())


def test_a_job_named_twice_is_asked_once(session: Session, hand: Hand) -> None:
    """An array and one of its elements, and none would be retried: it "has not ended"."""
    array = session.submit(["x"], array=Array(indices=2))
    assert isinstance(array, JobArray)
    for element in array:
        hand.end(element, 1)
    session.wait(array, WAIT_S)
    assert [array[0], array[1], array[1]] == session.retry([array, array[1]])
    poll(lambda: {2} == {hand.attempts[element.id].number for element in array})
    for element in array:
        hand.lose(element)
    session.wait(array, WAIT_S)
    session.resolve([array, array[1]], State.FAILED)

    assert {State.FAILED: 2} == array.counts
