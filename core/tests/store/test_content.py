"""What a store holds: jobs, arrays, facts; read back as they were written."""

import sqlite3
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from drover import events as e
from drover._store import (
    Draft,
    JobFilter,
)
from drover.errors import (
    AmbiguousJobError,
    IllegalTransitionError,
    StoreUnusableError,
    UnknownJobError,
)
from drover.models import (
    Array,
    Dependency,
    JobSpec,
    Outcome,
    Reason,
    Request,
    Resources,
    Source,
    Started,
    Verb,
)
from drover.states import State

Open = Callable[..., Any]


def draft(at: float = 1.0, **fields: Any) -> Draft:
    backend, key = fields.pop("backend", "b"), fields.pop("key", None)
    spec = JobSpec(**{"argv": ["x"], **fields})
    return Draft(event=e.Submitted(at=at, spec=spec, backend=backend, key=key))


def placed() -> tuple[e.Event, ...]:
    return (
        e.SubmitIntended(at=2.0, attempt=1, token="t", batch="b"),
        e.Accepted(at=3.0, attempt=1, native_id="7"),
    )


def ended(code: int = 0) -> e.Ended:
    outcome = Outcome(reason=Reason.EXITED, started=Started.YES, exit_code=code)
    return e.Ended(at=5.0, attempt=1, outcome=outcome)


def test_what_was_handed_in_is_read_back(store: Any) -> None:
    spec = JobSpec(
        argv=["x", "\udcff"], name="n", tags=["t"], resources=Resources(cpus=3), not_before=9.0
    )
    (job_id,) = store.insert(
        Draft(event=e.Submitted(at=1.0, spec=spec, backend="b", key="k", allow=("queue",)))
    )
    made = store.job(job_id)

    assert (spec, "b", "k", ("queue",), State.NEW, 1) == (
        made.spec,
        made.backend,
        made.key,
        made.allow,
        made.state,
        made.n,
    )
    assert (1.0, 9.0) == (made.submitted_at, made.ready_at)


def test_an_array_is_one_line(store: Any) -> None:
    """A million elements are one fact: they were handed in as one."""
    (array_id,) = store.insert(draft(array=Array(indices=range(0, 2000, 2)), tags=["t"]))

    with store.read() as reader:
        first, size, fact = reader.array(array_id)
        rows = reader.elements(array_id)
        assert 1 == reader.last_seq()
    assert (1, 1000) == (first, size)
    assert fact.spec.array is not None
    assert [f"{array_id}.{k}" for k in range(0, 2000, 2)] == [row[0] for row in rows]
    assert (array_id, 14) == (
        store.job(f"{array_id}.14").array_id,
        store.job(f"{array_id}.14").array_index,
    )


def test_history_of_an_element_begins_with_the_arrays_fact(store: Any) -> None:
    (array_id,) = store.insert(draft(array=Array(indices=3)))
    element = store.record(f"{array_id}.1", *placed())

    with store.read() as reader:
        names = [entry.name for entry in reader.history(element)]
    assert ["Submitted", "SubmitIntended", "Accepted"] == names


def test_a_refused_fact_undoes_its_transaction(store: Any) -> None:
    """Half of what was decided together must never be found."""
    (job_id,) = store.insert(draft())
    before = store.job(job_id)

    with pytest.raises(IllegalTransitionError):
        store.record(job_id, *placed(), e.Resumed(at=4.0, attempt=1))

    assert before == store.job(job_id)
    with store.read() as reader:
        assert 1 == reader.last_seq()


def test_an_exception_in_a_transaction_undoes_it(store: Any) -> None:
    def insert_and_fail() -> None:
        with store.write() as (writer, _):
            writer.insert(store.prepare([draft()], 1.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()

    with store.read() as reader:
        assert ([], 0) == (reader.ids(JobFilter()), reader.last_seq())


def test_a_full_disk_is_told_and_loses_nothing(store: Any) -> None:
    """What was committed stays; what was not can be tried again when there is room."""
    (job_id,) = store.insert(draft())
    pages = store._sql.execute("PRAGMA page_count").fetchone()[0]
    store._sql.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreUnusableError, match="free some space"):
        store.insert(*(draft(argv=["x" * 4000]) for _ in range(50)))

    assert job_id == store.job(job_id).id
    store._sql.execute("PRAGMA max_page_count = 1000000")
    assert 50 == len(store.insert(*(draft(argv=["x" * 4000]) for _ in range(50))))


def test_listing_is_newest_first_and_can_be_paged(store: Any) -> None:
    ids = store.insert(*(draft() for _ in range(5)))

    with store.read() as reader:
        page = reader.listing(JobFilter(), 2)
        rest = reader.listing(JobFilter(), None, after_n=page[-1].n)
    assert ids[::-1] == [row.id for row in page + rest]


def test_filters(store: Any) -> None:
    plain, tagged, named, elsewhere, array = store.insert(
        draft(),
        draft(tags=["t", "\udcff"]),
        draft(name="n \udcff"),
        draft(backend="c"),
        draft(array=Array(indices=2)),
    )
    store.record(plain, *placed(), ended(3))
    elements = [f"{array}.0", f"{array}.1"]

    def ids(**which: Any) -> list[str]:
        with store.read() as reader:
            return reader.ids(JobFilter(**which))

    assert [tagged] == ids(tag="t")
    assert [tagged] == ids(tag="\udcff")
    assert [named] == ids(name="n \udcff")
    assert [elsewhere] == ids(backend="c")
    assert elements == ids(array=array)
    assert [plain] == ids(states=(State.FAILED,))
    assert [] == ids(states=())
    assert [] == ids(states=(State.FAILED,), tag="t")
    with store.read() as reader:
        assert {State.NEW: 5, State.FAILED: 1} == reader.counts(JobFilter())


def test_ids_may_be_shortened(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["abc1", "abd2", "xyz"])
    monkeypatch.setattr("drover._store._drafts.new_ids", lambda count: list(islice(names, count)))
    store.insert(draft(), draft(), draft(array=Array(indices=12)))

    with store.read() as reader:
        assert ("abc1", False) == reader.resolve("abc")
        assert ("xyz", True) == reader.resolve("x")
        assert ("xyz.1", False) == reader.resolve("xyz.1")
        assert ("xyz.11", False) == reader.resolve("xyz.11")
        with pytest.raises(AmbiguousJobError) as caught:
            reader.resolve("ab")
        assert ("abc1", "abd2") == caught.value.matches


@pytest.mark.parametrize("word", ["", "nope", "abc1.", "%", "\udcff", "\U0010ffff", "a\0", "abc1x"])
def test_an_id_that_is_none_is_unknown(
    store: Any, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("drover._store._drafts.new_ids", lambda count: ["abc1"] * count)
    store.insert(draft())

    with store.read() as reader, pytest.raises(UnknownJobError):
        reader.resolve(word)


def test_a_key_finds_its_job(store: Any) -> None:
    (job_id,) = store.insert(draft(key="k\udcff"))

    with store.read() as reader:
        assert (job_id, None) == (reader.by_key("k\udcff"), reader.by_key("other"))


def test_a_key_belongs_to_one_job(store: Any) -> None:
    store.insert(draft(key="k"))

    with pytest.raises(sqlite3.IntegrityError):
        store.insert(draft(key="k"))


def test_what_is_forgotten_is_gone(home: Path, store: Any) -> None:
    """A purge is asked for because of what stands there."""
    gone, kept = store.insert(
        draft(argv=["very secret word"], key="k", tags=["t"]), draft(after=["zzz"])
    )
    n = store.record(gone, *placed(), ended()).n
    with store.write() as (writer, _):
        writer.forget([n])

    with store.read() as reader:
        assert [kept] == reader.ids(JobFilter())
        assert (None, []) == (reader.by_key("k"), reader.ids(JobFilter(tag="t")))
        assert [kept] == [entry.job_id for entry in reader.entries(0, None)]
    tables = ("journal", "jobs", "keys", "tags", "dependencies")
    left = [store._sql.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables]
    assert [1, 1, 0, 0, 1] == left


def test_an_array_is_forgotten_with_its_last_element(store: Any) -> None:
    (array_id,) = store.insert(draft(array=Array(indices=2), key="k"))
    ns = [store.job(f"{array_id}.{k}").n for k in range(2)]

    with store.write() as (writer, _):
        writer.forget(ns[:1])
    store.check_replay()
    assert array_id == store.job(f"{array_id}.1").array_id
    with store.write() as (writer, _):
        writer.forget(ns[1:])

    with store.read() as reader:
        assert ([], None) == (reader.entries(0, None), reader.by_key("k"))


def test_forgetting_some_does_not_look_at_all(store: Any) -> None:
    """A purge of a hundred thousand with keys, or of as many arrays, would take days."""
    jobs = store.insert(*(draft(key=f"j{k}") for k in range(1000)))
    arrays = store.insert(*(draft(array=Array(indices=1), key=f"a{k}") for k in range(1000)))
    ns = [store.job(job_id).n for job_id in jobs[:100]]
    ns += [store.job(f"{array_id}.0").n for array_id in arrays[:100]]
    steps = list[int]()
    store._sql.set_progress_handler(lambda: steps.append(1000), 1000)
    with store.write() as (writer, _):
        writer.forget(ns)
    store._sql.set_progress_handler(None, 0)

    assert sum(steps) / len(ns) < 500, "instructions of SQLite for each"
    with store.read() as reader:
        left = [reader.by_key(f"{kind}{k}") for kind in "ja" for k in (0, 99, 100)]
    assert [None, None, jobs[100], None, None, arrays[100]] == left


def test_a_forgotten_position_is_not_given_to_another(store: Any) -> None:
    """`n` orders jobs and names tokens' jobs to the engine: a new job must not inherit one."""
    first, last = store.insert(draft(), draft())
    seen = store.job(last).n
    store.record(last, *placed(), ended())
    with store.write() as (writer, _):
        writer.forget([seen])

    (again,) = store.insert(draft())

    assert store.job(first).n < seen < store.job(again).n


def test_projections_are_what_the_journal_says(store: Any) -> None:
    one, two = store.insert(draft(hold=True, not_before=5.0), draft())
    request = Request(id="r", verb=Verb.CANCEL, by="me", at=4.0)
    store.record(two, *placed(), e.Started(at=4.0, attempt=1, source=Source.AGENT))
    store.record(two, e.ControlAsked(at=4.0, request=request))
    store.record(one, e.Deferred(at=2.0, why="a release"), e.HoldsSeen(at=3.0, hold=frozenset()))

    store.check_replay()
    assert (request,) == store.job(two).pending
    assert (frozenset(), None) == (store.job(one).hold, store.job(one).ready_at)


def test_a_projection_that_lies_is_found_out(open_store: Open) -> None:
    """The check of the doctor, and of every test here, must be able to fail."""
    store = open_store()
    (job_id,) = store.insert(draft())
    store.record(job_id, *placed())
    store._sql.execute("""UPDATE jobs SET record = '{"state":"FAILED"}'""")

    with pytest.raises(AssertionError):
        store.check_replay()


def test_dependencies_are_listed_until_they_are_met(store: Any) -> None:
    (first,) = store.insert(draft())
    (second,) = store.insert(draft(after=[Dependency(job=first)]))
    n = store.job(second).n

    with store.read() as reader:
        assert [(first, "succeeded")] == reader.dependencies_of(n)
        assert [(n, first, "succeeded")] == reader.dependents_of([first])
    with store.write() as (writer, _):
        writer.meet_dependencies(n, [first])
    with store.read() as reader:
        assert ([], []) == (reader.dependencies_of(n), reader.dependents_of([first]))


def test_turns_are_by_priority_then_age(store: Any) -> None:
    old, new, urgent, later, held, other = store.insert(
        draft(),
        draft(),
        draft(resources=Resources(priority=5)),
        draft(not_before=50.0),
        draft(hold=True),
        draft(backend="c"),
    )

    with store.read() as reader:
        turns = [row.id for row in reader.turns("b", 10)]
        assert [urgent, old, new] == [word for word in turns if word not in {later, held}]
        assert other not in turns
        assert [urgent] == [row.id for row in reader.turns("b", 1)]
