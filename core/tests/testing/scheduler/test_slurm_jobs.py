"""A job goes its way on a scripted Slurm, and each command sees it as the real one does."""

from typing import Any

import pytest

from drover.testing.scheduler import SlurmScheduler


def test_a_job_waits_runs_and_ends(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A backend must meet the states in the order in which a cluster shows them."""
    job = prompt.submit("-J mine")
    seen = [prompt.state(job)]
    scheduler.start(job)
    seen.append(prompt.state(job))
    scheduler.finish(job, 3, completing_s=2.0)
    seen.append(prompt.state(job))
    scheduler.advance(2.0)
    seen.append(prompt.state(job))

    assert [
        "PENDING/None",
        "RUNNING/None",
        "COMPLETING/NonZeroExitCode",
        "FAILED/NonZeroExitCode",
    ] == seen


def test_a_job_leaves_the_memory_and_stays_in_accounting(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """MinJobAge after its end a job is unknown to squeue; only sacct can still tell."""
    job = prompt.submit("-J mine")
    scheduler.advance(5.0)
    scheduler.finish(job)
    scheduler.advance(301.0)
    gone = prompt(f"squeue -h -t all -j {job}")

    assert (1, "slurm_load_jobs error: Invalid job id specified\n") == (
        gone.returncode,
        gone.stderr,
    )
    assert f"{job}|mine|COMPLETED|0:0\n" == prompt.says(
        f"sacct -n -P -X -j {job} --format=JobID,JobName,State,ExitCode"
    )


def test_a_refused_submission_leaves_a_record(prompt: Any) -> None:
    """Its id is used up, and a search by name finds a job that failed."""
    refused = prompt("sbatch -J big --mem 1T", input=b"#!/bin/sh\n")

    assert 1 == refused.returncode
    assert "Requested node configuration is not available" in refused.stderr
    assert "1|big|FAILED|BadConstraints\n" == prompt.says("squeue -h -t all -o", "%i|%j|%T|%r")
    assert "2" == prompt.submit()


def test_ended_jobs_count_until_they_are_purged(scheduler: SlurmScheduler, prompt: Any) -> None:
    """MaxJobCount is of all that is in memory; a task that waits is one, a vanished one is none."""
    scheduler.change_site(max_job_count=3)
    prompt.submit("--array=0-1")
    scheduler.finish(prompt.submit())
    full = prompt("sbatch", input=b"#!/bin/sh\n")
    assert (1, True) == (full.returncode, "Resource temporarily unavailable" in full.stderr)
    prompt.says("scancel 1_1")
    prompt.submit()
    assert 1 == prompt("sbatch", input=b"#!/bin/sh\n").returncode
    scheduler.advance(301.0)

    assert "4" == prompt.submit()


def test_several_ids_hide_the_unknown_ones(prompt: Any) -> None:
    """`squeue -j` of several ids is silent about those that are gone: absence proves nothing."""
    job = prompt.submit()

    assert f"{job}\n" == prompt.says(f"squeue -h -j {job},999 -o %i")


@pytest.mark.parametrize(
    ("end", "queue", "accounting"),
    [
        ({}, "COMPLETED/None 0", "COMPLETED|0:0"),
        ({"code": 7}, "FAILED/NonZeroExitCode 1792", "FAILED|7:0"),
        ({"code": 137}, "FAILED/NonZeroExitCode 35072", "FAILED|9:0"),
        ({"code": 255}, "FAILED/NonZeroExitCode 65280", "FAILED|127:0"),
        ({"signal": 9}, "FAILED/JobLaunchFailure 9", "FAILED|0:9"),
    ],
)
def test_accounting_mangles_exit_codes(
    scheduler: SlurmScheduler, prompt: Any, end: dict[str, int], queue: str, accounting: str
) -> None:
    """Accounting takes 128 off large codes, the queue does not: who trusts one is wrong."""
    job = prompt.submit()
    scheduler.finish(job, **end)
    scheduler.advance(2.0)
    raw = prompt.says(f"squeue -h -t all -j {job} -O exit_code:10").strip()

    assert queue == f"{prompt.state(job)} {raw}"
    assert f"{accounting}\n" == prompt.says(f"sacct -n -P -X -j {job} -o State,ExitCode")


def test_accounting_is_late(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A job that has just been taken in, or has just ended, is not in sacct yet."""
    job = prompt.submit()
    told = [prompt.says(f"sacct -n -P -X -j {job} -o State")]
    scheduler.advance(1.5)
    scheduler.finish(job)
    told.append(prompt.says(f"sacct -n -P -X -j {job} -o State"))
    scheduler.advance(1.5)
    told.append(prompt.says(f"sacct -n -P -X -j {job} -o State"))

    assert ["", "PENDING\n", "COMPLETED\n"] == told
