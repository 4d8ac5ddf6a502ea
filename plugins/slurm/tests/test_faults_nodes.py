"""Nodes die under jobs, or their daemons do, on a real Slurm."""

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import Site, Sites

from drover import Job, Reason, Resources, Retry, State

ONE_NODE = Resources(cpus=8)
ONCE = '[ -n "$SLURM_RESTART_COUNT" ] || sleep 600; exit 7'


def give_up(site: Site, job: Job) -> str:
    """Cut the power of the node that a job runs on; the operator knows it before Slurm does."""
    node = site.slurm_says(job, "%N")
    site.cluster.cut_power(node)
    site.cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=dark")
    return node


@pytest.mark.parametrize("name", ["slurm", "slurm_bare"])
def test_a_job_on_a_node_that_died_is_told_so(
    request: pytest.FixtureRequest, site_on: Sites, name: str
) -> None:
    """Nobody is left on the node to tell: it must neither wait for ever nor be a failed command."""
    cluster: SlurmCluster = request.getfixturevalue(name)
    site = site_on(cluster)
    job = site.submit("sleep 600", resources=ONE_NODE)
    site.running(job)
    node = give_up(site, job)
    outcome = site.end(job)
    cluster.start(node)

    assert (Reason.NODE_LOST, State.FAILED, 1) == (outcome.reason, job.state, site.runs(job))
    assert outcome.retryable


def test_a_job_that_may_run_again_does_on_another_node(slurm: SlurmCluster, site_on: Sites) -> None:
    """It is a restart of the same attempt, asked for by `requeue`."""
    site = site_on(slurm)
    job = site.submit(ONCE, resources=ONE_NODE, requeue=True)
    site.running(job)
    node = give_up(site, job)
    site.until(lambda: job.restart == 1, job)
    site.run_again_now(job)

    assert ("EXITED", 7, 2) == site.told(job)
    assert (1, 1) == (job.attempt, job.restart)
    slurm.start(node)


def test_a_retry_after_a_lost_node_is_an_attempt(slurm: SlurmCluster, site_on: Sites) -> None:
    """Who asks for a retry on NODE_LOST gets one, with a claim of its own."""
    site = site_on(slurm)
    script = '[ "$DROVER_ATTEMPT" = 2 ] || sleep 600; exit 7'
    retry = Retry(attempts=2, on=frozenset({Reason.NODE_LOST}))
    job = site.submit(script, resources=ONE_NODE, retry=retry)
    site.running(job)
    node = give_up(site, job)

    assert ("EXITED", 7, 2) == site.told(job)
    assert (2, 0) == (job.attempt, job.restart)
    slurm.start(node)


def test_a_job_outlives_the_daemon_of_its_node(slurm: SlurmCluster, site_on: Sites) -> None:
    """Slurm learns of the end when the daemon is back; what the job did is what counts."""
    site = site_on(slurm)
    job = site.submit("while [ ! -e go ]; do sleep 0.1; done; exit 7", resources=ONE_NODE)
    site.running(job)
    with slurm.without(site.slurm_says(job, "%N")):
        (site.work / "go").touch()

        assert ("EXITED", 7, 1) == site.told(job)
    site.until(lambda: "FAILED" == site.slurm_says(job, "%T"), job)
