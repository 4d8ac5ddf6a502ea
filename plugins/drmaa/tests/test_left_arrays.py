"""Arrays that Grid Engine itself lets wait, and arrays that others wait for there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gridengine_cluster import GridEngineCluster
from gridengine_site import Site

from drover import Array, Dependency, Job, JobArray, Reason, State
from drover.models import Condition, Started

LEFT = {"drmaa": {"dependencies": True}}
# Each element leaves a file; who comes after an array of three looks whether all are there.
WAIT = "until test -e go; do sleep 0.1; done; "
DONE = 'touch "$DROVER_ARRAY_ID.$DROVER_ARRAY_INDEX"'
ALL_THERE = "test -e {0}.0 && test -e {0}.1 && test -e {0}.2 || exit 9; "


def after(before: Job | JobArray, condition: Condition = Condition.SUCCEEDED) -> list[Dependency]:
    return [Dependency(job=before.id, condition=condition)]


def submit_array(site: Site, script: str = "", **fields: object) -> JobArray:
    made = site.session.submit(site.spec(script, array=Array(indices=3), **fields))
    assert isinstance(made, JobArray)
    return made


def number_of(job: Job) -> str:
    """Give the number of the job at Grid Engine, of an element that of its array."""
    return (job.native_id or "").partition(".")[0]


def waits_at_grid_engine(site: Site, job: Job, before: Job) -> bool:
    """Tell whether Grid Engine keeps a job in the queue because of another."""
    if not job.native_id or not before.native_id:
        return False
    text = site.cluster.attempt("qstat", "-j", number_of(job)).stdout
    return bool(re.search(rf"jid_predecessor_list.*:\s+{number_of(before)}\b", text))


@pytest.fixture
def site(
    gridengine: GridEngineCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    made = Site(gridengine, tmp_path, monkeypatch, settle_s=3.0, accounting_gap_s=2.0)
    with made:
        yield made


def test_singles_and_arrays_follow_each_other_at_grid_engine(site: Site) -> None:
    """All keep their place in the queue, and go on while no engine is there."""
    first = site.submit(WAIT + "touch first")
    second = submit_array(site, f"test -e first || exit 9; {DONE}", after=after(first), native=LEFT)
    looks = ALL_THERE.format(second.id)
    third = submit_array(site, looks + DONE, after=after(second), native=LEFT)
    last = site.submit(ALL_THERE.format(third.id), after=after(third), native=LEFT)
    jobs = [first, *second, *third, last]
    pairs = ((second[0], first), (third[0], second[0]), (last, third[0]))
    site.until(lambda: all(waits_at_grid_engine(site, *pair) for pair in pairs), *jobs)
    site.session.engine_stop()
    (site.work / "go").touch()
    site.until(lambda: site.runs(last) == 1)
    site.session.engine_start()
    site.session.wait(jobs, 60)

    assert [State.SUCCEEDED] * 8 == [job.state for job in jobs], site.story(*jobs)
    assert [1, 3, 3, 1] == [site.runs(job) for job in (first, second[0], third[0], last)]
    assert 2 == len({number_of(job) for job in (*second, *third)})


def test_an_array_is_judged_by_all_its_records(site: Site) -> None:
    """Grid Engine lets go whatever came before; and of what ended it knows nothing any more.

    Who comes after an element whose wrapper was killed with it is judged by the engine.
    """
    is_not_1 = 'test "$DROVER_ARRAY_INDEX" -ne 1'
    failed = submit_array(site, f"{WAIT} {is_not_1}")
    killed = submit_array(site, f"{WAIT} {is_not_1} || {{ kill -9 $PPID; exec sleep 600; }}")
    met = site.submit(after=after(failed, Condition.FAILED), native=LEFT)
    never = submit_array(site, after=after(failed), native=LEFT)
    later = submit_array(site, after=after(killed, Condition.ENDED), native=LEFT)
    pairs = ((met, failed[0]), (never[0], failed[0]), (later[0], killed[0]))
    site.until(lambda: all(waits_at_grid_engine(site, *pair) for pair in pairs), met, *later)
    (site.work / "go").touch()
    site.session.wait([met, *never, *later], 60)

    states = [job.state for job in (met, *later)]
    assert [State.SUCCEEDED] * 4 == states, site.story(*killed, met, *later)
    told = {(job.outcome.reason, job.outcome.started) for job in never if job.outcome}
    assert {(Reason.DEPENDENCY_FAILED, Started.NO)} == told
    assert (1, 0, 3) == (site.runs(met), site.runs(never[0]), site.runs(later[0]))
    left = [job for job in (*never, *later) if "Withdrawn" in [e.name for e in job.history()]]
    assert 6 == len(left)
