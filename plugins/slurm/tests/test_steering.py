"""Requests for jobs on a real Slurm: each has its effect once, or says why not."""

import os
import signal
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import Sites

from drover import Reason, State, Verb, Verdict
from drover.models import USER, Started

MANY = 200
# A shell takes two signals for one while it waits for a child, and Python while it does anything.
COUNTS = """exec python3 -uc '
import os, signal, sys
count = 0
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready")
while not os.path.exists("go"):
    if signal.sigtimedwait([signal.SIGTERM], 0.1):
        count += 1
        print(count)
sys.exit(count)'"""


def state_of(pid: int) -> str:
    """Give the state letter of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize("name", ["slurm", "slurm_bare"])
def test_waiting_elements_of_an_array_are_cancelled_at_once(
    request: pytest.FixtureRequest, site_on: Sites, name: str
) -> None:
    """Slurm forgets them without a trace: no listing will ever tell that they are gone."""
    cluster: SlurmCluster = request.getfixturevalue(name)
    # Had it to wait for the grace of what is not listed, the test would be over before.
    site = site_on(cluster, missing_grace_s=600.0)
    held = {"slurm": {"hold": True}}
    jobs = site.submit_many(site.spec(name=f"k{k}", native=held) for k in range(20))
    site.until(lambda: all(job.state is State.QUEUED for job in jobs), jobs[0])
    verdicts = site.session.cancel(jobs[3:7], grace_s=0.0, timeout=20.0)
    assert [Verdict.DONE] * 4 == [row.verdict for row in verdicts]
    assert {(Reason.CANCELLED, Started.NO)} == {
        (site.end(job).reason, site.end(job).started) for job in jobs[3:7]
    }
    (parent,) = {str(job.native_id).partition("_")[0] for job in jobs}
    cluster.run("scontrol", "release", parent)

    rest = jobs[:3] + jobs[7:]
    assert {("EXITED", 0, 1)} == {site.told(job) for job in rest}
    assert 0 == sum(map(site.runs, jobs[3:7]))


def test_many_are_cancelled_in_few_commands(slurm: SlurmCluster, site_on: Sites) -> None:
    """Ten thousand jobs are not ten thousand processes."""
    site = site_on(slurm)
    calls = site.log_of("scancel")
    # One of them is not meant, so that no id of an array stands for all.
    jobs = site.submit_many(site.spec("sleep 600", name=f"k{k}") for k in range(MANY))
    site.until(lambda: sum(map(site.runs, jobs)) >= 16, jobs[0])
    verdicts = site.session.cancel(jobs[1:], grace_s=5.0, timeout=60.0)

    assert {Verdict.DONE} == {row.verdict for row in verdicts}
    assert {Reason.CANCELLED} == {site.end(job).reason for job in jobs[1:]}
    ran = [job for job in jobs[1:] if site.runs(job)]
    assert [] == [pid for job in ran for pid in site.pids(job) if state_of(pid) not in {"", "Z"}]
    assert State.RUNNING is jobs[0].state
    assert 4 >= len(calls()), calls()


@pytest.mark.parametrize("verb", [Verb.TERMINATE, Verb.CANCEL])
@pytest.mark.parametrize("name", ["slurm", "slurm_cgroups"])
def test_term_reaches_the_command_once(
    request: pytest.FixtureRequest, site_on: Sites, name: str, verb: Verb
) -> None:
    """Slurm sends it to all processes of a job; with control groups to the wrapper alone."""
    site = site_on(request.getfixturevalue(name))
    job = site.submit(COUNTS)
    site.until(lambda: job.stdout.read() == "ready\n", job)
    site.running(job)
    site.session.ask([job], verb, timeout=0.5)
    site.until(lambda: "1\n" in job.stdout.read(), job)
    (site.work / "go").touch()

    assert 1 == site.end(job).exit_code, job.stdout.read()


def test_kill_ends_what_heeds_no_term(slurm: SlurmCluster, site_on: Sites) -> None:
    """A cancel escalates after the grace that was given, and a kill does not ask."""
    site = site_on(slurm)
    script = "trap '' TERM; while :; do sleep 0.1; done"
    jobs = [site.submit(script) for _ in range(2)]
    for job in jobs:
        site.running(job)
    site.session.ask([jobs[0]], Verb.KILL, timeout=20.0)
    (verdict,) = site.session.cancel([jobs[1]], grace_s=1.0, timeout=20.0)

    assert Verdict.DONE is verdict.verdict
    assert [(Reason.CANCELLED, 9)] * 2 == [(site.end(j).reason, site.end(j).signal) for j in jobs]
    assert [""] * 2 == [state_of(pid) for job in jobs for pid in site.pids(job)]


def test_a_hold_is_lifted_by_a_release(slurm: SlurmCluster, site_on: Sites) -> None:
    """What is held does not start, whoever has time for it."""
    site = site_on(slurm)
    job = site.submit("exit 7", native={"slurm": {"begin": "now+1hour"}})
    site.until(lambda: "BeginTime" in job.native_state, job)

    assert Verdict.DONE is job.hold().verdict
    assert {USER} == job.held_by
    assert "JobHeldUser" == site.slurm_says(job, "%r")
    slurm.run("scontrol", "update", f"JobId={job.native_id}", "StartTime=now")
    assert Verdict.DONE is job.release().verdict
    assert ("EXITED", 7, 1) == site.told(job)
    assert Verdict.TOO_LATE is job.hold().verdict


def test_a_suspended_job_stands_still(slurm: SlurmCluster, site_on: Sites) -> None:
    """Its processes are stopped, not only called so; and it ends as if nothing had been."""
    site = site_on(slurm)
    job = site.submit("while [ ! -e go ]; do sleep 0.1; done; exit 7")
    site.running(job)
    (pid,) = site.pids(job)

    assert Verdict.DONE is job.suspend().verdict
    assert State.SUSPENDED is job.state
    site.until(lambda: state_of(pid) == "T", job)
    (site.work / "go").touch()
    assert Verdict.DONE is job.resume().verdict
    assert ("EXITED", 7, 1) == site.told(job)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
def test_a_job_is_suspended_by_one_whom_slurm_forbids_it(
    slurm: SlurmCluster, site_on: Sites
) -> None:
    """Suspending is for operators: everybody else's processes are stopped all the same."""
    site = site_on(slurm)
    site.as_nobody("scontrol", "suspend", "resume")
    job = site.submit("while [ ! -e go ]; do sleep 0.1; done; exit 7")
    site.running(job)
    (pid,) = site.pids(job)

    assert Verdict.DONE is job.suspend().verdict
    site.until(lambda: "STOPPED" == site.slurm_says(job, "%T"), job)
    site.until(lambda: state_of(pid) == "T", job)
    site.until(lambda: job.state is State.SUSPENDED, job)
    (site.work / "go").touch()
    assert Verdict.DONE is job.resume().verdict
    assert ("EXITED", 7, 1) == site.told(job)


def test_a_signal_reaches_the_command(slurm: SlurmCluster, site_on: Sites) -> None:
    """The batch shell alone would get it, and the command is not the batch shell."""
    site = site_on(slurm)
    job = site.submit("trap 'exit 7' USR1; while :; do sleep 0.1; done")
    site.running(job)
    job.signal(signal.SIGUSR1)

    assert ("EXITED", 7, 1) == site.told(job)


def test_requests_outlive_a_controller_that_is_away(slurm: SlurmCluster, site_on: Sites) -> None:
    """Nobody has heard it: it is asked again, and not refused."""
    site = site_on(slurm, command_timeout_s=1.0)
    job = site.submit("sleep 600")
    site.running(job)
    with slurm.frozen("slurmctld"):
        job.cancel(grace_s=5.0, timeout=3.0)

        assert [Verb.CANCEL] == [request.verb for request in job.pending]
    assert (Reason.CANCELLED, 1) == (site.end(job).reason, site.runs(job))
