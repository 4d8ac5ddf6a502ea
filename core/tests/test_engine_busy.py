"""What the engine does otherwise while much is under way: more at a time, nothing forgotten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from drover._engine._engine import MANY
from drover._engine._inbox import PATIENCE_S
from drover._engine._runtime import FIRST_TURNS, REFILL_S, Runtime
from drover._plugins import assemble
from drover.events import Accepted
from drover.models import Capabilities, Claim, JobSpec
from drover.session import Job
from drover.states import State
from drover.testing import EngineDriver, FakeClock, SimulatedCluster, default_capabilities
from drover.testing._driver import ManualLane
from drover.testing._simulated import SimulatedBackend


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[EngineDriver]:
    """An engine over a server that pushes."""
    cluster = SimulatedCluster(claim=Claim.SERVER_KEY, auto=False)
    capabilities = evolve(default_capabilities(Claim.SERVER_KEY), push=True)
    driver = EngineDriver(tmp_path / "home", cluster, capabilities=capabilities)
    yield driver
    driver.check_replay()
    driver.close()


def submit(driver: EngineDriver, count: int) -> list[Job]:
    jobs = driver.session.submit_many([JobSpec(argv=["x"]) for _ in range(count)])
    return [job for job in jobs if isinstance(job, Job)]


def accepted_in_silence(driver: EngineDriver) -> list[Job]:
    """Let a server accept more jobs than are few, and say nothing more of them."""
    driver.start().load("simulated")
    driver.settle()
    driver.backend.detach()
    jobs = submit(driver, MANY + 8)
    driver.settle()
    return jobs


def states(jobs: list[Job]) -> set[State]:
    return {job.state for job in jobs}


def facts(driver: EngineDriver, job: Job, kind: type) -> int:
    with driver.session.store.read() as reader:
        return sum(isinstance(entry.event, kind) for entry in reader.history(job.record))


def test_an_acceptance_waits_for_the_end_of_a_short_job(driver: EngineDriver) -> None:
    """Both are written at once then, and the job's story is the same."""
    jobs = accepted_in_silence(driver)

    assert {State.SUBMITTING} == states(jobs)

    driver.cluster.watchers.append(driver.backend._push)
    for job in jobs:
        driver.cluster.finish(job.record.token)
    driver.settle()

    assert {State.SUCCEEDED} == states(jobs)
    assert {1} == {facts(driver, job, Accepted) for job in jobs}


def test_an_acceptance_does_not_wait_for_long(driver: EngineDriver) -> None:
    """A job that stays in the queue is told to be there."""
    jobs = accepted_in_silence(driver)
    driver.advance(PATIENCE_S * 2)

    assert {State.QUEUED} == states(jobs)


def test_few_jobs_wait_for_nothing(driver: EngineDriver) -> None:
    jobs = submit(driver, 3)
    driver.settle()

    assert {State.QUEUED} == states(jobs)


def test_an_engine_killed_while_acceptances_wait_loses_nothing(driver: EngineDriver) -> None:
    """What it had not written is told again: no job runs twice."""
    jobs = accepted_in_silence(driver)
    driver.crash()
    for job in jobs:
        driver.cluster.start(job.record.token)
        driver.cluster.finish(job.record.token)
    driver.run_until_over()

    assert {State.SUCCEEDED} == states(jobs)
    assert len(jobs) == len(driver.cluster.executions)


def runtime(clock: FakeClock, **capabilities: Any) -> Runtime:
    backend = assemble("b", SimulatedBackend(capabilities=Capabilities(**capabilities)), {})
    lane: Any = ManualLane(backend, lambda _reply: None)
    return Runtime(backend, lane, lane, clock, "b")


def test_a_window_that_is_nearly_full_is_filled_up_after_a_while() -> None:
    """One round per start would cost more than the jobs; none would leave slots idle."""
    clock = FakeClock()
    one = runtime(clock, window=100)
    one.handed_over()
    first = [one.room(90), one.room(75), one.room(100)]
    one.room(90)
    put_off = one.wake_at()
    clock.advance(REFILL_S)

    assert [0, 25, 0] == first
    assert put_off is not None
    assert put_off <= clock.monotonic()
    assert 10 == one.room(90)


def test_a_backend_that_has_nothing_to_do_gets_a_part_first() -> None:
    """It would wait until all that it can take was written down and sent."""
    one = runtime(FakeClock(), window=1000)

    assert [FIRST_TURNS, 900] == [one.room(0), one.room(100)]
    assert 10 == runtime(FakeClock(), window=10).room(0)


def test_the_rest_follows_at_once(tmp_path: Path) -> None:
    """Slots would be idle until one of the first jobs ends."""
    cluster = SimulatedCluster(claim=Claim.SERVER_KEY, auto=False)
    capabilities = evolve(default_capabilities(Claim.SERVER_KEY), push=True, window=1000)
    driver = EngineDriver(tmp_path / "home", cluster, capabilities=capabilities)
    engine = driver.start()
    engine.load("simulated")
    driver.settle()
    submit(driver, FIRST_TURNS + 8)
    placed: list[int] = []
    while engine.round():
        placed.append(len(engine.desk.jobs))
    driver.check_replay()
    driver.close()

    assert [FIRST_TURNS] == placed
    assert FIRST_TURNS + 8 == len(engine.desk.jobs)


def test_who_was_put_off_and_asks_no_more_keeps_nobody_awake() -> None:
    """A time in the past that nobody looks at would let the engine spin."""
    clock = FakeClock()
    one = runtime(clock, window=100)
    one._starting = True
    one.handed_over()
    one.room(90)
    clock.advance(REFILL_S)
    one.begin_round()

    assert one.wake_at() is None


def test_it_drains_when_nothing_waits_for_its_turn(tmp_path: Path) -> None:
    """Jobs that run are no reason to let others' ends wait."""
    cluster = SimulatedCluster(claim=Claim.SERVER_KEY, auto=False)
    capabilities = evolve(default_capabilities(Claim.SERVER_KEY), push=True, window=4)
    driver = EngineDriver(tmp_path / "home", cluster, capabilities=capabilities)
    engine = driver.start()
    engine.load("simulated")
    jobs = submit(driver, 6)
    driver.settle()

    assert not engine.is_draining

    for job in jobs[:2]:
        cluster.finish(job.record.token)
    driver.settle()

    assert engine.is_draining
    assert {State.SUCCEEDED: 2, State.QUEUED: 4} == driver.session.counts()
    driver.close()


def test_a_look_comes_soon_and_never_close_upon_another() -> None:
    """A scheduler learns of an end after who was there; a stream of ends is one look each time."""
    clock = FakeClock()
    one = runtime(clock, poll_s=2.0)
    one.look_soon()

    assert clock.monotonic() + 1.0 == one.next_look

    one.next_look, one.looked_at = None, clock.monotonic()
    clock.advance(0.5)
    one.look_soon()
    assert clock.monotonic() + 1.5 == one.next_look

    clock.advance(0.25)
    one.look_soon()
    assert clock.monotonic() + 1.25 == one.next_look
