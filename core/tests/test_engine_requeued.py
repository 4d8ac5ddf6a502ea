"""Jobs that the scheduler may run again, and their last end."""

from typing import Any

import pytest

from drover._engine import _duties
from drover.commandline import Owner, claims
from drover.models import Claim, Phase, Source, Verb, Verdict
from drover.states import State

Bench = Any


@pytest.fixture
def site(bench: Bench) -> Bench:
    """Give a backend that may run an attempt again, with claims in folders."""
    bench.capable(claim=Claim.DIRECTORY, restart=True)
    return bench


def start(bench: Bench, job: Any, restart: int) -> claims.Taking:
    """Claim a start as the job's wrapper does."""
    folder = bench.start().attempt_dir(job.record)
    folder.mkdir(parents=True, exist_ok=True)
    owner = Owner(native_id=job.record.native_id, restart=restart)
    return claims.take(folder, owner, requeue=True)


def test_what_has_ended_is_not_run_again(site: Bench) -> None:
    """An operator may requeue a job that has ended; for its user it is over."""
    job = site.placed(Phase.RUNNING, requeue=True)
    assert start(site, job, 0).won
    site.world.end(job.record.token)
    site.advance(5)

    assert State.SUCCEEDED is job.state
    assert not start(site, job, 1).won


def test_a_start_that_came_first_goes_on(site: Bench) -> None:
    """The end that is told is of the run before it."""
    job = site.placed(Phase.RUNNING, requeue=True)
    assert start(site, job, 0).won
    assert start(site, job, 1).won
    site.world.end(job.record.token, 1)
    site.advance(5)
    assert State.RUNNING is job.state

    site.world.see(job.record.token, Phase.RUNNING, restart=1)
    site.advance(5)
    assert 1 == job.record.restart


def test_the_same_by_the_settle_time(site: Bench) -> None:
    """One channel alone ends it as finally as two."""
    job = site.placed(Phase.RUNNING, requeue=True)
    assert start(site, job, 0).won
    site.world.end(job.record.token, 3, source=Source.EXIT_RECORD)
    site.advance(site.world.capabilities.settle_s + 5)

    assert (State.FAILED, 3) == (job.state, job.outcome.exit_code)
    assert not start(site, job, 1).won


def test_a_run_that_leaves_its_nodes_is_waited_for(site: Bench) -> None:
    """A preempted job was FAILED where cleaning up takes longer than the settle time."""
    job = site.placed(Phase.RUNNING, requeue=True)
    assert start(site, job, 0).won
    end = site.world.end(job.record.token, 3, source=Source.EXIT_RECORD)
    site.world.see(job.record.token, Phase.RUNNING, source=Source.QUEUE, end=None)
    site.contexts[-1].report([end])
    site.advance(site.world.capabilities.settle_s + 60)
    assert State.COMPLETING is job.state, site.story()
    site.world.see(job.record.token, Phase.QUEUED, restart=1, end=None)
    site.advance(5)
    assert (State.QUEUED, 1) == (job.state, job.record.restart)


@pytest.mark.parametrize("why", ["cancelled", "stuck"])
def test_a_run_that_never_leaves_is_not_waited_for(
    site: Bench, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Its end stands in its record, and nobody wants it to be run again."""
    monkeypatch.setattr(_duties, "LEAVING_S", 100.0 if why == "stuck" else 1000.0)
    job = site.placed(Phase.RUNNING, requeue=True)
    assert start(site, job, 0).won
    end = site.world.end(job.record.token, 3, source=Source.EXIT_RECORD)
    site.world.see(job.record.token, Phase.RUNNING, source=Source.QUEUE, end=None)
    site.contexts[-1].report([end])
    if why == "cancelled":
        site.ask(job, Verb.CANCEL)
    site.advance(site.world.capabilities.settle_s + (100 if why == "stuck" else 0) + 60)

    assert (True, 3) == (job.state.ends_wait, job.outcome and job.outcome.exit_code), site.story()


def test_without_requeue_no_claim_is_needed(site: Bench) -> None:
    """Nothing can follow a start of such a job, and most jobs are such."""
    job = site.placed(Phase.RUNNING)
    assert start(site, job, 0).won
    site.world.end(job.record.token)
    site.advance(5)

    assert State.SUCCEEDED is job.state
    assert 1 == len(claims.read(site.start().attempt_dir(job.record)))


def test_a_requeue_has_to_be_allowed_beforehand(site: Bench) -> None:
    """Its command would run twice, and its user has not said that it may."""
    job = site.placed(Phase.RUNNING)
    site.ask(job, Verb.REQUEUE)
    site.advance(1)

    assert [Verdict.REFUSED] == site.verdicts(job)
    assert [] == site.world.called("drover_control")


def test_a_requeue_is_carried_out_by_the_backend(site: Bench) -> None:
    """It is the scheduler that runs it again."""
    job = site.placed(Phase.RUNNING, requeue=True)
    site.ask(job, Verb.REQUEUE)
    site.advance(1)
    site.world.see(job.record.token, Phase.QUEUED, restart=1)
    site.advance(5)

    assert [Verdict.DONE] == site.verdicts(job)
    assert (State.QUEUED, 1) == (job.state, job.record.restart)
