"""Whoever hands jobs over is killed or frozen at the worst moment, on a real Slurm."""

import subprocess
import sys
import time

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import NOTE, Site, Sites

from drover._store import process_started
from drover.commandline import read_unrun_records

INLINE = """
import sys, drover
home, work, note = sys.argv[1:]
with drover.open(home, backend="slurm", engine="inline") as session:
    argv = ("/bin/sh", "-c", note, "sh", f"{work}/inline", "exit 5")
    session.submit(argv, name="inline", cwd=work).wait(60)
"""


def submissions(site: Site, name: str) -> list[str]:
    """List the state of what Slurm has under the name of a job, ended or not."""
    rows = site.cluster.run("squeue", "-h", "-t", "all", "-o%T %j").splitlines()
    return [row.split()[0] for row in rows if row.split()[1].startswith(f"{name}@")]


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_engine_killed_around_sbatch_runs_nothing_twice(
    slurm: SlurmCluster, site_on: Sites, where: str
) -> None:
    """The journal says that a job was to be handed over, and not whether it was."""
    site = site_on(slurm)
    gate = site.gate("sbatch")
    gate.shut(where)
    job = site.submit("exit 7")
    site.until(gate.holds, job)
    site.kill_engine()
    site.session.engine_start()
    site.until(lambda: job.history()[-1].name != "SubmitIntended", job)
    gate.open()

    assert ("EXITED", 7, 1) == site.told(job)
    assert ["FAILED"] == submissions(site, job.name)
    assert 1 == job.attempt


def test_a_job_that_ended_and_was_forgotten_unanswered_is_known_by_its_claim(
    slurm_bare: SlurmCluster, site_on: Sites
) -> None:
    """No queue and no accounting knows of it by the time that somebody asks."""
    site = site_on(slurm_bare)
    gate = site.gate("sbatch")
    gate.shut("after")
    job = site.submit("exit 7")
    site.until(lambda: gate.holds() and site.runs(job), job)
    site.kill_engine()
    gate.open()
    site.until(lambda: not submissions(site, job.name), job)
    site.session.engine_start()

    assert ("EXITED", 7, 1) == site.told(job)
    assert 1 == job.attempt


def test_a_client_with_an_engine_inside_is_killed_after_sbatch(
    slurm: SlurmCluster, site_on: Sites
) -> None:
    """It was alone with what sbatch told it: who comes next has only the intent."""
    site = site_on(slurm)
    gate = site.gate("sbatch")
    gate.shut("after")
    words = [sys.executable, "-c", INLINE, str(site.home), str(site.work), NOTE]
    with subprocess.Popen(words) as client:
        site.until(gate.holds)
        client.kill()
    gate.open()
    (job,) = site.session.jobs()
    site.session.engine_start()

    assert ("EXITED", 5, 1) == site.told(job)
    assert ["FAILED"] == submissions(site, job.name)
    assert 1 == job.attempt


@pytest.mark.slow
def test_an_engine_frozen_before_sbatch_meets_a_closed_claim(
    slurm: SlurmCluster, site_on: Sites
) -> None:
    """Another engine took over and handed the job over once more, before the first one woke."""
    site = site_on(slurm, unknown_after_s=1.0)
    gate = site.gate("sbatch")
    gate.shut("before")
    job = site.submit("exit 7")
    site.until(gate.holds, job)
    with site.engine_frozen() as frozen:
        site.until(lambda: not site.session.engine_status().running)
        site.session.engine_start()

        assert ("EXITED", 7, 1) == site.told(job)
        assert 2 == job.attempt
        gate.open()
        site.until(lambda: submissions(site, job.name) == ["FAILED", "FAILED"], job)
    site.until(lambda: process_started(frozen) == "")

    (unrun,) = read_unrun_records(site.home / "jobs" / job.id / "1")
    assert "closed" in unrun.why
    assert ("EXITED", 7, 1) == site.told(job)


@pytest.mark.slow
def test_an_end_is_heard_of_between_two_looks(slurm: SlurmCluster, site_on: Sites) -> None:
    """Who asks the controller rarely need not learn late."""
    site = site_on(slurm, poll_s=0.5, idle_poll_s=60.0)
    # Looks after half a second, 1, 2, 4 and 8: the last of them long after the end.
    job = site.submit("sleep 8.5")
    site.end(job)

    assert time.time() - (job.ended_at or 0.0) < 4.0
