"""Jobs whose backend waits for others on their behalf."""

from typing import Any

import pytest

from drover.models import Condition, Dependency, Phase, Predecessor, Reason, Retry, Source, Started
from drover.states import State

Bench = Any
LEFT = {"sim": {"dependencies": True}}


@pytest.fixture
def able(bench: Bench) -> Bench:
    """Give a backend that can wait for jobs by itself."""
    bench.capable(dependencies=True)
    return bench


def after(job: Any, condition: Condition = Condition.SUCCEEDED) -> dict[str, Any]:
    name = job.record.backend
    return {
        "after": [Dependency(job=job.id, condition=condition)],
        "native": {name: {"dependencies": True}},
    }


def test_the_backend_is_told_whom_to_wait_for(able: Bench) -> None:
    """Waiting in its queue, the job keeps its place there."""
    first = able.placed(Phase.RUNNING)
    second = able.placed(**after(first, Condition.FAILED))

    assert State.QUEUED is second.state
    (attempt,) = able.world.called("drover_submit")[-1]
    expected = Predecessor(
        job=first.id,
        token=first.record.token,
        native_id=first.record.native_id,
        condition=Condition.FAILED,
    )
    assert (expected,) == attempt.predecessors


def test_jobs_handed_in_together_follow_each_other(able: Bench) -> None:
    """The one that is waited for need not be placed when the other comes."""
    first = able.submit()
    second = able.submit(**after(first))
    third = able.submit(**after(second))
    able.settle()

    assert [State.QUEUED] * 3 == [first.state, second.state, third.state]


@pytest.mark.parametrize("why", ["not asked", "not able", "retry", "requeue", "outputs"])
def test_otherwise_the_engine_waits(bench: Bench, why: str) -> None:
    """A job that may run again has not ended when its first run has.

    Nor has one whose files are still on their way when its command has.
    """
    bench.capable(dependencies=why != "not able", stage_out=True)
    fields: dict[str, Any] = {
        "retry": {"retry": Retry(attempts=2)},
        "requeue": {"requeue": True},
        "outputs": {"outputs": [("a", "b")]},
    }.get(why, {})
    first = bench.placed(Phase.RUNNING, **fields)
    wanted = after(first)
    if why == "not asked":
        del wanted["native"]
    second = bench.placed(**wanted)

    assert State.WAITING is second.state


def test_what_came_back_unrun_is_judged_by_the_engine(able: Bench) -> None:
    """The wrapper found no record that it can believe: nothing has failed yet."""
    first = able.placed(Phase.RUNNING)
    second = able.placed(**after(first))
    able.world.see(second.record.token, Phase.UNRUN)
    able.advance(3)
    assert State.WAITING is second.state

    able.world.end(first.record.token)
    able.advance(5)
    assert State.QUEUED is second.state
    (attempt,) = able.world.called("drover_submit")[-1]
    assert () == attempt.predecessors


def test_given_up_by_the_backend_it_failed_by_its_dependency(able: Bench) -> None:
    """Nobody has cancelled it."""
    first = able.placed(Phase.RUNNING)
    second = able.placed(**after(first))
    token = second.record.token
    able.world.end(token, None, source=Source.QUEUE, reason=Reason.CANCELLED, started=Started.NO)
    able.world.end(first.record.token, 1)
    able.advance(able.world.capabilities.settle_s + 10)

    assert (State.FAILED, Reason.DEPENDENCY_FAILED) == (second.state, second.outcome.reason)


def test_a_user_can_still_cancel_it(able: Bench) -> None:
    """Cancelled while it waits at the backend, it is cancelled and not judged again."""
    first = able.placed(Phase.RUNNING)
    second = able.placed(**after(first))
    able.ask(second)
    able.world.end(
        second.record.token,
        None,
        source=Source.QUEUE,
        reason=Reason.CANCELLED,
        started=Started.NO,
    )
    able.advance(able.world.capabilities.settle_s + 10)

    assert State.CANCELLED is second.state


def test_a_restart_of_the_engine_keeps_what_was_left(able: Bench) -> None:
    """It stands in the journal."""
    first = able.placed(Phase.RUNNING)
    second = able.placed(**after(first))
    able.crash()
    able.settle()

    assert [first.id] == [other.job for other in second.record.predecessors]
