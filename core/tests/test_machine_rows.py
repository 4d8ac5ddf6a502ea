"""What follows from a row, and about whom it is, as tables."""

from typing import Any

import pytest
from attrs import evolve

from drover import events as e
from drover.machine import create, events_of, is_about, judge, replay, unrun_outcome
from drover.models import (
    Array,
    Dependency,
    EndReport,
    JobRecord,
    JobSpec,
    Observation,
    Phase,
    Progress,
    Reason,
    Request,
    Retry,
    Source,
    Started,
    Usage,
    Verb,
)
from drover.states import State

NOW = 100.0


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**{"argv": ["x"], **fields})


def job(state: State = State.QUEUED, **changes: Any) -> JobRecord:
    fields = changes.pop("spec", {})
    placed = {"token": "t", "native_id": "7", "native_submitted_at": 50.0}
    base = JobRecord(id="j", backend="b", spec=spec(**fields), state=state, **placed)
    return evolve(base, **changes)


def asked(verb: Verb = Verb.CANCEL, **changes: Any) -> Request:
    return evolve(Request(id="r", verb=verb, by="me", at=NOW), **changes)


def report(source: Source = Source.AGENT, **changes: Any) -> EndReport:
    return evolve(EndReport(source=source, at=90.0, exit_code=0), **changes)


def seen(phase: Phase, **changes: Any) -> Observation:
    return evolve(
        Observation(token="t", phase=phase, source=Source.QUEUE, at=NOW, native_id="7"), **changes
    )


def names(facts: tuple[e.Event, ...]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


# Who is meant


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"token": "u"}, False),
        ({"native_id": None}, True),
        ({"native_id": "8"}, False),
        ({"submitted_at": 50.0}, True),
        ({"submitted_at": 51.9}, True),
        ({"submitted_at": 48.1}, True),
        ({"submitted_at": 60.0}, False),
        ({"submitted_at": 40.0}, False),
        ({"submitted_at": 60.0, "restart": 1}, True),
        ({"submitted_at": 40.0, "restart": 1}, False),
    ],
)
def test_a_native_id_is_no_identity(changes: dict[str, Any], expected: bool) -> None:
    """Batch systems hand ids out again: a stranger's end must not end our job."""
    row = seen(Phase.ENDED, end=report(), **changes)

    assert expected == is_about(job(), row)
    if not expected:
        assert () == events_of(job(), row, settle_s=60.0)


def test_after_a_restart_its_later_submit_time_goes_on_being_believed() -> None:
    """Slurm gives a requeued job a new submit time, and keeps telling it."""
    record = job(State.RUNNING, restart=1)

    assert is_about(record, seen(Phase.RUNNING, submitted_at=60.0, restart=1))
    assert not is_about(record, seen(Phase.RUNNING, submitted_at=60.0))


def test_a_job_without_a_token_is_nobodys() -> None:
    assert not is_about(job(State.NEW, token=""), seen(Phase.ENDED, token=""))


# What follows from a row


AGENT = {"source": Source.AGENT}
CANCEL = asked()
RECORD = report(Source.EXIT_RECORD, exit_code=3)
QUEUE = report(Source.QUEUE, exit_code=3)


START_RECORD = seen(Phase.RUNNING, source=Source.EXIT_RECORD, started_at=80.0)


@pytest.mark.parametrize(
    ("record", "row", "expected"),
    [
        (job(), seen(Phase.QUEUED), []),
        (job(State.SUBMITTING, native_id=None), seen(Phase.QUEUED), ["Accepted"]),
        (job(State.SUBMITTING, native_id=None), seen(Phase.QUEUED, native_id=None), []),
        (job(State.LOST), seen(Phase.QUEUED), ["Accepted"]),
        (job(), seen(Phase.RUNNING), ["Started"]),
        (job(State.SUBMITTING, native_id=None), seen(Phase.RUNNING), ["Accepted", "Started"]),
        (job(State.LOST), seen(Phase.RUNNING), ["Accepted", "Started"]),
        # The record of a start that was known before it was lost says nothing new.
        (job(State.LOST, started_at=80.0), START_RECORD, []),
        (
            job(State.LOST, started_at=80.0),
            evolve(START_RECORD, restart=1),
            ["Accepted", "Started"],
        ),
        (job(State.LOST), START_RECORD, ["Accepted", "Started"]),
        (job(State.LOST, started_at=80.0), seen(Phase.RUNNING), ["Accepted", "Started"]),
        (job(State.RUNNING), seen(Phase.RUNNING), []),
        (job(State.RUNNING), seen(Phase.QUEUED), []),
        (job(State.RUNNING), seen(Phase.QUEUED, restart=1), ["Restarted"]),
        (job(State.RUNNING), seen(Phase.RUNNING, restart=1), ["Restarted", "Started"]),
        (job(State.COMPLETING), seen(Phase.QUEUED, restart=1), ["Restarted"]),
        (job(State.RUNNING, restart=2), seen(Phase.RUNNING, restart=1), []),
        (job(State.RUNNING), seen(Phase.SUSPENDED), ["Suspended"]),
        (job(), seen(Phase.SUSPENDED), ["Started", "Suspended"]),
        (job(State.SUSPENDED), seen(Phase.RUNNING), ["Resumed"]),
        (job(State.SUSPENDED, observed_at=NOW + 1), seen(Phase.RUNNING), []),
        (job(State.RUNNING, observed_at=NOW + 1), seen(Phase.SUSPENDED), []),
        (job(State.RUNNING), seen(Phase.ENDED, end=report(), **AGENT), ["Ended"]),
        (job(State.RUNNING), seen(Phase.ENDED), []),
        (job(State.RUNNING), seen(Phase.ENDED, end=QUEUE), ["EndReported"]),
        (job(State.COMPLETING, reports=(QUEUE,)), seen(Phase.ENDED, end=QUEUE), []),
        (
            job(State.COMPLETING, reports=(QUEUE,)),
            seen(Phase.ENDED, end=evolve(QUEUE, at=91.0)),
            [],
        ),
        (job(State.COMPLETING, reports=(QUEUE,)), seen(Phase.ENDED, end=RECORD), ["Ended"]),
        (job(State.LOST), seen(Phase.ENDED, end=report()), ["Accepted", "Ended"]),
        (
            job(State.LOST),
            seen(Phase.ENDED, end=report(exit_code=None, reason=Reason.LOST)),
            [],
        ),
        (
            job(State.SUBMITTING, native_id=None),
            seen(Phase.ENDED, end=report(), started_at=80.0),
            ["Accepted", "Started", "Ended"],
        ),
        (job(State.SUCCEEDED), seen(Phase.RUNNING), []),
        (job(State.WAITING), seen(Phase.RUNNING), []),
        (job(), seen(Phase.UNRUN), ["Withdrawn"]),
        (job(State.COMPLETING), seen(Phase.UNRUN), ["Withdrawn"]),
        (job(pending=(CANCEL,)), seen(Phase.UNRUN), ["Ended"]),
        (job(State.RUNNING), seen(Phase.UNRUN), []),
        (job(), seen(Phase.UNKNOWN, native_state="ODD"), ["NativeStateSeen"]),
        (job(), seen(Phase.UNKNOWN), []),
        (job(native_state="PD"), seen(Phase.QUEUED, native_state="PD"), []),
        (job(), seen(Phase.QUEUED, hold=frozenset({"system"})), ["HoldsSeen"]),
        (job(), seen(Phase.QUEUED, hold=frozenset()), []),
        (
            job(State.RUNNING, progress=Progress(at=90.0)),
            seen(Phase.RUNNING, progress=Progress(fraction=0.5, at=95.0)),
            ["ProgressMade"],
        ),
        (
            job(State.RUNNING, progress=Progress(at=96.0)),
            seen(Phase.RUNNING, progress=Progress(fraction=0.5, at=95.0)),
            [],
        ),
        (
            job(State.STAGING_OUT),
            seen(Phase.UNKNOWN, progress=Progress(fraction=0.5, at=95.0), native_state="F"),
            ["ProgressMade"],
        ),
        (
            job(State.STAGING_IN, token=""),
            seen(Phase.UNKNOWN, progress=Progress(fraction=0.5, at=95.0)),
            ["ProgressMade"],
        ),
        (
            job(State.RUNNING, spec={"retry": Retry(attempts=2)}),
            seen(Phase.ENDED, end=report(exit_code=1), native_state="F", hold=frozenset({"user"})),
            ["Ended"],
        ),
    ],
)
def test_what_follows_from_a_row(record: JobRecord, row: Observation, expected: list[str]) -> None:
    facts = events_of(record, row, settle_s=60.0)

    assert expected == names(facts)
    again = replay(record, facts)
    assert () == events_of(again, row, settle_s=60.0), "the same row again says nothing new"


def test_a_restart_forgets_what_was_said_of_the_run_before() -> None:
    """The end of the preempted run must not end the one that follows."""
    record = job(State.COMPLETING, reports=(QUEUE,), settle_at=160.0, started_at=80.0)
    after = replay(record, events_of(record, seen(Phase.QUEUED, restart=1), settle_s=60.0))

    assert (State.QUEUED, 1, (), None, None) == (
        after.state,
        after.restart,
        after.reports,
        after.settle_at,
        after.started_at,
    )


def test_an_end_of_a_new_restart_needs_its_own_second_channel() -> None:
    record = job(State.RUNNING, reports=(QUEUE,))
    row = seen(Phase.ENDED, end=RECORD, restart=1, started_at=95.0)

    assert ["Restarted", "Started", "EndReported"] == names(events_of(record, row, settle_s=60.0))


def test_an_array_makes_elements() -> None:
    event = e.Submitted(
        at=1.0,
        spec=spec(array=Array(indices=3), after=[Dependency(job="a")], not_before=9.0),
        backend="b",
        key="k",
        allow=("queue",),
        base_digest="d",
    )
    made = create(event, job_id="a.1", n=5, array_id="a", array_index=1)

    assert ("a.1", 5, "a", 1, "k", ("queue",), "d", 1.0, 9.0, State.NEW) == (
        made.id,
        made.n,
        made.array_id,
        made.array_index,
        made.key,
        made.allow,
        made.base_digest,
        made.submitted_at,
        made.ready_at,
        made.state,
    )


def test_an_end_without_any_how_is_lost() -> None:
    """A scheduler that says only that a job ended has not said that it failed."""
    report = EndReport(source=Source.ACCOUNTING, at=1.0)

    outcome = judge(job(State.COMPLETING), [report], settled=True, claimed=True)

    assert outcome is not None
    assert Reason.LOST is outcome.reason


def test_a_reason_that_only_the_queue_told_is_kept() -> None:
    """Accounting comes late and may say less: the limit that ended a job must not get lost."""
    queue = EndReport(source=Source.QUEUE, at=1.0, signal=9, reason=Reason.WALL_TIME)
    accounting = EndReport(source=Source.ACCOUNTING, at=2.0, exit_code=0)
    record = EndReport(source=Source.EXIT_RECORD, at=1.0, signal=15)

    outcome = judge(job(State.COMPLETING), [queue, accounting, record])

    assert outcome is not None
    assert (Reason.WALL_TIME, 15, None) == (outcome.reason, outcome.signal, outcome.exit_code)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Started.NO),
        ({"restart": 1}, Started.UNKNOWN),
        ({"spec": {"requeue": True}}, Started.UNKNOWN),
        ({"spec": {"requeue": True}, "native_id": None}, Started.NO),
    ],
)
def test_a_job_that_was_requeued_may_have_run(changes: dict[str, Any], expected: Started) -> None:
    """Ended while it waits in the queue again, it is not one that never started."""
    ended = report(exit_code=None, started=Started.NO, reason=Reason.CANCELLED)
    outcome = judge(job(**changes), [ended])

    assert outcome is not None
    assert expected is outcome.started
    assert expected is unrun_outcome(job(**changes), Reason.CANCELLED).started


def test_a_restart_that_could_not_be_launched_may_have_run_before() -> None:
    """The scheduler began it once more and failed: that the command never started is not true."""
    told = EndReport(source=Source.QUEUE, at=1.0, exit_code=1)
    outcome = judge(job(State.COMPLETING, restart=1), [told], settled=True, claimed=False)

    assert outcome is not None
    assert (Reason.LAUNCH_FAILED, Started.UNKNOWN) == (outcome.reason, outcome.started)


def test_what_accounting_cannot_know_is_no_news_where_the_record_knows_it() -> None:
    """`exit code 7: by accounting, which writes 7 for 135 as well` makes people doubt the 7."""
    record = EndReport(source=Source.EXIT_RECORD, at=1.0, exit_code=7)
    accounting = EndReport(source=Source.ACCOUNTING, at=1.0, exit_code=7, message="or 135")
    by_it = evolve(accounting, reason=Reason.WALL_TIME, message="TIMEOUT")

    outcomes = [judge(job(State.COMPLETING), [record, word]) for word in (accounting, by_it)]

    assert ["", "TIMEOUT"] == [outcome.message for outcome in outcomes if outcome]


@pytest.mark.parametrize(
    ("sampled", "measured", "told"), [(5, 9, 9), (9, 5, 9), (None, 5, 5), (5, None, 5), (None,) * 3]
)
def test_the_peak_of_memory_is_the_larger_of_two(
    sampled: int | None, measured: int | None, told: int | None
) -> None:
    """Slurm looks once a second, at half of what a job of a second had; it sees children, too."""
    record = EndReport(
        source=Source.EXIT_RECORD, at=1.0, exit_code=0, usage=Usage(max_rss_bytes=measured)
    )
    accounting = EndReport(
        source=Source.ACCOUNTING, at=1.0, exit_code=0, usage=Usage(max_rss_bytes=sampled)
    )

    outcome = judge(job(State.COMPLETING), [record, accounting])
    assert outcome is not None
    assert told == outcome.usage.max_rss_bytes


def test_of_one_instant_the_stop_counts() -> None:
    """A server that tells whole seconds and pushes would never be asked again."""
    running = job(State.RUNNING, started_at=NOW, observed_at=NOW)
    suspended = evolve(running, state=State.SUSPENDED)

    assert ["Suspended"] == names(events_of(running, seen(Phase.SUSPENDED), settle_s=10.0))
    assert [] == names(events_of(suspended, seen(Phase.RUNNING), settle_s=10.0))
    older = seen(Phase.SUSPENDED, at=NOW - 1.0)
    assert [] == names(events_of(running, older, settle_s=10.0))


@pytest.mark.parametrize(("before", "pause_s"), [(0, None), (1, 2.0), (5, 32.0), (5000, 512.0)])
def test_what_is_never_run_is_handed_over_more_and_more_rarely(
    before: int, pause_s: float | None
) -> None:
    """A folder without hard links let every job come back at once: for ever, every two seconds."""
    row = seen(Phase.UNRUN, native_state="the claim is in doubt")
    (fact,) = events_of(job(uncounted=before), row, settle_s=10.0)

    assert isinstance(fact, e.Withdrawn)
    assert fact.ready_at == (None if pause_s is None else NOW + pause_s)
    assert fact.why.endswith(": the claim is in doubt")


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_a_restart_that_did_not_run_is_no_attempt_that_never_ran(state: State) -> None:
    """Withdrawn, it would be tried again without being counted, though it ran once."""
    requeued = job(state, spec={"requeue": True, "retry": Retry(attempts=2)})
    facts = events_of(requeued, seen(Phase.UNRUN, restart=1), settle_s=10.0)
    after = replay(requeued, facts)

    assert ["Ended"] == names(facts)
    assert (State.WAITING, 2, 2) == (after.state, after.attempt, after.counted_attempt)
    last = replay(after, [e.SubmitIntended(at=NOW, attempt=2, token="t", batch="b")])
    ended = replay(last, events_of(last, seen(Phase.UNRUN, restart=1), settle_s=10.0))
    assert (State.FAILED, Reason.PREEMPTED) == (ended.state, ended.outcome and ended.outcome.reason)
