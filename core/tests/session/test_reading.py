"""Listing, events, handles."""

import threading
from collections.abc import Callable

import pytest
from session_hand import WAIT_S, Hand, poll

from drover import (
    Array,
    Job,
    JobArray,
    JournalEntry,
    Session,
    State,
)
from drover.errors import EngineUnavailableError

Submit = Callable[..., Job]


# Reading


def test_jobs_are_listed_newest_first(session: Session, submit: Submit, hand: Hand) -> None:
    old, new = submit(tags=["t"]), submit(name="n")
    hand.end(old)
    old.wait(WAIT_S)

    assert [new, old] == session.jobs()
    assert [new] == session.jobs(newest=1)
    assert [old] == session.jobs(tag="t")
    assert [new] == session.jobs(name="n")
    assert [old] == session.jobs(state=State.SUCCEEDED)
    assert [new, old] == session.jobs(state=list(State))
    assert [] == session.jobs(backend="local")
    assert {State.SUCCEEDED: 1} == session.counts(tag="t")


def test_events_can_be_paged(session: Session, submit: Submit, hand: Hand) -> None:
    hand.at_once = True
    jobs = [submit() for _ in range(3)]
    session.wait(jobs, WAIT_S)
    everything = list(session.events())
    pages: list[JournalEntry] = []
    while page := list(session.events(pages[-1].seq if pages else 0, limit=2)):
        pages += page

    assert everything == pages
    assert sorted(entry.seq for entry in everything) == [entry.seq for entry in everything]
    assert jobs[1].history() == list(session.events(job=jobs[1]))
    assert jobs[1].history()[1:3] == list(
        session.events(job=jobs[1], since=jobs[1].history()[0].seq, limit=2)
    )


def test_a_subscriber_hears_every_line(session: Session, submit: Submit, hand: Hand) -> None:
    heard: list[JournalEntry] = []

    def listen(entry: JournalEntry) -> None:
        heard.append(entry)
        if entry.name == "Started":
            message = "oops"
            raise RuntimeError(message)

    subscription = session.subscribe(listen)
    job = submit()
    hand.end(job)
    poll(lambda: "Ended" in [entry.name for entry in heard], job)
    subscription.close()
    submit()

    assert job.history() == heard


def test_a_subscriber_may_close_itself(session: Session, submit: Submit) -> None:
    closed = threading.Event()

    def listen(_entry: JournalEntry) -> None:
        subscription.close()
        closed.set()

    subscription = session.subscribe(listen)
    submit()

    assert closed.wait(WAIT_S)


def test_a_handle_compares_by_its_job(session: Session, submit: Submit) -> None:
    job = submit()

    assert {job} == {session.job(job.id)}
    assert job != submit()
    assert job.id in repr(job)


def test_an_array_is_a_collection_of_jobs(session: Session, hand: Hand) -> None:
    array = session.submit(["x"], name="n", array=Array(indices=[3, 1]))
    assert isinstance(array, JobArray)
    for job in array:
        hand.end(job)

    assert ([f"{array.id}.3", f"{array.id}.1"], 2) == ([job.id for job in array], len(array))
    assert (1, array.id) == (array[1].array_index, array[1].array_id)
    assert 2 == len(array.wait(WAIT_S)[0])
    assert {State.SUCCEEDED: 2} == array.counts
    with pytest.raises(IndexError, match="no index 0"):
        _ = array[0]


def test_a_subscription_outlives_what_keeps_it_from_reading(
    session: Session, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that cannot be started for a moment, and nobody is told of any end any more."""
    heard: list[str] = []
    troubles = [EngineUnavailableError(str(session.home), "no memory", "")] * 2

    def care() -> None:
        if troubles:
            raise troubles.pop()

    monkeypatch.setattr(session, "care", care)
    subscription = session.subscribe(lambda entry: heard.append(entry.job_id))
    poll(lambda: not troubles)
    job = submit()
    poll(lambda: job.id in heard, job)
    subscription.close()
