"""Arrays that Slurm itself lets wait, and arrays that others wait for there."""

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import Site, Sites

from drover import Array, Dependency, Job, JobArray, Reason, State
from drover.models import Condition, Started

LEFT = {"slurm": {"dependencies": True}}
# Each element leaves a file; who comes after an array of three looks whether all are there.
WAIT = "until test -e go; do sleep 0.1; done; "
DONE = 'touch "$DROVER_ARRAY_ID.$DROVER_ARRAY_INDEX"'
ALL_THERE = "test -e {0}.0 && test -e {0}.1 && test -e {0}.2 || exit 9; "


def after(before: Job | JobArray, condition: Condition = Condition.SUCCEEDED) -> list[Dependency]:
    return [Dependency(job=before.id, condition=condition)]


def submit_array(
    site: Site, script: str = "", most: int | None = None, **fields: object
) -> JobArray:
    made = site.session.submit(
        site.spec(script, array=Array(indices=3, max_running=most), **fields)
    )
    assert isinstance(made, JobArray)
    return made


def runs(site: Site, array: JobArray) -> int:
    """Count how often an element was started: they all write to one file."""
    return site.runs(array[0])


def wait_at_slurm(site: Site, jobs: list[Job]) -> bool:
    """Tell whether Slurm keeps all of them in the queue because of others."""
    listed = site.cluster.run("squeue", "-h", "-r", "-t", "PD", "-o", "%i|%E").splitlines()
    waiting = {row.partition("|")[0] for row in listed if "unfulfilled" in row}
    return all(job.native_id in waiting for job in jobs)


@pytest.fixture
def site(slurm: SlurmCluster, site_on: Sites) -> Site:
    return site_on(slurm, settle_s=2.0)


def test_singles_and_arrays_follow_each_other_at_slurm(site: Site) -> None:
    """All keep their place in the queue, and go on while no engine is there."""
    first = site.submit(WAIT + "touch first")
    second = submit_array(site, f"test -e first || exit 9; {DONE}", after=after(first), native=LEFT)
    looks = ALL_THERE.format(second.id)
    third = submit_array(site, looks + DONE, after=after(second), native=LEFT)
    last = site.submit(ALL_THERE.format(third.id), after=after(third), native=LEFT)
    behind = [*second, *third, last]
    site.until(lambda: wait_at_slurm(site, behind), *behind)
    site.session.engine_stop()
    (site.work / "go").touch()
    site.until(lambda: site.runs(last) == 1)
    site.session.engine_start()
    site.session.wait([first, *behind], 60)

    assert [State.SUCCEEDED] * 8 == [job.state for job in (first, *behind)], site.story(*behind)
    assert (1, 3, 3, 1) == (
        site.runs(first), runs(site, second), runs(site, third), site.runs(last)
    )  # fmt: skip
    assert 2 == len({(job.native_id or "").partition("_")[0] for job in (*second, *third)})


def test_an_array_is_judged_by_all_its_records(site: Site) -> None:
    """One that failed is a failure, whatever part it is in; one without a record is none.

    The wrapper of the latter was killed with it: who comes after it is judged by the engine.
    """
    is_not_1 = 'test "$DROVER_ARRAY_INDEX" -ne 1'
    # The first makes room for the last.
    parted = submit_array(
        site, f'[ "$DROVER_ARRAY_INDEX" = 0 ] || {{ {WAIT} }}; {is_not_1}', most=2
    )
    killed = submit_array(site, f"{WAIT} {is_not_1} || {{ kill -9 $PPID; exec sleep 600; }}")
    met = site.submit(after=after(parted, Condition.FAILED), native=LEFT)
    never = submit_array(site, after=after(parted), native=LEFT)
    later = submit_array(site, after=after(killed, Condition.ENDED), native=LEFT)
    site.until(lambda: wait_at_slurm(site, list(later)), *killed, *later)
    site.until(lambda: wait_at_slurm(site, [met, *never]), *parted, *never)
    assert 2 == len(met.record.predecessors[0].native_ids)
    (site.work / "go").touch()
    site.session.wait([met, *never, *later], 60)

    states = [job.state for job in (met, *later)]
    assert [State.SUCCEEDED] * 4 == states, site.story(met, *later)
    told = {(job.outcome.reason, job.outcome.started) for job in never if job.outcome}
    assert {(Reason.DEPENDENCY_FAILED, Started.NO)} == told
    assert (1, 0, 3) == (site.runs(met), runs(site, never), runs(site, later))
    assert all("Withdrawn" in [entry.name for entry in job.history()] for job in later)


def test_an_array_that_slurm_has_purged_is_not_taken_for_one_that_went_well(
    slurm_bare: SlurmCluster, site_on: Sites
) -> None:
    """It knows nothing of the ids and lets the others go: the wrapper reads the records."""
    site = site_on(slurm_bare, settle_s=2.0)
    gate = site.gate("sbatch")
    array = submit_array(site, f'{WAIT} test "$DROVER_ARRAY_INDEX" -ne 1')
    site.until(lambda: all(job.state.is_placed for job in array), *array)
    gate.shut("before")
    second = submit_array(site, after=after(array), native=LEFT)
    site.until(gate.holds, *second)
    (site.work / "go").touch()
    site.until(lambda: not site.cluster.run("squeue", "-h", "-t", "all"))
    gate.open()
    site.session.wait(list(second), 60)

    assert all("Accepted" in [entry.name for entry in job.history()] for job in second)
    told = {(job.outcome.reason, job.outcome.started) for job in second if job.outcome}
    assert {(Reason.DEPENDENCY_FAILED, Started.NO)} == told
    assert 0 == runs(site, second)
