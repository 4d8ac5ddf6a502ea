"""Handing jobs in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from session_hand import WAIT_S, Hand

import drover
from drover import (
    Array,
    Condition,
    Dependency,
    Job,
    JobArray,
    JobSpec,
    Session,
    State,
    UserError,
)
from drover.errors import (
    InvalidSpecError,
    KeyConflictError,
    StoreUnusableError,
    UnknownBackendError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
)
from drover.session import _storing

Submit = Callable[..., Job]


# Submitting


def test_a_key_gives_the_same_job_again(session: Session) -> None:
    """A client that was killed after its submission can simply run again."""
    first = session.submit(["x"], key="mine", tags=["t"])

    assert first.id == session.submit(["x"], key="mine", tags=["t"]).id
    assert 1 == len(session.jobs())
    with pytest.raises(KeyConflictError, match=first.id):
        session.submit(["y"], key="mine")
    with pytest.raises(KeyConflictError):
        session.submit(["x"], key="mine", tags=["t"], env={"A": "b"})


def test_a_key_gives_the_same_array_again(session: Session) -> None:
    first = session.submit(["x"], key="mine", array=Array(indices=3))
    again = session.submit(["x"], key="mine", array=Array(indices=3))

    assert (first.id, 3) == (again.id, len(session.jobs()))
    assert isinstance(again, JobArray)


def test_a_key_holds_between_threads(session: Session) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: session.submit(["x"], key="mine"), range(16)))

    assert 1 == len({job.id for job in jobs})


def test_submit_many_gives_handles_in_order(session: Session, hand: Hand) -> None:
    hand.at_once = True
    specs = [JobSpec(argv=["x"], name=f"n{k}") for k in range(50)]
    specs[7] = JobSpec(argv=["x"], name="n7", array=Array(indices=2))
    made = session.submit_many(specs)

    assert [f"n{k}" for k in range(50)] == [one.name for one in made]
    assert isinstance(made[7], JobArray)
    done, _ = session.wait(made, WAIT_S)
    assert {State.SUCCEEDED: 51} == session.counts()
    assert 51 == len(done)


def test_an_engine_may_begin_while_the_rest_is_stored(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of the first few when they are durable, and of more and more."""
    stored: list[int] = []
    monkeypatch.setattr(_storing, "FIRST_PIECE", 2)
    monkeypatch.setattr(_storing, "PIECE", 10)
    monkeypatch.setattr(session, "ring", lambda: stored.append(len(session.jobs())) or True)

    session.submit_many([JobSpec(argv=["x"]) for _ in range(25)])

    assert stored == [2, 10, 20, 25]


def test_a_call_that_is_cut_off_can_be_repeated(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle: what is stored is told, and a key keeps it single."""
    monkeypatch.setattr(_storing, "FIRST_PIECE", 2)
    specs, keys = [JobSpec(argv=["x"]) for _ in range(5)], [f"k{n}" for n in range(5)]
    write, room = session.store.write, iter([True, False])

    def full(*given: Any) -> Any:
        if not next(room, True):
            raise StoreUnusableError("home", "the disk is full")
        return write(*given)

    monkeypatch.setattr(session.store, "write", full)
    with pytest.raises(StoreUnusableError) as caught:
        session.submit_many(specs, keys=keys)

    assert ["of 5, the first 2 are stored"] == caught.value.__notes__
    stored = [job.id for job in session.jobs()]
    again = session.submit_many(specs, keys=keys)
    assert set(stored) < {job.id for job in again}
    assert keys == [job.record.key for job in again if isinstance(job, Job)]
    assert 2 == len(stored) == len(session.jobs()) - 3


def test_some_of_many_may_have_keys(session: Session) -> None:
    """Those without are stored each time; an array is one."""
    specs = [JobSpec(argv=["x"]), JobSpec(argv=["y"], array=Array(indices=2)), JobSpec(argv=["z"])]
    first = session.submit_many(specs, keys=["a", "b", None])
    second = session.submit_many([specs[2], *specs], keys=[None, "a", "b", None])

    assert [one.id for one in first[:2]] == [one.id for one in second[1:3]]
    assert 5 == len({one.id for one in (*first, *second)})
    assert isinstance(second[2], JobArray)


@pytest.mark.parametrize("keys", [["a"], ["a", "a"], "ab", ["a", ""], ["a", 3]])
def test_keys_that_cannot_be_are_refused(session: Session, keys: Any) -> None:
    """One short, or one twice, and a job would get another's key."""
    with pytest.raises(InvalidSpecError):
        session.submit_many([JobSpec(argv=["x"])] * 2, keys=keys)
    assert [] == session.jobs()


def test_a_key_of_something_else_stores_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found before the first of many is stored."""
    monkeypatch.setattr(_storing, "FIRST_PIECE", 1)
    session.submit(["other"], key="c")
    with pytest.raises(KeyConflictError):
        session.submit_many([JobSpec(argv=["x"])] * 3, keys=["a", "b", "c"])

    assert 1 == len(session.jobs())


def test_submit_many_stores_nothing_if_one_is_wrong(session: Session) -> None:
    specs = [JobSpec(argv=["x"]), JobSpec(argv=["x"], container="c")]

    with pytest.raises(UnsupportedFieldError):
        session.submit_many(specs)
    assert [] == session.jobs()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"container": "c"}, UnsupportedFieldError),
        ({"container": "c", "allow": ["container"]}, UnsupportedFieldError),
        ({"resources": drover.Resources(queue="q")}, UnsupportedFieldError),
        ({"launcher": "mpirun"}, UnsupportedFieldError),
        ({"bakend": "x"}, UnknownFieldError),
        ({"backend": "nowhere"}, UnknownBackendError),
        ({"tags": 3}, InvalidSpecError),
        ({"after": ["nope"]}, UnknownJobError),
        ({"parent": "nope"}, UnknownJobError),
        ({"after": [""]}, UnknownJobError),
        ({"key": ""}, InvalidSpecError),
        ({"key": 7}, InvalidSpecError),
        ({"key": "k" * 10 * 2**20}, InvalidSpecError),
        ({"backend": ""}, InvalidSpecError),
        ({"backend": 7}, InvalidSpecError),
        ({"allow": 7}, InvalidSpecError),
        ({"allow": ["queue", 7]}, InvalidSpecError),
    ],
)
def test_what_cannot_be_is_refused_and_not_stored(
    session: Session, fields: dict[str, Any], error: type[UserError]
) -> None:
    with pytest.raises(error):
        session.submit(["x"], **fields)
    assert [] == session.jobs()


@pytest.mark.parametrize("wrong", ["echo", 7, None, {"argv": ["x"]}])
def test_submit_many_takes_no_words(session: Session, wrong: Any) -> None:
    """One wrong entry is named as that, and nothing is stored of the others."""
    with pytest.raises(InvalidSpecError, match="argv"):
        session.submit_many([JobSpec(argv=["x"]), wrong])
    assert [] == session.jobs()


@pytest.mark.parametrize("wrong", [7, b"a", None])
def test_an_id_is_text(session: Session, wrong: Any) -> None:
    with pytest.raises(InvalidSpecError, match="id="):
        session.job(wrong)


def test_a_state_may_be_a_word(session: Session, submit: Submit) -> None:
    job = submit(hold=True)

    assert [job] == session.jobs(state=["NEW", State.WAITING])
    assert [] == session.jobs(state="SUCCEEDED")
    with pytest.raises(InvalidSpecError, match="state='RUNING'"):
        session.jobs(state="RUNING")


def test_an_ignored_field_may_be_allowed(session: Session) -> None:
    resources = drover.Resources(queue="q")
    for allow in (["resources.queue"], "resources.queue"):
        assert ("resources.queue",) == (
            session.submit(["x"], resources=resources, allow=allow).record.allow
        )


def test_one_job_has_one_condition(session: Session, submit: Submit) -> None:
    """Of two the store would keep one, and nobody knows which."""
    first = submit()
    both = [Dependency(job=first.id), Dependency(job=first.id[:10], condition=Condition.ENDED)]

    with pytest.raises(InvalidSpecError, match="after"):
        session.submit(["x"], after=both)


def test_shortened_ids_are_completed_when_stored(submit: Submit) -> None:
    """Tomorrow the short one may fit another job."""
    first = submit()
    second = submit(after=[first.id[:10]], parent=first.id[:9])

    assert ((Dependency(job=first.id),), first.id) == (second.spec.after, second.spec.parent)


def test_a_plan_stores_nothing(session: Session) -> None:
    plan = session.plan(["x"], launcher="mpirun")

    assert ("hand", ("x",)) == (plan.backend, plan.command)
    assert ["launcher"] == [entry.field for entry in plan.refused()]
    assert [] == session.jobs()
