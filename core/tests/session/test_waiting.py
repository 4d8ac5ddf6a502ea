"""Waiting for jobs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from session_hand import WAIT_S, Hand, poll

from drover import (
    Array,
    Condition,
    Dependency,
    Job,
    JobArray,
    JobFailed,
    JobSpec,
    Session,
    State,
    Verb,
    WaitTimeoutError,
)
from drover.errors import (
    UnknownJobError,
)
from drover.session._waiting import MANY, Waiter
from drover.session._watch import Watch

Submit = Callable[..., Job]


# Waiting


def test_wait_for_one(submit: Submit, hand: Hand) -> None:
    job = submit()
    hand.end(job, 3)

    assert (3, State.FAILED) == (job.wait(WAIT_S).exit_code, job.state)
    with pytest.raises(JobFailed, match="exit code 3"):
        job.wait(check=True)


def test_wait_for_all_keeps_the_order(session: Session, submit: Submit, hand: Hand) -> None:
    jobs = [submit() for _ in range(4)]
    for job in reversed(jobs):
        hand.end(job)

    assert (jobs, []) == session.wait(jobs, WAIT_S)


def test_wait_for_any_gives_what_ended(session: Session, submit: Submit, hand: Hand) -> None:
    first, second, third = submit(), submit(), submit()
    hand.end(second)

    done, pending = session.wait([first, second, third], WAIT_S, when="any")

    assert ([second], [first, third]) == (done, pending)
    assert ([second], [first]) == session.wait([second, first], 0, when="any")


@pytest.mark.parametrize("jump", [-3600.0, 3600.0], ids=["back", "forwards"])
def test_a_timeout_is_a_duration(
    session: Session, submit: Submit, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """The clock is set while somebody waits: not an hour longer, and not a moment shorter."""
    job, told = submit(), time.time
    jumps_at = time.monotonic() + 0.1
    monkeypatch.setattr(
        time, "time", lambda: told() + (jump if time.monotonic() > jumps_at else 0.0)
    )
    began = time.monotonic()

    assert ([], [job]) == session.wait(job, 0.5)
    assert 0.5 <= time.monotonic() - began < WAIT_S


def test_wait_that_times_out_says_what_is_left(session: Session, submit: Submit) -> None:
    job = submit()

    assert ([], [job]) == session.wait([job], 0.05)
    with pytest.raises(WaitTimeoutError, match=r"still .* after 0\.05 s") as caught:
        job.wait(0.05)
    assert job.id == caught.value.job_id


def test_wait_for_nothing_is_over(session: Session) -> None:
    assert ([], []) == session.wait([])
    assert [] == list(session.as_completed([]))


def test_wait_takes_ids_arrays_and_jobs(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    array = session.submit(["x"], array=Array(indices=2))
    assert isinstance(array, JobArray)
    for one in (job, *array):
        hand.end(one)
    done, _ = session.wait([job.id[:8], array], WAIT_S)

    assert [job, *array] == done
    assert [f"{array.id}.0"] == [one.id for one in session.wait(f"{array.id}.0", WAIT_S)[0]]


def test_wait_for_an_unknown_job_is_refused(session: Session) -> None:
    with pytest.raises(UnknownJobError):
        session.wait(["nope"], WAIT_S)


def test_as_completed_gives_each_once_in_the_order_of_ends(
    session: Session, submit: Submit, hand: Hand
) -> None:
    jobs = [submit() for _ in range(3)]
    seen: list[Job] = []
    order = [jobs[1], jobs[2], jobs[0]]
    hand.end(order[0])
    for job in session.as_completed(jobs, WAIT_S):
        seen.append(job)
        if len(seen) < 3:
            hand.end(order[len(seen)])

    assert order == seen


def test_as_completed_ends_with_its_time(session: Session, submit: Submit) -> None:
    assert [] == list(session.as_completed([submit()], 0.05))


def test_many_threads_wait_for_one_job(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(job.wait, WAIT_S) for _ in range(8)]
        hand.end(job, 5)

        assert [5] * 8 == [one.result(WAIT_S).exit_code for one in waits]


def test_behind_a_lost_job_wait_returns_and_names_it(
    session: Session, submit: Submit, hand: Hand
) -> None:
    """Nothing will ever come: who waits must learn what somebody has to decide."""
    first = submit()
    second = submit(after=[first.id])
    third = submit(after=[Dependency(job=second.id, condition=Condition.ENDED)])
    hand.lose(first)

    begun = time.monotonic()
    done, pending = session.wait([first, second, third], WAIT_S)

    assert ([first], [second, third]) == (done, pending)
    assert time.monotonic() - begun < WAIT_S / 2, "it waited for what cannot come"
    assert [first] == third.blockers()
    with pytest.raises(WaitTimeoutError, match=f"behind job {first.id}"):
        third.wait(WAIT_S)
    first.resolve(State.SUCCEEDED, "saw its results")
    for job in (second, third):
        hand.end(job)

    assert ([second, third], []) == session.wait([second, third], WAIT_S)


def test_a_job_that_was_purged_is_not_waited_for(
    session: Session, submit: Submit, hand: Hand
) -> None:
    """It ended and is forgotten between two looks: nobody will tell of it again."""
    job, other = submit(), submit()
    waiter = Waiter(session, [job, other])
    hand.end(job)
    job.wait(WAIT_S)
    session.purge(jobs=[job])
    assert waiter.look()

    assert [job.id] == waiter.take_ended()
    assert waiter.pending


def test_the_last_ends_are_told_without_a_rest(
    session: Session, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """News gather while many are left; after the last there are none to gather."""
    specs = [JobSpec(argv=["x"])] * (MANY + 6)
    jobs = [job for job in session.submit_many(specs) if isinstance(job, Job)]
    poll(lambda: len(hand.attempts) == len(jobs))
    rests: list[int] = []

    def end_all(*_: object) -> None:
        for job in jobs:
            hand.end(job)
        poll(lambda: session.counts() == {State.SUCCEEDED: len(jobs)})

    monkeypatch.setattr(Watch, "rest", lambda: rests.append(1))
    monkeypatch.setattr(Watch, "wait", end_all)

    assert (jobs, []) == session.wait(jobs, WAIT_S)
    assert rests == []


def test_many_behind_many_are_waited_for_quickly(session: Session, hand: Hand) -> None:
    """Each of ten thousand would be looked up behind each of ten thousand: for days."""
    hand.at_once = True
    first = session.submit(["x"], array=Array(indices=300))
    lost = session.submit(["x"], array=Array(indices=300), hold=True)
    second = session.submit(["x"], array=Array(indices=300), after=[first.id, lost.id])
    third = session.submit(["x"], array=Array(indices=300), after=second)
    assert isinstance(first, JobArray)
    assert isinstance(lost, JobArray)
    hand.at_once = False
    session.ask(lost[7], Verb.RELEASE)
    hand.lose(lost[7])
    lost[7].wait(WAIT_S)
    first.wait(WAIT_S)
    begun = time.monotonic()
    done, pending = session.wait([second, third])

    assert (0, 600) == (len(done), len(pending))
    assert [lost[7]] == pending[-1].blockers()
    assert time.monotonic() - begun < 1.0


def test_a_job_that_is_lost_between_two_looks_has_ended(submit: Submit, hand: Hand) -> None:
    """It is no job that waits behind a LOST one, and would be told as one that has not ended."""
    first = submit()
    second = submit(after=[first.id])
    waiter = Waiter(first.session, [first, second])
    hand.lose(first)
    poll(lambda: first.state is State.LOST, first)
    deadline = time.monotonic() + WAIT_S

    assert [[first.id]] == list(waiter.run(deadline, until_any=False))
    assert waiter.pending
