"""What holds for every job, whatever happens to it in whatever order."""

from collections.abc import Iterable, Iterator

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drover import events as e
from drover import machine
from drover.errors import IllegalTransitionError
from drover.events import EVENTS, Event
from drover.models import (
    EndReport,
    JobRecord,
    JobSpec,
    Observation,
    Outcome,
    Phase,
    Progress,
    Reason,
    Request,
    Retry,
    Source,
    Started,
    Verb,
    Verdict,
)
from drover.states import CREATION, ENDED, FINAL, NOTES, TRANSITIONS, State

TOKEN = "store-job-1"
SETTLE_S = 10.0
# How fast a shared machine draws an example says nothing about the machine of states.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def new_job(**fields: object) -> JobRecord:
    spec = JobSpec(argv=["x"], **fields)  # type: ignore[arg-type]
    return machine.create(e.Submitted(at=0.0, spec=spec, backend="b"), job_id="job", n=1)


def placed_job(**fields: object) -> JobRecord:
    intent = e.SubmitIntended(at=1.0, attempt=1, token=TOKEN, batch="b1")
    taken = e.Accepted(at=2.0, attempt=1, native_id="7", submitted_at=2.0)
    return machine.replay(new_job(**fields), [intent, taken])


# --- the table -----------------------------------------------------------------------------------


def successors(state: State) -> set[State]:
    return {target for targets in TRANSITIONS[state].values() for target in targets}


def reachable(start: State) -> set[State]:
    seen, todo = {start}, [start]
    while todo:
        for target in successors(todo.pop()) - seen:
            seen.add(target)
            todo.append(target)
    return seen


def test_every_state_and_every_fact_has_its_place() -> None:
    """A fact that no row takes could never be recorded."""
    moving = {name for row in TRANSITIONS.values() for name in row}

    assert set(TRANSITIONS) == set(State)
    assert moving | NOTES | {CREATION} == set(EVENTS)
    assert not moving & NOTES


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_every_state_can_end(state: State) -> None:
    """A state without a way out would keep a job for ever."""
    assert reachable(state) >= FINAL


def test_every_state_can_be_reached() -> None:
    """A state that nobody enters is dead code."""
    assert reachable(State.NEW) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_is_left_only_by_a_retry(state: State) -> None:
    """What has been told to a user must not change behind his back."""
    assert TRANSITIONS[state] == {"RetryAsked": (State.WAITING,)}


# --- any facts, in any order ---------------------------------------------------------------------

times = st.floats(0, 1000)
attempts = st.integers(1, 4)
codes = st.sampled_from([0, 1, 137])
sources = st.sampled_from(list(Source))
holds = st.sampled_from([frozenset[str](), frozenset({"user"}), frozenset({"user", "system"})])
progress = st.builds(Progress, fraction=st.just(0.5), at=times)
reports = st.builds(
    EndReport,
    source=sources,
    at=times,
    exit_code=codes,
    started=st.sampled_from(list(Started)),
    reason=st.sampled_from([None, Reason.CANCELLED, Reason.NODE_LOST, Reason.LAUNCH_FAILED]),
)
outcomes = st.builds(
    Outcome,
    reason=st.sampled_from(list(Reason)),
    exit_code=codes,
    started=st.sampled_from(list(Started)),
)
requests = st.builds(
    Request,
    id=st.sampled_from(["r1", "r2", "r3"]),
    verb=st.sampled_from(list(Verb)),
    by=st.just("me"),
    at=times,
)
SPECIAL = {
    "Started": {"native_id": st.sampled_from([None, "7", "8"])},
    "Submitted": {"spec": st.just(JobSpec(argv=["x"]))},
}
BY_FIELD = {
    "at": times,
    "attempt": attempts,
    "restart": st.integers(0, 2),
    "outcome": outcomes,
    "report": reports,
    "request": requests,
    "request_id": st.sampled_from(["r1", "r2", "r3"]),
    "verdict": st.sampled_from(list(Verdict)),
    "hold": holds,
    "by": st.just("me"),
    "source": sources,
    "progress": progress,
    "retry_at": st.none() | times,
    "until": st.none() | times,
    "settle_at": times,
    "next_at": times,
    "ready_at": st.none() | times,
    "seconds": st.floats(-1e5, 1e5),
    "submitted_at": st.none() | times,
    "state": st.sampled_from(sorted(FINAL)),
    "token": st.just(TOKEN),
    "native_id": st.sampled_from(["7", "8"]),
    "what": st.just("odd"),
}


def strategy_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    names = [attribute.name for attribute in kind.__attrs_attrs__]  # type: ignore[attr-defined]
    given_ = {name: BY_FIELD[name] for name in names if name in BY_FIELD}
    if kind is e.Suspended:
        given_["by"] = holds  # type: ignore[assignment]
    needed = {
        attribute.name: st.just("x")
        for attribute in kind.__attrs_attrs__  # type: ignore[attr-defined]
        if attribute.name not in given_ and attribute.name in ("batch", "why", "backend")
    }
    return st.builds(kind, **{**needed, **given_, **SPECIAL.get(kind.__name__, {})})  # type: ignore[arg-type]


STRATEGIES = {name: strategy_of(kind) for name, kind in EVENTS.items() if name != CREATION}


class Walk:
    """A way through the table: mostly facts that fit, now and then any fact at all."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.job = new_job()
        self.journal: list[Event] = []

    def fact(self) -> Event:
        """Draw what happens next."""
        fitting = sorted({*TRANSITIONS[self.job.state], *NOTES})
        name = self.data.draw(st.sampled_from(fitting) | st.sampled_from(sorted(STRATEGIES)))
        fact = self.data.draw(STRATEGIES[name])
        if isinstance(fact, e.AttemptEvent) and self.data.draw(st.integers(0, 4)):
            fact = evolve(fact, attempt=self.job.attempt)
        return fact

    def __iter__(self) -> Iterator[tuple[JobRecord, Event, JobRecord]]:
        """Give each fact that was taken, with the job before and after it."""
        for _ in range(self.data.draw(st.integers(0, 30))):
            before, fact = self.job, self.fact()
            kept = dict(vars(before))
            try:
                self.job, _ = machine.step(before, fact)
            except IllegalTransitionError:
                pass
            else:
                self.journal.append(fact)
                yield before, fact, self.job
            assert vars(before) == kept, "a record was changed in place"


@PATIENT
@given(st.data())
def test_moves_stand_in_the_table(data: st.DataObject) -> None:
    """Which state follows which is written down once."""
    for before, fact, after in Walk(data):
        if after.state is not before.state:
            assert after.state in TRANSITIONS[before.state][type(fact).__name__]


@PATIENT
@given(st.data())
def test_final_states_absorb(data: st.DataObject) -> None:
    """Only a retry leaves a final state, and it opens the next attempt."""
    for before, fact, after in Walk(data):
        if before.state in FINAL and after.state is not before.state:
            assert isinstance(fact, e.RetryAsked)
            assert after.attempt == before.attempt + 1


@PATIENT
@given(st.data())
def test_replaying_the_journal_gives_the_same_job(data: st.DataObject) -> None:
    """The journal is the truth, and it survives being written down."""
    walk = Walk(data)
    for _ in walk:
        pass

    assert machine.replay(new_job(), walk.journal) == walk.job


@PATIENT
@given(st.data())
def test_attempts_only_grow(data: st.DataObject) -> None:
    """Facts about an older attempt are recorded and move nothing."""
    for before, fact, after in Walk(data):
        assert after.attempt in (before.attempt, before.attempt + 1)
        if isinstance(fact, e.AttemptEvent) and fact.attempt < before.attempt:
            assert after is before


@PATIENT
@given(st.data())
def test_an_end_has_an_outcome(data: st.DataObject) -> None:
    """Who waits for a job is told how it ended, and when."""
    woken = False
    for _, fact, job in Walk(data):
        woken |= isinstance(fact, e.Woken)
        if job.state in ENDED:
            assert job.outcome is not None
            assert job.ended_at is not None
        elif job.outcome is not None:
            # A periodic job that waits for its next run tells of the last one.
            between = woken or job.state in (State.STAGING_OUT, State.SLEEPING)
            assert job.attempt > 1 or between


@PATIENT
@given(st.data())
def test_what_has_not_ended_is_owed_something(data: st.DataObject) -> None:
    """A job that nobody has anything to do about would stay for ever."""
    for _, _, job in Walk(data):
        waits_for_a_person = job.state in (State.VALIDATING, State.AWAITING_APPROVAL) or job.hold
        if job.state not in ENDED and not waits_for_a_person:
            assert machine.owed(job), job


# --- observations --------------------------------------------------------------------------------


def row(phase: Phase, at: float, source: Source = Source.SERVER, **fields: object) -> Observation:
    facts_ = {"native_id": "7", "submitted_at": 2.0, **fields}
    return Observation(token=TOKEN, phase=phase, source=source, at=at, **facts_)  # type: ignore[arg-type]


def truth(source: Source, code: int, *, suspended: bool) -> list[Observation]:
    """Tell a job's whole life as one source saw it, in order."""
    rows = [row(Phase.QUEUED, 3.0, source), row(Phase.RUNNING, 5.0, source, started_at=4.0)]
    if suspended:
        rows += [row(Phase.SUSPENDED, 6.0, source), row(Phase.RUNNING, 7.0, source, started_at=4.0)]
    end = EndReport(source=source, at=8.0, exit_code=code, native_id="7")
    return [*rows, row(Phase.ENDED, 9.0, source, started_at=4.0, end=end)]


def told(job: JobRecord, rows: Iterable[Observation]) -> JobRecord:
    """Fold observations as the engine does. Every fact made of one must be legal."""
    for seen in rows:
        for fact in machine.events_of(job, seen, settle_s=SETTLE_S):
            job, _ = machine.step(job, fact)
    return job


@PATIENT
@given(st.data(), codes, st.booleans())
def test_observations_converge(data: st.DataObject, code: int, suspended: bool) -> None:
    """Late, repeated and missing rows lead to the same end as the true story."""
    life = truth(Source.SERVER, code, suspended=suspended)
    rows = [*data.draw(st.lists(st.sampled_from(life), max_size=12)), life[-1]]
    rows += data.draw(st.lists(st.sampled_from(life), max_size=6))
    straight, muddled = told(placed_job(), life), told(placed_job(), rows)

    assert muddled.state is (State.FAILED if code else State.SUCCEEDED)
    assert muddled.outcome == straight.outcome
    assert (muddled.native_id, muddled.ended_at) == (straight.native_id, straight.ended_at)


@PATIENT
@given(st.data(), codes, st.sampled_from([Source.QUEUE, Source.ACCOUNTING]))
def test_two_channels_converge(data: st.DataObject, code: int, scheduler: Source) -> None:
    """Whichever channel speaks first, and however often, the end is the same."""
    record = truth(Source.EXIT_RECORD, code, suspended=False)[-1]
    life = [*truth(scheduler, code, suspended=False), record]
    rows = data.draw(st.lists(st.sampled_from(life), max_size=12))
    rows += data.draw(st.permutations(life[-2:]))
    job = told(placed_job(), rows)

    assert job.state is (State.FAILED if code else State.SUCCEEDED)
    assert job.outcome is not None
    assert job.outcome.exit_code == code
    assert {report.source for report in job.outcome.evidence} == {scheduler, Source.EXIT_RECORD}


@PATIENT
@given(st.data())
def test_foreign_rows_move_nothing(data: st.DataObject) -> None:
    """A native id is handed out again; a row with another token or time is another job's."""
    life = truth(Source.SERVER, 0, suspended=True)
    seen = data.draw(st.sampled_from(life))
    changes = data.draw(
        st.sampled_from([{"token": "other"}, {"native_id": "8"}, {"submitted_at": 500.0}])
    )
    job = told(placed_job(), life[: data.draw(st.integers(0, len(life) - 1))])

    assert machine.events_of(job, evolve(seen, **changes), settle_s=SETTLE_S) == ()


@PATIENT
@given(st.lists(st.sampled_from(truth(Source.SERVER, 1, suspended=True)), max_size=12))
def test_rows_of_the_first_attempt_do_not_move_the_second(rows: list[Observation]) -> None:
    """What comes late about an attempt that is over is evidence and no more."""
    job = told(placed_job(retry=Retry(attempts=2)), truth(Source.SERVER, 1, suspended=False))
    assert (job.attempt, job.state) == (2, State.WAITING)

    assert told(job, rows) == job


@PATIENT
@given(st.permutations(truth(Source.SERVER, 0, suspended=True)))
def test_a_lost_job_is_found_again(rows: list[Observation]) -> None:
    """LOST is left by positive evidence on the current attempt."""
    gone = e.Ended(at=50.0, attempt=1, outcome=machine.lost("not listed"))
    job = machine.apply(placed_job(), gone)
    assert job.state is State.LOST

    assert told(job, rows).state is State.SUCCEEDED
