"""The table of moves: sane by itself, before any code uses it."""

import pytest

from drover.errors import IllegalTransitionError
from drover.events import EVENTS, AttemptEvent, Ended, RetryAsked, Started
from drover.machine import apply
from drover.machine._folding import FOLDS
from drover.models import JobRecord, JobSpec, Outcome, Reason, Source
from drover.states import CREATION, ENDED, FINAL, NOTES, PLACED, TRANSITIONS, UNPLACED, State

MOVES = {name for row in TRANSITIONS.values() for name in row}


def targets(state: State) -> set[State]:
    return {target for row in TRANSITIONS[state].values() for target in row}


def reachable(*starts: State) -> set[State]:
    seen, todo = set(starts), list(starts)
    while todo:
        new = targets(todo.pop()) - seen
        seen |= new
        todo += new
    return seen


def record(state: State, attempt: int = 1) -> JobRecord:
    return JobRecord(
        id="j", backend="b", spec=JobSpec(argv=["true"]), state=state, attempt=attempt, token="t"
    )


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(State) == set(TRANSITIONS)


def test_every_fact_is_a_move_a_note_or_the_creation() -> None:
    """A fact that is in no list would be refused wherever it comes from."""
    assert set(EVENTS) == MOVES | NOTES | {CREATION}


def test_no_fact_is_both_a_move_and_a_note() -> None:
    """A note is legal everywhere: a move among them would be unchecked."""
    assert set() == MOVES & NOTES
    assert CREATION not in MOVES | NOTES


def test_every_fact_but_the_creation_is_folded() -> None:
    assert set(EVENTS) - {CREATION} == set(FOLDS)


def test_every_state_can_be_reached() -> None:
    assert set(State) == reachable(State.NEW)


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
def test_every_state_can_end(state: State) -> None:
    """A state without a way out holds a job, and who waits for it, for ever."""
    assert reachable(state) >= FINAL


@pytest.mark.parametrize("state", sorted(set(State) - ENDED - {State.STAGING_OUT}))
def test_every_state_can_end_at_once_by_one_fact(state: State) -> None:
    """A deadline or a cancel must not need a detour through states that may never come."""
    assert State.CANCELLED in TRANSITIONS[state]["Ended"]


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_left_by_a_retry_alone(state: State) -> None:
    assert {"RetryAsked": (State.WAITING,)} == TRANSITIONS[state]


def test_an_unplaced_job_is_never_lost() -> None:
    """What no backend has ever had cannot have been lost there."""
    for state in UNPLACED - {State.STAGING_IN}:
        assert State.LOST not in targets(state)


def test_lost_is_no_way_to_lost() -> None:
    assert State.LOST not in targets(State.LOST)


def test_groups_of_states_do_not_overlap() -> None:
    assert set() == PLACED & UNPLACED
    assert set() == PLACED & ENDED
    assert set(State) == PLACED | UNPLACED | ENDED | {State.STAGING_OUT}


@pytest.mark.parametrize("state", sorted(State))
def test_a_state_knows_its_group(state: State) -> None:
    assert (state in FINAL, state in ENDED, state in PLACED) == (
        state.is_final,
        state.ends_wait,
        state.is_placed,
    )


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("name", sorted(MOVES - {"RetryAsked"}))
def test_a_final_attempt_refuses_every_move(state: State, name: str) -> None:
    """An end that can be taken back is no end: `wait()` has told it to somebody."""
    job = record(state)

    with pytest.raises(IllegalTransitionError) as caught:
        apply(job, bare(name, attempt=1))

    assert (state, name) == (caught.value.state, caught.value.event)
    assert record(state) == job


def bare(name: str, attempt: int) -> AttemptEvent:
    """Make a fact of which only kind and attempt matter: it must not even be folded."""
    event = object.__new__(EVENTS[name])
    object.__setattr__(event, "at", 1.0)
    if issubclass(EVENTS[name], AttemptEvent):
        object.__setattr__(event, "attempt", attempt)
    return event  # type: ignore[return-value]


@pytest.mark.parametrize("state", sorted(State))
@pytest.mark.parametrize(
    "name", sorted(name for name, kind in EVENTS.items() if issubclass(kind, AttemptEvent))
)
def test_a_fact_about_an_older_attempt_moves_nothing(state: State, name: str) -> None:
    """What comes late about attempt 1 must not end attempt 2."""
    job = record(state, attempt=2)

    assert apply(job, bare(name, attempt=1)) is job


def test_a_fact_about_an_attempt_to_come_is_refused() -> None:
    """Nothing can have happened to an attempt that was never opened."""
    event = Started(at=1.0, attempt=2, source=Source.AGENT)

    with pytest.raises(IllegalTransitionError, match="attempt 2"):
        apply(record(State.QUEUED), event)


def test_a_retry_opens_an_attempt_that_the_old_one_cannot_touch() -> None:
    again = apply(record(State.FAILED), RetryAsked(at=2.0, by="me"))
    late = Ended(at=3.0, attempt=1, outcome=Outcome(reason=Reason.EXITED, exit_code=0))

    assert (2, State.WAITING, "") == (again.attempt, again.state, again.token)
    assert apply(again, late) is again


def test_a_target_that_the_row_does_not_name_is_refused() -> None:
    """LOST is no end for a job that no backend has."""
    lost = Ended(at=1.0, attempt=1, outcome=Outcome(reason=Reason.LOST))

    with pytest.raises(IllegalTransitionError, match="to LOST"):
        apply(record(State.WAITING), lost)
