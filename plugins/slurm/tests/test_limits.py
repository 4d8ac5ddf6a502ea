"""A site's limit on what may be submitted, on a real Slurm."""

from slurm_cluster import SlurmCluster
from slurm_site import Sites


def test_more_jobs_than_a_user_may_submit_are_handed_over_by_and_by(
    slurm: SlurmCluster, site_on: Sites
) -> None:
    """Four at most may be there: an array of ten is refused as a whole, and would be for ever."""
    site = site_on(slurm)
    calls = site.log_of("sbatch")
    few = {"slurm": {"qos": "few"}}
    jobs = site.submit_many(site.spec("sleep 1", name=f"k{k}", native=few) for k in range(10))

    assert [("EXITED", 0, 1)] * 10 == [site.told(job) for job in jobs]
    assert "--array=0-9" in calls()[0]
    # Parts that fit, after pauses: not as fast as a controller can say no.
    assert len(calls()) < 40, calls()
