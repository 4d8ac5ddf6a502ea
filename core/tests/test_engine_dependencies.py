"""Jobs that wait for jobs."""

from typing import Any

import pytest

from drover.errors import IllegalRequestError
from drover.models import (
    Array,
    Condition,
    Dependency,
    Phase,
    Reason,
    Retry,
)
from drover.states import State

Bench = Any


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


def test_a_retry_behind_a_dependency_that_failed_ends_again(bench: Bench) -> None:
    """Asked for too early, it must not wait for ever for a job that has long ended."""
    first = bench.placed(Phase.RUNNING)
    second = bench.submit(**after(first))
    bench.settle()
    bench.world.end(first.record.token, 1)
    bench.advance(5)
    bench.session.retry([second])
    bench.advance(5)

    assert (State.FAILED, 2) == (second.state, second.record.attempt)


@pytest.mark.parametrize("of_array", [False, True])
def test_what_others_wait_for_does_not_expire(bench: Bench, of_array: bool) -> None:
    """They would wait for ever for what nobody knows any more; or be let go, as if it were well."""
    bench.capable(missing_grace_s=5.0)
    first = bench.session.submit(
        ["x"], expires_after=10, array=Array(indices=2) if of_array else None
    )
    second = bench.submit(**after(first))
    bench.settle()
    lost = first[0] if of_array else first
    if of_array:
        bench.world.end(first[1].record.token)
    del bench.world.rows[lost.record.token]
    bench.advance(60)
    assert (State.LOST, State.WAITING) == (lost.state, second.state)
    bench.crash()
    bench.advance(60)
    assert (State.LOST, State.WAITING, [lost]) == (lost.state, second.state, second.blockers())
    lost.resolve(State.SUCCEEDED)
    bench.advance(60)

    assert State.QUEUED is second.state
    assert [second] == bench.session.jobs()


def test_what_others_wait_for_is_not_purged(bench: Bench) -> None:
    """An array as little as a job: those behind it would wait for ever."""
    bench.capable(missing_grace_s=5.0)
    array = bench.session.submit(["x"], array=Array(indices=2))
    second = bench.submit(**after(array))
    bench.settle()
    bench.world.end(array[1].record.token)
    del bench.world.rows[array[0].record.token]
    bench.advance(30)
    assert [State.LOST, State.SUCCEEDED] == [job.state for job in array]
    with pytest.raises(IllegalRequestError, match="other jobs wait for it"):
        bench.session.purge(jobs=array)
    assert 0 == bench.session.purge()
    bench.ask(second)
    bench.settle()

    assert 2 == bench.session.purge(jobs=array)


def test_who_has_ended_waits_for_nobody(bench: Bench) -> None:
    """Neither of two that failed one after the other could be purged, for the other's sake."""
    first = bench.placed(Phase.RUNNING)
    second = bench.submit(**after(first))
    bench.world.end(first.record.token, 1)
    bench.advance(5)
    assert State.FAILED is second.state

    assert 2 == bench.session.purge(jobs=[first, second])


def test_what_is_gone_keeps_nobody(bench: Bench) -> None:
    """A store may hold jobs whose predecessors were deleted before that was refused."""
    bench.capable(missing_grace_s=5.0)
    first = bench.placed(Phase.RUNNING)
    second = bench.submit(**after(first))
    bench.world.rows.clear()
    bench.advance(30)
    with bench.session.store.write() as (writer, _):
        writer.forget([first.n])
    assert ([], []) == (second.blockers(), bench.session.wait([second], 0.0)[0])
    bench.crash()
    bench.settle()

    assert (State.FAILED, Reason.DEPENDENCY_FAILED) == (second.state, second.outcome.reason)
