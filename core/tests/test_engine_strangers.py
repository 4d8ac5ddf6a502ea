"""Strangers' code: policies, observers, and rows that cannot be used."""

from typing import Any

import pytest
from attrs import evolve

from drover.events import Event
from drover.hookspecs import hookimpl
from drover.models import (
    Claim,
    EndReport,
    JobRecord,
    Observation,
    Observed,
    Outcome,
    Phase,
    Progress,
    Retry,
    Source,
)
from drover.states import State

Bench = Any


class Policy:
    """A retry policy and an observer in one."""

    def __init__(self, delay_s: float | None, *, fail: bool = False) -> None:
        self.delay_s, self.fail = delay_s, fail
        self.heard: list[tuple[str, str]] = []
        self.ended: list[State] = []

    def _maybe_fail(self) -> None:
        if self.fail:
            message = "oops"
            raise RuntimeError(message)

    @hookimpl
    def drover_job_should_retry(self, job: JobRecord, outcome: Outcome) -> float | None:
        self._maybe_fail()
        return self.delay_s

    @hookimpl
    def drover_job_transition(self, job: JobRecord, event: Event) -> None:
        self._maybe_fail()
        self.heard.append((job.id, type(event).__name__))

    @hookimpl
    def drover_job_ended(self, job: JobRecord) -> None:
        self._maybe_fail()
        self.ended.append(job.state)


def with_policy(monkeypatch: pytest.MonkeyPatch, policy: Policy) -> None:
    monkeypatch.setattr("drover._engine._backends.wrappers", lambda *_: {"policy": policy})


@pytest.mark.parametrize(
    ("delay_s", "retry", "expected"),
    [
        (7.0, Retry(), State.WAITING),
        (-1.0, Retry(attempts=3), State.FAILED),
        (None, Retry(attempts=3), State.QUEUED),
        (None, Retry(), State.FAILED),
    ],
)
def test_a_policy_decides_on_the_retry(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    delay_s: float | None,
    retry: Retry,
    expected: State,
) -> None:
    with_policy(monkeypatch, Policy(delay_s))
    job = bench.placed(Phase.RUNNING, retry=retry)
    bench.world.end(job.record.token, 1)
    bench.advance(3)

    assert expected is job.state


@pytest.mark.parametrize("after_s", [0, 80], ids=["in time", "overdue"])
def test_no_policy_retries_what_was_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, after_s: int
) -> None:
    with_policy(monkeypatch, Policy(0.0))
    job = bench.placed(Phase.RUNNING)
    bench.ask(job)
    bench.advance(after_s)
    bench.world.end(job.record.token, exit_code=None, signal=9)
    bench.advance(5)

    assert State.CANCELLED is job.state


def test_no_policy_retries_what_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say that it does not run: a policy's guess would be a second run."""
    bench.capable(missing_grace_s=5.0)
    with_policy(monkeypatch, Policy(0.0))
    job = bench.placed(Phase.RUNNING)
    bench.world.rows.clear()
    bench.advance(30)

    assert (State.LOST, 1) == (job.state, job.attempt)


def test_observers_hear_every_fact_once_and_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(None)
    with_policy(monkeypatch, policy)
    job = bench.placed(Phase.RUNNING)
    bench.world.end(job.record.token)
    bench.advance(5)

    assert bench.names(job)[1:] == [name for _, name in policy.heard]
    assert [State.SUCCEEDED] == policy.ended


def test_a_failing_observer_harms_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(monkeypatch, Policy(None, fail=True))
    job = bench.placed(Phase.RUNNING, retry=Retry(attempts=2))
    bench.world.end(job.record.token, 1)
    bench.advance(5)

    assert (State.QUEUED, 2) == (job.state, job.attempt)


ODD_ROWS: list[dict[str, Any]] = [
    {"phase": "dancing"},
    {"phase": None},
    {"at": None},
    {"at": "noon"},
    {"at": float("nan")},
    {"native_id": 7},
    {"native_state": 3},
    {"native_state": None},
    {"started_at": "noon"},
    {"restart": "1"},
    {"hold": 3},
    {"suspended_by": 3, "phase": Phase.SUSPENDED},
    {"progress": 0.5},
    {"progress": Progress(fraction="half")},  # type: ignore[arg-type]
    {"source": "squeue"},
    {"submitted_at": "noon"},
    {"phase": Phase.ENDED, "end": "it ended"},
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=None, exit_code=0)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, exit_code="0")},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source="me", at=1.0, exit_code=0)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, message=3)},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, reason="BAD")},  # type: ignore[arg-type]
    {"phase": Phase.ENDED, "end": EndReport(source=Source.SERVER, at=1.0, usage={"a": 1})},  # type: ignore[arg-type]
]


@pytest.mark.parametrize("odd", ODD_ROWS, ids=" ".join)
def test_a_row_that_cannot_be_used_harms_one_job(bench: Bench, odd: dict[str, Any]) -> None:
    """What a plugin put into a row can be anything; everybody else's jobs go on."""
    one, other = bench.placed(), bench.placed()
    row = bench.world.see(one.record.token, Phase.RUNNING)
    bench.world.rows[row.token] = evolve(row, **odd)
    bench.world.end(other.record.token)
    bench.advance(5)

    assert State.SUCCEEDED is other.state
    bench.world.rows[row.token] = row
    bench.world.end(one.record.token, 3)
    bench.advance(5)
    bench.crash()
    bench.advance(40)

    assert (State.FAILED, 3) == (one.state, one.outcome.exit_code), bench.story()


@pytest.mark.parametrize("odd", [None, "row", 7, object()])
def test_what_is_no_row_at_all_is_passed_over(bench: Bench, odd: object) -> None:
    job = bench.placed()
    row = bench.world.end(job.record.token)
    bench.rewrite(observe=lambda _: Observed(observations=(odd, row)))
    bench.advance(5)

    assert State.SUCCEEDED is job.state


@pytest.mark.parametrize("hook", ["submit", "find", "observe", "control", "close"])
@pytest.mark.parametrize("odd", [7, "yes", [None], [object()], {"a": 1}])
def test_an_answer_that_cannot_be_used_is_no_answer(bench: Bench, hook: str, odd: object) -> None:
    """A hook that answers nonsense said nothing; it is asked again, and the engine lives."""
    bench.capable(claim=Claim.DIRECTORY if hook == "find" else Claim.SERVER_KEY)
    bench.rewrite(**{hook: lambda _: odd})
    if hook == "find":
        bench.rewrite(submit=lambda all_: [bench.world.accept(one) for one in all_] and None)
    job = bench.placed()
    bench.advance(10)
    bench.ask(job)
    bench.advance(10)
    bench.world.end(job.record.token)
    bench.advance(60)

    assert job.state in {State.SUCCEEDED, State.CANCELLED}, bench.story()
    assert 1 == len(bench.world.runs)


def test_an_unknown_word_is_kept_and_moves_nothing(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING)
    bench.world.see(job.record.token, Phase.UNKNOWN, native_state="SPECIAL_EXIT")
    bench.advance(5)

    assert (State.RUNNING, "SPECIAL_EXIT") == (job.state, job.native_state)


def test_a_row_about_nobody_is_passed_over(bench: Bench) -> None:
    job = bench.placed()
    row = bench.world.rows[job.record.token]
    strangers = [
        evolve(row, token=token) for token in ("", "x", "s-j-1", "\udcff", f"{row.token}9")
    ]
    bench.rewrite(observe=lambda _: Observed(observations=(*strangers, row)))
    bench.advance(5)

    assert State.QUEUED is job.state


def test_observations_come_with_the_time_they_were_made(bench: Bench) -> None:
    job = bench.placed()
    started = bench.clock.time() - 20
    bench.world.see(job.record.token, Phase.RUNNING, started_at=started)
    bench.advance(5)

    assert started == job.started_at
    assert isinstance(bench.world.rows[job.record.token], Observation)
