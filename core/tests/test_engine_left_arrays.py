"""Whole arrays that a backend waits for, on behalf of jobs and of arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from drover._engine import _dependencies
from drover.commandline import wrapper
from drover.models import (
    Array,
    Attempt,
    Condition,
    Dependency,
    Elements,
    Phase,
    Predecessor,
    Retry,
    Source,
    SubmitAnswer,
)
from drover.states import State

Bench = Any


@pytest.fixture
def able(bench: Bench) -> Bench:
    """Give a backend that can wait for whole arrays, and takes four attempts at a time."""
    bench.capable(dependencies=True, element_separator="_", max_batch=4)
    return bench


def after(*befores: Any, condition: Condition = Condition.SUCCEEDED) -> dict[str, Any]:
    return {
        "after": [Dependency(job=each.id, condition=condition) for each in befores],
        "native": {"scripted": {"dependencies": True}},
    }


def in_arrays(bench: Bench, *native_ids: str) -> None:
    """Let the next submissions become arrays of these ids at the backend."""

    def taking(native_id: str) -> Callable[[Sequence[Attempt]], list[SubmitAnswer]]:
        def take(attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
            answers: list[SubmitAnswer] = []
            for index, attempt in enumerate(attempts):
                told = bench.world.accept(attempt)
                name = f"{native_id}_{index}"
                bench.world.see(attempt.token, Phase.QUEUED, native_id=name)
                answers.append(evolve(told, native_id=name))
            return answers

        return take

    bench.rewrite_all("submit", [taking(native_id) for native_id in native_ids])


def array_of(bench: Bench, *native_ids: str, **fields: Any) -> Any:
    """Hand in an array and let it be placed."""
    in_arrays(bench, *native_ids)
    array = bench.session.submit(["x"], **{"array": Array(indices=3), **fields})
    bench.settle()
    return array


def expected(array: Any, *native_ids: str, **changes: Any) -> Predecessor:
    whole = Predecessor(
        job=array.id,
        token="",
        native_id="",
        condition=Condition.SUCCEEDED,
        native_ids=native_ids,
        elements=(Elements(attempt=1, indices="0-2"),),
    )
    return evolve(whole, **changes)


def last_submitted(bench: Bench) -> Sequence[Attempt]:
    attempts: Sequence[Attempt] = bench.world.called("drover_submit")[-1]
    return attempts


def test_an_array_is_named_as_one(able: Bench) -> None:
    """Ten thousand ids would be more than any command line takes."""
    array = array_of(able, "12")
    second = able.placed(**after(array, condition=Condition.FAILED))

    assert State.QUEUED is second.state
    (attempt,) = last_submitted(able)
    assert (expected(array, "12", condition=Condition.FAILED),) == attempt.predecessors


def test_an_array_in_parts_is_named_by_all_of_them(able: Bench) -> None:
    """What is more than a scheduler's array may hold went there as several."""
    array = array_of(able, "12", "13", array=Array(indices=(0, 5, 10, 15, 16, 18)))
    second = able.placed(**after(array))

    elements = (Elements(attempt=1, indices="0-15:5,16,18"),)
    assert (expected(array, "12", "13", elements=elements),) == second.record.predecessors


def test_what_was_handed_in_together_follows_each_other(able: Bench) -> None:
    """A single, an array, an array, and a single: all keep their place in the queue."""
    in_arrays(able, "11", "12", "13", "14")
    first = able.submit()
    second = able.session.submit(["x"], array=Array(indices=3), **after(first))
    third = able.session.submit(["x"], array=Array(indices=2), **after(second))
    last = able.submit(**after(third))
    able.settle()

    everyone = [first, *second, *third, last]
    assert [State.QUEUED] * 7 == [job.state for job in everyone]
    calls = able.world.called("drover_submit")
    assert [1, 3, 2, 1] == [len(attempts) for attempts in calls]
    assert [first.id, second.id, third.id] == [
        other.job for attempts in calls[1:] for other in attempts[0].predecessors
    ]
    assert [1, 1, 1, 1] == [len({each.predecessors for each in attempts}) for attempts in calls]


def test_behind_an_array_one_waits_until_all_of_it_is_there(able: Bench) -> None:
    """What is not placed yet has no id that could be named."""
    in_arrays(able, "12", "13")
    array = able.session.submit(["x"], array=Array(indices=3, max_running=2))
    second = able.placed(**after(array))
    assert State.WAITING is second.state

    able.world.end(array[0].record.token, source=Source.EXIT_RECORD)
    able.advance(able.world.capabilities.settle_s + 5)

    assert State.QUEUED is second.state
    assert (expected(array, "12", "13"),) == second.record.predecessors


def ended(bench: Bench, array: Any, index: int, code: int, source: Source) -> None:
    bench.world.end(array[index].record.token, code, source=source)
    bench.advance(bench.world.capabilities.settle_s + 5)
    assert array[index].state.ends_wait


@pytest.mark.parametrize(
    ("condition", "end", "asked"),
    [
        (Condition.SUCCEEDED, (0, Source.EXIT_RECORD), ("0-2", Condition.SUCCEEDED)),
        (Condition.SUCCEEDED, (0, Source.SERVER), ("1,2", Condition.SUCCEEDED)),
        (Condition.FAILED, (0, Source.EXIT_RECORD), ("0-2", Condition.FAILED)),
        (Condition.FAILED, (3, Source.EXIT_RECORD), ("1,2", Condition.ENDED)),
        (Condition.ENDED, (3, Source.EXIT_RECORD), ("1,2", Condition.ENDED)),
    ],
)
def test_what_is_known_already_is_not_asked_for(
    able: Bench, condition: Condition, end: tuple[int, Source], asked: tuple[str, Condition]
) -> None:
    """An element that ended without a record is judged by the engine, and by nobody else."""
    array = array_of(able, "12")
    ended(able, array, 0, *end)
    second = able.placed(**after(array, condition=condition))

    indices, becomes = asked
    elements = (Elements(attempt=1, indices=indices),)
    assert (expected(array, "12", condition=becomes, elements=elements),) == (
        second.record.predecessors
    )


def test_an_element_that_was_withdrawn_is_looked_for_where_it_is(able: Bench) -> None:
    """Its record is in the folder of its second attempt."""
    array = array_of(able, "12")
    able.world.see(array[1].record.token, Phase.UNRUN)
    in_arrays(able, "13")
    able.advance(3)
    second = able.placed(**after(array))

    elements = (Elements(attempt=1, indices="0,2"), Elements(attempt=2, indices="1"))
    assert (expected(array, "12", "13", elements=elements),) == second.record.predecessors


@pytest.mark.parametrize(
    "why", ["not able", "retry", "requeue", "parts", "singles", "text", "size"]
)
def test_otherwise_the_engine_waits(able: Bench, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """A command line has an end, and a job that may run again has not ended yet."""
    limits: dict[str, Any] = {
        "not able": {"element_separator": None},
        "parts": {"most_predecessors": 1},
        "singles": {"most_predecessors": 2},
        "size": {"most_predecessors": 2, "max_batch": 2},
    }.get(why, {})
    usual = {"dependencies": True, "element_separator": "_", "max_batch": 4}
    able.capable(**{**usual, **limits})
    monkeypatch.setattr(_dependencies, "MOST_TEXT", 2 if why == "text" else 2000)
    fields: dict[str, Any] = {
        "retry": {"retry": Retry(attempts=2)},
        "requeue": {"requeue": True},
    }.get(why, {})
    native_ids = ("12",) * 3 if why == "size" else ("12", "13", "14")
    array = array_of(able, *native_ids, array=Array(indices=5), **fields)
    befores = [able.placed() for _ in range(3)] if why == "singles" else [array]
    second = able.placed(**after(*befores))
    assert State.WAITING is second.state

    for token in list(able.world.rows):
        able.world.end(token)
    able.advance(5)
    assert State.QUEUED is second.state
    assert () == second.record.predecessors


def test_as_many_as_may_be_named_are(able: Bench) -> None:
    """The limit is the last that fits."""
    able.capable(dependencies=True, element_separator="_", max_batch=4, most_predecessors=3)
    array = array_of(able, "12", "13", array=Array(indices=5))
    second = able.placed(**after(array, able.placed()))

    assert 2 == len(second.record.predecessors)


def test_elements_that_came_back_unrun_wait_for_the_array(able: Bench) -> None:
    """One record is missing: nothing has failed, and each is judged by the engine."""
    first = array_of(able, "12")
    second = array_of(able, "13", **after(first))
    for job in second:
        able.world.see(job.record.token, Phase.UNRUN)
    able.advance(3)
    assert [State.WAITING] * 3 == [job.state for job in second]

    for job in first:
        able.world.end(job.record.token)
    able.advance(5)
    assert [State.QUEUED] * 3 == [job.state for job in second]
    assert {()} == {attempt.predecessors for attempt in last_submitted(able)}


def test_an_engine_that_comes_later_leaves_it_too(able: Bench) -> None:
    """The last element was accepted, and then the engine was killed."""
    in_arrays(able, "12")
    array = able.session.submit(["x"], array=Array(indices=3))
    second = able.submit(**after(array))
    able.world.dies["drover_submit"] = "after"
    able.settle()
    able.settle()

    assert State.QUEUED is second.state
    assert ("12",) == second.record.predecessors[0].native_ids


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List which jobs were judged, as often as they were."""
    ids: list[str] = []
    real = _dependencies._Judge._judge
    monkeypatch.setattr(
        _dependencies._Judge,
        "_judge",
        lambda this, job, **how: (ids.append(job.id), real(this, job, **how)),
    )
    return ids


def test_those_behind_an_array_are_read_when_all_of_it_is_there(
    able: Bench, looked: list[str]
) -> None:
    """Not with each of its parts: ten thousand elements may come one by one."""
    in_arrays(able, "12", "13", "14")
    array = able.session.submit(["x"], array=Array(indices=3, max_running=1))
    second = able.placed(**after(array))
    del looked[:]
    for job in array:
        able.advance(5)
        able.world.end(job.record.token)

    assert [second.id] == looked
    assert ("14",) == second.record.predecessors[0].native_ids


def test_those_behind_an_array_are_not_read_at_each_of_its_ends(
    able: Bench, looked: list[str]
) -> None:
    """Two arrays of ten thousand would be a hundred million looks."""
    first = array_of(able, "12")
    able.session.submit(["x"], array=Array(indices=3), **after(first))
    by_engine = able.submit(after=[first.id])
    able.settle()
    del looked[:]
    for job in first:
        able.world.end(job.record.token)
        able.advance(2)

    assert [by_engine.id] == looked


@given(st.sets(st.integers(0, 60)) | st.sets(st.integers(0, 10**6), max_size=8))
def test_indices_are_read_as_they_were_written(numbers: set[int]) -> None:
    """The engine writes them, and a wrapper on a node finds the folders by them."""
    ascending = sorted(numbers)
    text = _dependencies._ranges(ascending)

    assert ascending == (list(wrapper.read_indices(text)) if text else [])
