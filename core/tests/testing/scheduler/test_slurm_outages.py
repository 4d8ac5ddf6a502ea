"""Daemons stop, hang, crash and come back; what was asked meanwhile is not forgotten."""

from typing import Any

import pytest

from drover.errors import UnreachableError
from drover.testing.scheduler import SlurmScheduler
from drover.testing.scheduler.slurm import State

SCRIPT = b"#!/bin/sh\n"


def test_a_hung_controller_does_later_what_it_was_asked(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """Every sbatch that timed out is a job once the controller wakes."""
    job = prompt.submit()
    scheduler.freeze()
    assert 1 == prompt("sbatch -J late", input=SCRIPT).returncode
    with pytest.raises(UnreachableError):
        prompt("sbatch -J later", input=SCRIPT, timeout_s=3.0)
    prompt(f"scancel {job}")
    assert [State.PENDING] == [one.state for one in scheduler.jobs]
    scheduler.wake()

    assert [("", "CANCELLED"), ("late", "PENDING"), ("later", "PENDING")] == [
        ("" if str(one.job_id) == job else one.name, one.state) for one in scheduler.jobs
    ]


def test_a_stopped_controller_has_heard_nothing(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A connection that was refused is a submission that never was."""
    scheduler.stop()
    assert 1 == prompt("sbatch", input=SCRIPT).returncode
    scheduler.restart()

    assert [] == scheduler.jobs


def test_jobs_go_on_without_a_controller(scheduler: SlurmScheduler, prompt: Any) -> None:
    """Its end is seen when it is back."""
    job = prompt.submit()
    scheduler.start(job)
    scheduler.stop()
    scheduler.finish(job, 3)
    scheduler.advance(100.0)
    scheduler.restart()

    assert "FAILED/NonZeroExitCode" == prompt.state(job)


def test_a_crash_forgets_the_last_jobs_and_gives_their_ids_away(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """An id alone does not say which job it is."""
    old = prompt.submit("-J old")
    scheduler.advance(60.0)
    lost = prompt.submit("-J lost")
    scheduler.advance(2.0)
    assert [lost] == [one.native_id for one in scheduler.crash()]
    again = prompt.submit("-J another")

    assert lost == again
    assert [(old, "old"), (lost, "another")] == [
        (one.native_id, one.name) for one in scheduler.jobs
    ]


def test_accounting_is_told_later_what_it_missed(scheduler: SlurmScheduler, prompt: Any) -> None:
    """Nothing that happened while slurmdbd was down is missing when it is back."""
    scheduler.stop_accounting()
    job = prompt.submit()
    scheduler.finish(job, 3)
    scheduler.advance(60.0)
    down = prompt(f"sacct -n -P -X -j {job} -o State")
    scheduler.restart_accounting()

    assert (1, "") == (down.returncode, down.stdout)
    assert "Problem talking to the database: Connection refused" in down.stderr
    assert "FAILED\n" == prompt.says(f"sacct -n -P -X -j {job} -o State")


def test_a_database_that_is_gone_has_words_of_its_own(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """A doctor can tell which daemon to start."""
    scheduler.accounting.database_up = False

    assert "Unable to connect to database" in prompt("sacct").stderr


def test_a_site_without_accounting_says_so(scheduler: SlurmScheduler, prompt: Any) -> None:
    """That is no outage, and will not pass."""
    scheduler.change_site(accounting=False)

    assert (1, "Slurm accounting storage is disabled\n") == (
        prompt("sacct").returncode,
        prompt("sacct").stderr,
    )


def test_sacct_needs_no_controller(scheduler: SlurmScheduler, prompt: Any) -> None:
    """And squeue no database."""
    job = prompt.submit()
    scheduler.advance(5.0)
    scheduler.stop()
    assert "PENDING\n" == prompt.says(f"sacct -n -P -X -j {job} -o State")
    scheduler.restart()
    scheduler.stop_accounting()

    assert "PENDING/None" == prompt.state(job)


def test_accounting_can_lie_and_forget(scheduler: SlurmScheduler, prompt: Any) -> None:
    """About one job, whether or not it is still in memory."""
    job = prompt.submit()
    scheduler.finish(job, 3)
    gone = scheduler.forget(job)
    scheduler.advance(5.0)
    query = f"sacct -n -P -X -j {job} -o JobName,State,ExitCode"
    scheduler.account(gone, word="COMPLETED", exit_code="0:0")
    assert "sbatch|COMPLETED|0:0\n" == prompt.says(query)
    scheduler.account_half(gone)
    assert "allocation|COMPLETED|0:0\n" == prompt.says(query)
    scheduler.erase(gone)
    assert "" == prompt.says(query)


def test_a_requeued_job_has_two_accounts(scheduler: SlurmScheduler, prompt: Any) -> None:
    """`-D` shows them all, else the last alone; the submit time is the requeue's."""
    job = prompt.submit()
    scheduler.start(job)
    scheduler.advance(60.0)
    scheduler.requeue(job)
    assert "PENDING/BeginTime" == prompt.state(job)
    scheduler.advance(5.0)
    both = prompt.says(f"sacct -n -P -X -D -j {job} -o State,Submit").splitlines()

    assert ["REQUEUED", "PENDING"] == [line.partition("|")[0] for line in both]
    assert both[0] < both[1].replace("PENDING", "REQUEUED")
    assert "PENDING\n" == prompt.says(f"sacct -n -P -X -j {job} -o State")
    scheduler.advance(120.0)
    assert "PENDING/None" == prompt.state(job)
