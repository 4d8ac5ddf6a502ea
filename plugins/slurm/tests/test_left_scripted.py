"""What is left to Slurm and comes back, in virtual time and without a cluster."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from drover import Array, Dependency, Job, JobArray, JobSpec, Reason, State
from drover.models import Condition, Started
from drover.testing import BackendDriver, FakeClock
from drover.testing.scheduler import SlurmScheduler, SlurmSite

LEFT: Final = {"slurm": {"dependencies": True}}
# Ends as the word of its place says, once it may; `-9` is an end with its wrapper.
WAITER: Final = """
until test -e go; do sleep 0.01; done
eval code="\\$$(($DROVER_ARRAY_INDEX + 1))"
test "$code" != -9 || { kill -9 $PPID; exec kill -9 $$; }
exit "$code"
"""


@pytest.fixture
def scheduler() -> Iterator[SlurmScheduler]:
    """Give a cluster that runs for real what may start."""
    site = SlurmSite(max_array_size=3, min_job_age_s=3600.0)
    clock = FakeClock(now=time.time())
    with SlurmScheduler(site, run_for_real=True, clock=clock) as made:
        yield made


def submit_array(driver: BackendDriver, argv: Sequence[str], size: int, **fields: Any) -> JobArray:
    made = driver.session.submit(argv, array=Array(indices=size), **fields)
    assert isinstance(made, JobArray)
    return made


def until_all_have_ended(
    driver: BackendDriver, scheduler: SlurmScheduler, jobs: Sequence[Job]
) -> None:
    for _ in range(100):
        if all(job.state.ends_wait for job in jobs):
            return
        scheduler.settle()
        driver.advance(5.0)
    pytest.fail("\n".join(f"{job.state} {job.history()}" for job in jobs))


@pytest.mark.parametrize("is_purged", [False, True], ids=["known", "purged"])
@pytest.mark.parametrize(
    ("codes", "condition", "state"),
    [
        ((0, 0, 0, 0), Condition.SUCCEEDED, State.SUCCEEDED),
        ((0, 0, 3, 0), Condition.SUCCEEDED, State.FAILED),
        ((0, 0, 3, 0), Condition.FAILED, State.SUCCEEDED),
        ((0, 0, 0, 0), Condition.FAILED, State.FAILED),
        ((0, -9, 0, 0), Condition.ENDED, State.SUCCEEDED),
    ],
    ids=["well", "one failed", "one had to", "none did", "no record"],
)
def test_an_array_behind_an_array_comes_to_the_truth(
    scheduler: SlurmScheduler,
    driver: BackendDriver,
    tmp_path: Path,
    codes: Sequence[int],
    *,
    condition: Condition,
    state: State,
    is_purged: bool,
) -> None:
    """Whatever Slurm remembers: it lets go those that wait for what it has forgotten."""
    words = ("sh", "-c", WAITER, "sh", *map(str, codes))
    first = submit_array(driver, words, 4, cwd=str(tmp_path))
    before = [Dependency(job=first.id, condition=condition)]
    note = ("sh", "-c", "echo >>ran")
    second = submit_array(driver, note, 2, cwd=str(tmp_path), after=before, native=LEFT)
    driver.settle()
    waiting = (second[0].native_id or "").partition("_")[0]
    kind = "afterok" if condition is Condition.SUCCEEDED else "afterany"
    assert {f"{kind}:1:2", f"{kind}:2:1"} >= {scheduler.job(waiting).dependency}
    if is_purged:
        scheduler.hold(waiting)
    scheduler.advance(1.0)
    (tmp_path / "go").touch()
    if is_purged:
        scheduler.until(lambda: all(scheduler.job(job.native_id).state.has_ended for job in first))
        for job in first:
            scheduler.forget(job.native_id)
        scheduler.release(waiting)
    until_all_have_ended(driver, scheduler, list(second))

    assert [state] * 2 == [job.state for job in second]
    # Where a record told what was asked for, nothing came back to the engine.
    runs_there = state is State.SUCCEEDED and -9 not in codes
    names = [{entry.name for entry in job.history()} for job in second]
    assert [not runs_there] * 2 == ["Withdrawn" in told for told in names]
    ran = tmp_path / "ran"
    assert (2 if state is State.SUCCEEDED else 0) == (
        len(ran.read_text().splitlines()) if ran.exists() else 0
    )
    if state is State.FAILED:
        told = {(job.outcome.reason, job.outcome.started) for job in second if job.outcome}
        assert {(Reason.DEPENDENCY_FAILED, Started.NO)} == told


@pytest.mark.parametrize(("count", "state"), [(100, State.QUEUED), (101, State.WAITING)])
def test_more_ids_than_a_hundred_are_waited_for_by_drover(
    scheduler: SlurmScheduler, driver: BackendDriver, count: int, state: State
) -> None:
    """A command line has an end; so many parts an array has, or so many are the jobs before."""
    # Each element is a job of its own there, and none can start.
    scheduler.change_site(max_array_size=1, nodes=())
    array = submit_array(driver, ("true",), count)
    behind_array = driver.session.submit(("true",), after=[array.id], native=LEFT)
    specs = [JobSpec(argv=("true",), name=f"n{n}") for n in range(count)]
    singles = driver.session.submit_many(specs)
    behind_singles = driver.session.submit(
        ("true",), after=[job.id for job in singles], native=LEFT
    )
    driver.settle()
    driver.advance(5.0)

    assert [state] * 2 == [job.state for job in (behind_array, behind_singles)]
