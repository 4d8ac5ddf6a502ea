"""Drover's states as DRMAA's words, and back: every one has an answer."""

from typing import Any

import pytest

from drover.drmaa.vocabulary import (
    ALLOWED,
    ENDED_AS,
    HELD_BY,
    SEEN_AS,
    STATUS_OF,
    STOPPED_BY,
    VERB_OF,
    JobControlAction,
    JobState,
    job_status,
)
from drover.models import Dependency, JobRecord, JobSpec, Outcome, Phase, Reason
from drover.states import ENDED, State

NOW = 1000.0
HOLDS = [frozenset(), frozenset({"user"}), frozenset({"system"}), frozenset({"user", "system"})]
WORDS = {value for name, value in vars(JobState).items() if name.isupper()}
BEFORE = {
    State.NEW, State.VALIDATING, State.WAITING, State.STAGING_IN, State.SUBMITTING, State.QUEUED,
}  # fmt: skip


def job(state: State, **facts: Any) -> JobRecord:
    spec = facts.pop("spec", JobSpec(argv=("x",)))
    return JobRecord(id="k3x9", backend="local", spec=spec, state=state, **facts)


def ended(reason: Reason, **facts: Any) -> JobRecord:
    return job(State.FAILED, outcome=Outcome(reason=reason, **facts))


def test_the_tables_are_total() -> None:
    """A state that was added and has no word would raise in somebody's polling loop."""
    assert set(State) == set(STATUS_OF)
    assert set(Reason) == set(ENDED_AS)
    assert set(HOLDS) == set(HELD_BY) == set(STOPPED_BY)
    assert WORDS == set(SEEN_AS)
    assert set(VERB_OF) == set(ALLOWED)
    assert {v for n, v in vars(JobControlAction).items() if n.isupper()} == set(VERB_OF)
    assert {*STATUS_OF.values(), *ENDED_AS.values(), *HELD_BY.values()} <= WORDS


@pytest.mark.parametrize("hold", HOLDS, ids=sorted)
@pytest.mark.parametrize("state", State)
def test_every_job_has_a_word(state: State, hold: frozenset[str]) -> None:
    assert job_status(job(state, hold=hold, suspended_by=hold), NOW) in WORDS


@pytest.mark.parametrize("hold", HOLDS, ids=sorted)
@pytest.mark.parametrize("state", sorted(BEFORE))
def test_a_job_that_does_not_run_is_queued_or_held(state: State, hold: frozenset[str]) -> None:
    assert HELD_BY[hold] == job_status(job(state, hold=hold), NOW)


def test_a_job_that_waits_for_an_instant_is_held_by_the_system_until_then() -> None:
    """As on Grid Engine: a program that asks why nothing happens is told that something waits."""
    for state in (State.NEW, State.WAITING):
        waiting = job(state, ready_at=NOW + 5)
        assert JobState.SYSTEM_ON_HOLD == job_status(waiting, NOW)
        assert JobState.QUEUED_ACTIVE == job_status(waiting, NOW + 6)
    held = job(State.WAITING, ready_at=NOW + 5, hold=frozenset({"user"}))
    assert JobState.USER_SYSTEM_ON_HOLD == job_status(held, NOW)


def test_a_job_behind_another_is_held_by_the_system() -> None:
    spec = JobSpec(argv=("x",), after=[Dependency(job="other")])

    assert JobState.SYSTEM_ON_HOLD == job_status(job(State.WAITING, spec=spec), NOW)
    free = job(State.WAITING, spec=spec, dependencies_met=True)
    assert JobState.QUEUED_ACTIVE == job_status(free, NOW)
    assert JobState.SYSTEM_ON_HOLD == job_status(job(State.AWAITING_APPROVAL), NOW)


def test_a_job_that_runs_runs_whatever_holds_it() -> None:
    """Grid Engine calls it held, and a program then waits for a job that is at work."""
    for state in (State.RUNNING, State.COMPLETING, State.STAGING_OUT):
        assert JobState.RUNNING == job_status(job(state, hold=frozenset({"user"})), NOW)


@pytest.mark.parametrize("by", HOLDS, ids=sorted)
def test_a_suspended_job_says_by_whom(by: frozenset[str]) -> None:
    assert STOPPED_BY[by] == job_status(job(State.SUSPENDED, suspended_by=by), NOW)


@pytest.mark.parametrize(
    ("word", "records"),
    [
        ("done", [job(State.SUCCEEDED), ended(Reason.EXITED, exit_code=3),
                  ended(Reason.SIGNALLED, signal=9), ended(Reason.WALL_TIME, signal=15)]),
        ("failed", [job(State.CANCELLED), job(State.FAILED), ended(Reason.LAUNCH_FAILED),
                    ended(Reason.REFUSED), ended(Reason.DEADLINE, signal=15),
                    ended(Reason.STAGING_FAILED, exit_code=0), ended(Reason.LOST)]),
        ("undetermined", [job(State.LOST)]),
    ],
)  # fmt: skip
def test_done_means_that_it_came_to_its_own_end(word: str, records: list[JobRecord]) -> None:
    """As on Grid Engine, where `done` says nothing of the exit code: `wait` tells that."""
    assert [word] * len(records) == [job_status(record, NOW) for record in records]


@pytest.mark.parametrize("word", sorted(WORDS - {"undetermined", "done", "failed"}))
def test_what_a_backend_sees_is_told_again_as_it_was(word: str) -> None:
    """A face over a backend that speaks DRMAA must not change the word."""
    seen = SEEN_AS[word]
    state = {
        Phase.QUEUED: State.QUEUED, Phase.RUNNING: State.RUNNING, Phase.SUSPENDED: State.SUSPENDED,
    }[seen.phase]  # fmt: skip
    record = job(
        state, hold=seen.hold or frozenset(), suspended_by=seen.suspended_by or frozenset()
    )

    assert word == job_status(record, NOW)


def test_an_end_is_seen_as_an_end_and_nothing_more() -> None:
    assert {Phase.ENDED} == {SEEN_AS["done"].phase, SEEN_AS["failed"].phase}
    assert Phase.UNKNOWN is SEEN_AS["undetermined"].phase


def test_what_has_ended_can_be_asked_nothing() -> None:
    assert set() == ENDED & frozenset().union(*ALLOWED.values())
    assert {State.RUNNING} == ALLOWED["suspend"]
    assert {State.SUSPENDED} == ALLOWED["resume"]
