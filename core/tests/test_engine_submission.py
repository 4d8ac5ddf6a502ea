"""The three answers to a submission, and what an engine may conclude from each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drover.models import Claim, Phase, Retry
from drover.states import State
from drover.testing import EngineDriver, Faults, SimulatedCluster

CALM = Faults()


@pytest.fixture(name="drive")
def _drive(tmp_path: Path) -> Iterator[Callable[..., EngineDriver]]:
    """Give a way to make an engine on a simulated world; each is checked at the end."""
    made: list[EngineDriver] = []

    def drive(
        claim: Claim = Claim.SERVER_KEY, *, auto: bool = True, **faults: float
    ) -> EngineDriver:
        cluster = SimulatedCluster(claim=claim, auto=auto)
        driver = EngineDriver(tmp_path, cluster, faults=Faults(**faults))
        made.append(driver)
        return driver

    yield drive
    for driver in made:
        driver.check_replay()
        driver.close()


def test_a_refused_repetition_proves_nothing(drive: Callable[..., EngineDriver]) -> None:
    """A server that turns the second request away may have accepted the first."""
    driver = drive(lose_answer=1.0)
    job = driver.session.submit(["x"], native={"simulated": {"queue_s": 30, "run_s": 30}})
    driver.settle()
    driver.set_faults(Faults(refuse=1.0))
    driver.advance(120.0)
    driver.set_faults(CALM)
    driver.run_until_over()

    end = (len(driver.cluster.executions), job.state)
    assert end in {(1, State.SUCCEEDED), (0, State.FAILED)}, driver.story(driver.records())


@pytest.mark.parametrize("claim", list(Claim))
def test_an_accepted_job_whose_answer_was_lost(
    drive: Callable[..., EngineDriver], claim: Claim
) -> None:
    """It is found, or at worst honestly LOST; it never runs twice."""
    driver = drive(claim, lose_answer=1.0)
    job = driver.session.submit(["x"])
    driver.settle()
    driver.set_faults(CALM)
    driver.run_until_over()

    assert len(driver.cluster.executions) == 1, driver.story(driver.records())
    assert job.state is State.SUCCEEDED, driver.story(driver.records())


def test_nothing_is_lost_before_a_search_was_answered(drive: Callable[..., EngineDriver]) -> None:
    """While nobody can be asked nobody has said that the job is not there."""
    driver = drive(Claim.NONE, lose_answer=1.0)
    job = driver.session.submit(["x"], native={"simulated": {"run_s": 5}})
    driver.settle()
    driver.set_faults(Faults(unreachable=1.0))
    driver.advance(300.0)
    assert job.state is State.SUBMITTING, driver.story(driver.records())
    driver.set_faults(CALM)
    driver.run_until_over()

    assert job.state is State.SUCCEEDED, driver.story(driver.records())


def test_an_engine_that_was_away_searches_before_it_gives_up(
    drive: Callable[..., EngineDriver],
) -> None:
    """The time for an answer may have passed while nobody was there to ask."""
    driver = drive(Claim.NONE, lose_answer=1.0)
    job = driver.session.submit(["x"], native={"simulated": {"run_s": 5}})
    driver.settle()
    driver.crash()
    driver.cluster.advance(3600.0)
    driver.set_faults(CALM)
    driver.run_until_over()

    assert job.state is State.SUCCEEDED, driver.story(driver.records())


@pytest.mark.parametrize("claim", list(Claim))
def test_a_hung_server_that_accepts_when_it_wakes(
    drive: Callable[..., EngineDriver], claim: Claim
) -> None:
    """A negative search proves nothing: what was given up must not run beside its successor."""
    driver = drive(claim, lose_request=1.0, accept_late=1.0, late_s=300.0)
    driver.session.submit(["x"])
    driver.settle()
    driver.set_faults(CALM)
    driver.run_until_over()
    driver.advance(600.0)

    assert len(driver.cluster.executions) <= 1, driver.story(driver.records())


@pytest.mark.parametrize("claim", list(Claim))
@pytest.mark.parametrize("steps", range(8))
def test_an_engine_killed_anywhere_in_a_submission(
    drive: Callable[..., EngineDriver], claim: Claim, steps: int
) -> None:
    """The intent is durable before the call, so that the next engine settles it."""
    driver = drive(claim)
    driver.session.submit(["x"])
    driver.start().round()
    for _ in range(steps):
        driver.step()
    driver.crash()
    driver.run_until_over()

    runs, (record,) = len(driver.cluster.executions), driver.records()
    assert runs <= 1, driver.story([record])
    assert record.state is State.SUCCEEDED or (claim is Claim.NONE and record.state is State.LOST)
    assert runs == 1 or record.state is State.LOST, driver.story([record])


def test_a_stale_row_behind_an_end_that_opens_a_retry(drive: Callable[..., EngineDriver]) -> None:
    """Rows of one report are taken in one after the other: the second finds the next attempt."""
    driver = drive(auto=False)
    job = driver.session.submit(["x"], retry=Retry(attempts=2, backoff_s=60.0))
    driver.settle()
    token = job.record.token
    driver.cluster.finish(token, 3)
    native, backend = driver.cluster.current(token), driver.backend
    ended, running = (backend._row(native, row) for row in reversed(native.past[-2:]))
    assert (ended.phase, running.phase) == (Phase.ENDED, Phase.RUNNING)
    backend.context.report([ended, running])
    driver.settle()

    assert (job.record.attempt, job.state) == (2, State.WAITING), driver.story([job.record])
