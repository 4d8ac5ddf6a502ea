"""Slurm's daemons are killed, frozen or away, and jobs end once and truly for all that."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, must_be_installed
from slurm_site import Site, Sites, ends_of

from drover import Job, Reason, State, Verdict
from drover.models import Source

CONTROLLER = "slurmctld"
SUBMIT_S = 1.0
# Two hundred jobs whose memory is looked at each second keep a machine busy.
SELDOM = "--set=JobAcctGatherFrequency=task=30"


@pytest.fixture(params=["accounting", "no-accounting"])
def own(request: pytest.FixtureRequest) -> Iterator[SlurmCluster]:
    """Give a cluster that need not be as it was: after a crash Slurm believes in dead jobs."""
    must_be_installed()
    with SlurmCluster(f"--{request.param}", "--min-job-age=2", nodes=4) as cluster:
        yield cluster


def test_what_slurm_forgot_before_anybody_saw_its_end_is_not_lost(
    own: SlurmCluster, site_on: Sites
) -> None:
    """A laptop was shut for the weekend; Slurm remembers ended jobs for minutes."""
    site = site_on(own)
    jobs = [site.submit(f"while [ ! -e go ]; do sleep 0.1; done; exit {code}") for code in (0, 7)]
    for job in jobs:
        site.running(job)
    site.session.engine_stop()
    (site.work / "go").touch()
    ids = {job.native_id for job in jobs}
    site.until(lambda: not ids & set(own.run("squeue", "-h", "-tall", "-o%i").split()), *jobs)
    site.session.engine_start()

    assert [("EXITED", 0, 1), ("EXITED", 7, 1)] == [site.told(job) for job in jobs]


def crash_and_forget(site: Site, job: Job) -> list[str]:
    """Let the controller forget a job, and strangers take its id. Gives their ids."""
    cluster = site.cluster
    site.until(lambda: job.native_id, job)
    state = cluster.folder / "state/slurmctld/job_state"
    cluster.kill(CONTROLLER)
    # What was saved is of the last five seconds, mostly: as if it had died earlier in them.
    assert job.name.encode() not in state.read_bytes()
    cluster.start(CONTROLLER)
    strangers: list[str] = []
    while job.native_id not in strangers:
        strangers.append(cluster.run("sbatch", "--parsable", "-o/dev/null", "--wrap=sleep 600"))
        assert len(strangers) < 20, (job.native_id, strangers)
    return strangers


def save(cluster: SlurmCluster) -> None:
    """Let the controller write down what it knows: it will not again for some seconds."""
    name = f"save{time.monotonic_ns()}"
    job = cluster.run("sbatch", "--parsable", "--hold", f"--job-name={name}", "--wrap=true")
    state = cluster.folder / "state/slurmctld/job_state"
    ends = time.monotonic() + 20
    while not (state.exists() and name.encode() in state.read_bytes()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    cluster.run("scancel", job)


def test_an_id_that_a_crash_made_free_is_a_strangers(own: SlurmCluster, site_on: Sites) -> None:
    """His job is not ours: neither is its life our job's, nor does our cancel end it."""
    site = site_on(own, missing_grace_s=3.0)
    assert ("EXITED", 0, 1) == site.told(site.submit())
    save(own)
    # One after the other: together they would be one array with one number, or in any order.
    jobs = []
    for _ in range(2):
        jobs.append(site.submit(native={"slurm": {"hold": True}}))
        site.until(lambda: jobs[-1].native_id, jobs[-1])
    strangers = [row for job in jobs for row in crash_and_forget(site, job)]
    mine, lost = jobs
    (verdict,) = site.session.cancel([mine], grace_s=0.0, timeout=20.0)

    assert set(strangers) <= set(own.run("squeue", "-h", "-o%i").split())
    assert (Verdict.DONE, State.CANCELLED) == (verdict.verdict, mine.state)
    outcome = site.end(lost)
    assert (Reason.LOST, 0) == (outcome.reason, site.runs(lost))
    lost.retry()
    site.until(lambda: lost.attempt == 2 and lost.state is State.QUEUED, lost)
    own.run("scontrol", "release", str(lost.native_id))
    assert ("EXITED", 0, 1) == site.told(lost)
    own.run("scancel", *strangers)


def let_go(fifo: Path) -> None:
    """Let all that wait for a writer see the end of the file."""
    # Nobody waits: that is no error.
    with suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "many"), [("accounting", 200), ("no-accounting", 60)])
def test_a_controller_killed_again_and_again_loses_nothing(
    site_on: Sites, kind: str, many: int
) -> None:
    """Two hundred jobs run: all end while it is dead, one half each time, as they did, and once."""
    must_be_installed()
    with SlurmCluster(f"--{kind}", "--cpus=50", "--memory=6000", SELDOM, nodes=4) as cluster:
        site = site_on(cluster)
        gates = [site.work / name for name in ("first", "second")]
        for gate in gates:
            os.mkfifo(gate)
        jobs = site.submit_many(
            site.spec(f"read end <{gates[k % 2].name}; exit {k % 7}", name=f"k{k}")
            for k in range(many)
        )
        site.until(lambda: in_sight(site) == many, jobs[0], seconds=120)
        for left, gate in zip((many // 2, 0), gates, strict=True):
            # What it has not written down yet it starts once more, to no effect but its own
            # confusion.
            save(cluster)
            with cluster.without(CONTROLLER):
                site.until(lambda g=gate, n=left: let_go(g) or in_sight(site) == n, *jobs[:2])

        assert {f"k{k}": ("EXITED", k % 7, 1) for k in range(many)} == ends_of(site, jobs, 90.0)


def in_sight(site: Site) -> int:
    """Count the jobs that are known to run."""
    return site.session.counts().get(State.RUNNING, 0)


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_frozen_controller_accepts_what_timed_out(
    slurm: SlurmCluster, site_on: Sites, *, gives_up: bool
) -> None:
    """It took the submission into its queue, and sbatch did not live to hear of it."""
    unknown_after_s = 1.0 if gives_up else 60.0
    site = site_on(slurm, submit_timeout_s=SUBMIT_S, unknown_after_s=unknown_after_s)
    # What sinfo says of the nodes is asked for once, and must not be what hangs.
    assert ("EXITED", 0, 1) == site.told(site.submit())
    with slurm.frozen(CONTROLLER):
        job = site.submit("exit 7")
        closed = {"AttemptClosed"} if gives_up else {"AnswerLost"}
        site.until(lambda: closed & {entry.name for entry in job.history()}, job)

    assert ("EXITED", 7, 1) == site.told(job)
    names = slurm.run("squeue", "-h", "-tall", "-o%j %T").splitlines()
    ours = [row for row in names if row.startswith(f"{job.name}@")]
    site.until(lambda: "PENDING" not in str(ours) and "RUNNING" not in str(ours), job)
    assert gives_up == (len(ours) > 1)
    assert (2 if gives_up else 1) == job.attempt
    assert 1 == site.runs(job)


def test_accounting_away_changes_no_end(slurm: SlurmCluster, site_on: Sites) -> None:
    """The exit record and the queue tell enough; what it used is told as far as it is known."""
    site = site_on(slurm)
    with slurm.without("slurmdbd"):
        jobs = [site.submit(f"exit {code}") for code in (0, 7)]
        killed = site.submit("kill -9 $$")
        held = site.submit(native={"slurm": {"hold": True}})
        site.until(lambda: held.state is State.QUEUED, held)
        (verdict,) = site.session.cancel([held], grace_s=0.0, timeout=20.0)

        assert [("EXITED", 0, 1), ("EXITED", 7, 1)] == [site.told(job) for job in jobs]
        assert ("SIGNALLED", -9, 1) == site.told(killed)
        assert (Verdict.DONE, State.CANCELLED) == (verdict.verdict, held.state)
        assert Source.ACCOUNTING not in {row.source for row in site.end(jobs[0]).evidence}
