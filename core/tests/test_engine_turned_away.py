"""Backends that take no more jobs for a while."""

from typing import Any

import pytest

from drover.models import Answer, JobSpec, Phase, SubmitAnswer
from drover.states import State

Bench = Any


def full(attempts: Any) -> list[SubmitAnswer]:
    return [
        SubmitAnswer(token=one.token, answer=Answer.REFUSED, message="full", retryable=True)
        for one in attempts
    ]


def test_who_is_full_is_left_alone(bench: Bench) -> None:
    """Each try of each of ten thousand jobs would be written down, every few seconds."""
    for _ in range(5):
        bench.rewrite(submit=full)
    jobs = [bench.submit() for _ in range(30)]
    bench.advance(30)

    sizes = [len(attempts) for attempts in bench.world.called("drover_submit")]
    assert 30 == sizes[0]
    assert [1] * len(sizes[1:]) == sizes[1:]
    assert 5 >= len(sizes)
    assert [State.WAITING] * 30 == [job.state for job in jobs]


def test_once_it_takes_one_it_gets_more(bench: Bench) -> None:
    """One, two, four: who has room is not kept waiting."""
    bench.rewrite(submit=full)
    jobs = [bench.submit() for _ in range(30)]
    bench.advance(20)

    sizes = [len(attempts) for attempts in bench.world.called("drover_submit")]
    assert [30, 1, 2, 4, 8, 15] == sizes
    assert [State.QUEUED] * 30 == [job.state for job in jobs]


def test_why_it_takes_nothing_is_told_as_long_as_it_is_so(bench: Bench) -> None:
    """A command that is not there, a full queue: who waits wants to know for what."""

    def told() -> list[tuple[bool, str]]:
        return [(row["ok"], row["error"]) for row in bench.engine.backends.info()]

    bench.placed(Phase.RUNNING)
    for _ in range(3):
        bench.rewrite(submit=full)
    bench.submit()
    bench.advance(10)
    assert [(True, "full")] == told()

    bench.advance(30)
    assert [(True, "")] == told()


def test_an_end_lets_it_be_tried_soon(bench: Bench) -> None:
    """Where the limit is on how many there may be, an end makes room for one."""
    first = bench.placed(Phase.RUNNING)
    for _ in range(5):
        bench.rewrite(submit=full)
    second = bench.submit()
    bench.advance(25)
    before = len(bench.world.called("drover_submit"))
    bench.world.end(first.record.token)
    bench.world.answers["drover_submit"].clear()
    bench.contexts[-1].report([bench.world.rows[first.record.token]])
    bench.advance(2)

    assert before + 1 == len(bench.world.called("drover_submit"))
    assert State.QUEUED is second.state


@pytest.mark.parametrize("others", [0, 3])
def test_other_answers_change_nothing(bench: Bench, others: int) -> None:
    """A refusal for good is about one job, and says nothing of the next."""

    def refuse_one(attempts: Any) -> list[SubmitAnswer]:
        head = SubmitAnswer(token=attempts[0].token, answer=Answer.REFUSED, message="bad")
        return [head, *(bench.world.accept(one) for one in attempts[1:])]

    bench.rewrite(submit=refuse_one)
    jobs = [bench.submit() for _ in range(1 + others)]
    bench.settle()
    late = bench.placed()

    assert [State.FAILED, *[State.QUEUED] * others] == [job.state for job in jobs]
    assert State.QUEUED is late.state


@pytest.mark.parametrize(
    "fields", [{"inputs": [("a", "b")]}, {"hold": True}], ids=["inputs", "only looked at"]
)
def test_a_round_stays_short(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    """A hundred thousand at once would lock the store for half a minute, and cost the lease."""
    for module in ("_engine", "_runtime"):
        monkeypatch.setattr(f"drover._engine.{module}.MOST_TURNS", 3)
    bench.capable(stage_in=True)
    jobs = bench.session.submit_many([JobSpec(argv=["x"], **fields)] * 8)
    engine = bench.start()
    moved, more = [0], True
    while more:
        more = engine.round()
        moved.append(sum(job.state is not State.NEW for job in jobs))

    assert [0, 3, 6, 8] == list(dict.fromkeys(moved))
