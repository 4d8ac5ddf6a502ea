"""Jobs that Slurm itself lets wait for others."""

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import Site, Sites

from drover import Dependency, Job, Reason, Retry, State
from drover.models import Condition

LEFT = {"slurm": {"dependencies": True}}


def after(job: Job, condition: Condition = Condition.SUCCEEDED) -> Dependency:
    return Dependency(job=job.id, condition=condition)


def waits_at_slurm(site: Site, job: Job) -> bool:
    """Tell whether Slurm keeps it in the queue because of another job."""
    native_id = job.native_id
    return native_id is not None and "unfulfilled" in site.cluster.run(
        "squeue", "-h", "-j", native_id, "-o", "%E"
    )


@pytest.fixture
def site(slurm: SlurmCluster, site_on: Sites) -> Site:
    return site_on(slurm)


def test_slurm_waits_and_the_engine_need_not(site: Site) -> None:
    """Each keeps its place in the queue while it waits, and starts without us."""
    first = site.submit("sleep 4")
    second = site.submit(after=[after(first)], native=LEFT)
    third = site.submit(after=[after(second, Condition.ENDED)], native=LEFT)
    site.until(lambda: waits_at_slurm(site, second) and waits_at_slurm(site, third))
    site.session.engine_stop()
    site.until(lambda: site.runs(third) == 1)
    site.session.engine_start()

    assert [State.SUCCEEDED] * 3 == [site.end(job) and job.state for job in (first, second, third)]


def test_conditions_are_kept(site: Site) -> None:
    """Slurm's own word decides nothing: the wrapper reads the other job's record."""
    wanted = [
        (Condition.SUCCEEDED, 0, State.SUCCEEDED),
        (Condition.SUCCEEDED, 3, State.FAILED),
        (Condition.FAILED, 3, State.SUCCEEDED),
        (Condition.FAILED, 0, State.FAILED),
    ]
    firsts = [site.submit(f"sleep 1; exit {code}") for _, code, _ in wanted]
    seconds = [
        site.submit(after=[after(first, condition)], native=LEFT)
        for first, (condition, _, _) in zip(firsts, wanted, strict=True)
    ]
    outcomes = [site.end(job) for job in seconds]

    assert [state for _, _, state in wanted] == [job.state for job in seconds]
    assert [1, 0, 1, 0] == [site.runs(job) for job in seconds]
    assert [Reason.DEPENDENCY_FAILED] * 2 == [outcomes[1].reason, outcomes[3].reason]


def test_a_forgotten_job_is_not_taken_for_one_that_went_well(site: Site) -> None:
    """Slurm lets go of a job whose predecessor it has purged: its record is what counts."""
    first = site.submit("sleep 4; exit 3")
    second = site.submit(after=[after(first)], native=LEFT)
    site.until(lambda: waits_at_slurm(site, second))
    site.session.engine_stop()
    # As it is when the controller has forgotten the first: nothing holds the second back.
    site.cluster.run("scontrol", "update", f"JobId={second.native_id}", "Dependency=")
    site.until(lambda: site.runs(first) == 1)
    site.session.engine_start()

    assert Reason.DEPENDENCY_FAILED is site.end(second).reason
    assert 0 == site.runs(second)


def test_a_job_before_that_left_no_record_is_waited_for_by_the_engine(site: Site) -> None:
    """Its wrapper was killed with it: nobody can say how it ended; nothing failed."""
    first = site.submit("sleep 2; kill -9 $PPID; exec sleep 600")
    second = site.submit(after=[after(first, Condition.ENDED)], native=LEFT)
    site.until(lambda: waits_at_slurm(site, second))

    assert (State.SUCCEEDED, 1) == (site.end(second) and second.state, site.runs(second))
    assert "Withdrawn" in [entry.name for entry in second.history()]
    assert ("SIGNALLED", -9, 1) == site.told(first)


def test_a_predecessor_that_may_be_retried_is_waited_for_by_the_engine(site: Site) -> None:
    """Its first end need not be its last."""
    first = site.submit("test -e again || { touch again; exit 1; }", retry=Retry(attempts=2))
    second = site.submit(after=[after(first)], native=LEFT)
    site.end(second)

    assert ([State.SUCCEEDED] * 2, 2) == ([first.state, second.state], site.runs(first))
    assert "DependenciesMet" in [entry.name for entry in second.history()]
    assert () == next(
        entry.event.predecessors for entry in second.history() if entry.name == "DependenciesMet"
    )
