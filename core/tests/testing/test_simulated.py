"""The simulated world does what it is told, and the same each time."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from drover.errors import PluginError, UnknownFieldError, UnreachableError
from drover.models import (
    Answer,
    Claim,
    Closing,
    JobSpec,
    Observation,
    Phase,
    Source,
    Verb,
    Verdict,
)
from drover.testing import BackendHarness, Faults, SimulatedBackend, SimulatedCluster

_NONE = Faults()


@pytest.fixture(name="make")
def _make(tmp_path: Path) -> Any:
    """Give a way to make a world that tests move, and a harness on it."""

    def make(
        claim: Claim = Claim.SERVER_KEY, faults: Faults = _NONE, **fields: Any
    ) -> tuple[SimulatedCluster, BackendHarness]:
        cluster = SimulatedCluster(claim=claim, **{"auto": False, **fields})
        factory = SimulatedBackend.on(cluster, faults=faults)
        return cluster, BackendHarness("simulated", tmp_path, factory=factory, clock=cluster.clock)

    return make


def phases(rows: list[Observation]) -> list[Phase]:
    return [row.phase for row in rows]


def test_a_job_goes_its_way(make: Any) -> None:
    """Queued, running, ended: as the test says."""
    cluster, harness = make()
    attempt = harness.attempt(["x"])
    harness.submit(attempt)
    for move in (
        lambda: None,
        lambda: cluster.start(attempt.token),
        lambda: cluster.finish(attempt.token, 3),
    ):
        move()
        harness.seen(attempt)

    assert phases(harness.reported) == [Phase.QUEUED, Phase.RUNNING, Phase.ENDED]
    end = harness.reported[-1].end
    assert end is not None
    assert (end.exit_code, end.source) == (3, Source.SERVER)
    assert cluster.runs(attempt.token) == 1


def test_jobs_move_by_themselves(make: Any) -> None:
    """With `auto`, options say how long and how it ends."""
    cluster, harness = make(auto=True)
    options = {"simulated": {"queue_s": 2, "run_s": 3, "signal": 9}}
    attempt = harness.attempt(["x"], native=options)
    harness.submit(attempt)
    told = []
    for _ in range(4):
        told.append(harness.seen(attempt)[-1].phase)
        cluster.advance(1.9)

    assert told == [Phase.QUEUED, Phase.QUEUED, Phase.RUNNING, Phase.ENDED]
    assert harness.reported[-1].end.signal == 9


def test_the_same_seed_gives_the_same_story(make: Any) -> None:
    """A failure that cannot be repeated cannot be mended."""

    def story() -> list[tuple[str, float]]:
        cluster, harness = make(auto=True, seed=7)
        attempts = [harness.attempt(["x"]) for _ in range(10)]
        harness.submit(*attempts)
        cluster.advance(60.0)
        start = cluster.executions[0].at
        return [(run.native_id, run.at - start) for run in cluster.executions]

    assert story() == story()


@pytest.mark.parametrize("claim", list(Claim))
def test_a_repeated_submission(make: Any, claim: Claim) -> None:
    """Only a claim makes a second run impossible."""
    cluster, harness = make(claim=claim)
    attempt = harness.attempt(["x"])
    harness.submit(attempt)
    harness.submit(attempt)
    for job in list(cluster.by_token(attempt.token)):
        if job.now.phase is Phase.QUEUED:
            cluster._start(job, 0.0)

    assert cluster.runs(attempt.token) == (2 if claim is Claim.NONE else 1)


def test_a_closed_token_never_starts(make: Any) -> None:
    """CLOSED is a promise."""
    cluster, harness = make()
    attempt = harness.attempt(["x"])
    (closed,) = harness.close(attempt.token)
    (answer,) = harness.submit(attempt)

    assert closed.closing is Closing.CLOSED
    assert answer.answer is Answer.REFUSED
    assert cluster.jobs == []


def test_closing_ends_what_waits_and_not_what_runs(make: Any) -> None:
    """What was started is taken."""
    cluster, harness = make()
    waits, runs = harness.attempt(["x"]), harness.attempt(["x"])
    harness.submit(waits, runs)
    cluster.start(runs.token)

    told = {answer.token: answer.closing for answer in harness.close(waits.token, runs.token)}
    assert told == {waits.token: Closing.CLOSED, runs.token: Closing.TAKEN}
    assert cluster.current(waits.token).now.phase is Phase.ENDED


@pytest.mark.parametrize(
    ("faults", "accepted"),
    [
        (Faults(lose_answer=1.0), 1),
        (Faults(lose_request=1.0), 0),
        (Faults(no_answer=1.0), 1),
    ],
)
def test_a_submission_without_an_answer(make: Any, faults: Faults, accepted: int) -> None:
    """Nobody can tell these cases apart, but the oracle."""
    cluster, harness = make(faults=faults)
    answers = harness.submit(harness.attempt(["x"]))

    assert [a for a in answers if a.answer is not Answer.UNKNOWN] == []
    assert len(cluster.jobs) == accepted


def test_a_hung_server_accepts_when_it_wakes(make: Any) -> None:
    """A negative search proves nothing."""
    cluster, harness = make(faults=Faults(lose_request=1.0, accept_late=1.0, late_s=10.0))
    attempt = harness.attempt(["x"])
    harness.submit(attempt)

    assert harness.find(attempt.token) == []
    cluster.advance(10.0)
    assert [row.token for row in harness.find(attempt.token)] == [attempt.token]


def test_faults_of_calls(make: Any) -> None:
    """Before the effect, and after it."""
    cluster, harness = make(faults=Faults(unreachable=1.0))
    with pytest.raises(UnreachableError):
        harness.submit(harness.attempt(["x"]))
    assert cluster.jobs == []

    cluster, harness = make(faults=Faults(crash=1.0))
    with pytest.raises(PluginError):
        harness.submit(harness.attempt(["x"]))
    assert len(cluster.jobs) == 1


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (Faults(drop_row=1.0), []),
        (Faults(repeat_row=1.0), [Phase.RUNNING, Phase.RUNNING]),
        (Faults(unknown_word=1.0), [Phase.UNKNOWN]),
    ],
)
def test_faults_of_rows(make: Any, faults: Faults, told: list[Phase]) -> None:
    """Listings lie by leaving out, by repeating, and by words."""
    cluster, harness = make(faults=faults)
    attempt = harness.attempt(["x"])
    harness.submit(attempt)
    cluster.start(attempt.token)

    assert phases(harness.seen(attempt)) == told


def test_a_listing_lags(make: Any) -> None:
    """What happened a moment ago is not listed yet."""
    cluster, harness = make(faults=Faults(lag_s=10.0))
    attempt = harness.attempt(["x"])
    harness.submit(attempt)

    assert harness.seen(attempt) == []
    cluster.advance(10.0)
    assert phases(harness.seen(attempt)) == [Phase.QUEUED]


def test_foreign_rows_are_foreign(make: Any) -> None:
    """A row of somebody else must never look like ours."""
    _, harness = make(faults=Faults(foreign_row=1.0))
    attempt = harness.attempt(["x"])
    harness.submit(attempt)
    placed = harness.placed(attempt)
    rows = [row for _ in range(10) for row in harness.observe(attempt).observations]

    identity = (placed.token, placed.submitted_at)
    foreign = [row for row in rows if (row.token, row.submitted_at) != identity]
    assert len(foreign) == 10


def test_two_channels_tell_an_end(make: Any) -> None:
    """With an exit record the scheduler and the wrapper both speak."""
    cluster, harness = make(claim=Claim.DIRECTORY)
    attempt = harness.attempt(["x"])
    harness.submit(attempt)
    cluster.finish(attempt.token, 4)

    told = [(row.source, row.end.exit_code) for row in harness.seen(attempt) if row.end]
    assert told == [(Source.ACCOUNTING, 4), (Source.EXIT_RECORD, 4)]


def test_requests(make: Any) -> None:
    """Hold, suspend and their opposites; cancel by TERM within its grace."""
    cluster, harness = make()
    attempt = harness.attempt(["x"])
    harness.submit(attempt)

    def ask(verb: Verb, **fields: Any) -> Verdict:
        return harness.control(attempt, verb, **fields).verdict

    assert [ask(Verb.HOLD), ask(Verb.RELEASE), ask(Verb.RESUME)] == [
        Verdict.DONE, Verdict.DONE, Verdict.REFUSED,
    ]  # fmt: skip
    cluster.start(attempt.token)
    assert [ask(Verb.SUSPEND), ask(Verb.RESUME)] == [Verdict.DONE, Verdict.DONE]
    assert ask(Verb.CANCEL, grace_s=2.0) is Verdict.SIGNALLED
    cluster.advance(2.0)
    assert ask(Verb.CANCEL) is Verdict.TOO_LATE
    assert harness.seen(attempt)[-1].end.signal == 15
    other = evolve(harness.placed(attempt), token="another")
    assert harness.control(other, Verb.KILL).verdict is Verdict.TOO_LATE


def test_a_restart_runs_again(make: Any) -> None:
    """A requeue counts as another run of the same token."""
    cluster, harness = make()
    attempt = harness.attempt(["x"], requeue=True)
    harness.submit(attempt)
    cluster.start(attempt.token)
    cluster.requeue(attempt.token)
    cluster.finish(attempt.token)

    assert [run.restart for run in cluster.executions] == [0, 1]
    assert harness.seen(attempt)[-1].restart == 1


def test_unknown_options_are_refused(make: Any) -> None:
    """A misspelt option in a test would test nothing."""
    _, harness = make()

    with pytest.raises(UnknownFieldError):
        harness.backend.call(
            "drover_plan", spec=JobSpec(argv=["x"], native={"simulated": {"exitcode": 1}})
        )
