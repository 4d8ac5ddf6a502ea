"""How jobs end on a real Slurm by what Slurm, its operators or other people do to them."""

import pytest
from slurm_cluster import SlurmCluster
from slurm_site import Sites

from drover import Reason, Resources, State
from drover.models import SYSTEM, USER, Source, Started

ENDLESS = "exec sleep 600"
HEEDS_TERM = "trap 'exit 4' TERM; while :; do sleep 0.1; done"


@pytest.fixture(params=["slurm", "slurm_bare"])
def cluster(request: pytest.FixtureRequest) -> SlurmCluster:
    """Give a cluster with accounting, then one without."""
    found: SlurmCluster = request.getfixturevalue(request.param)
    return found


def test_a_wall_time_is_told_from_an_exit(cluster: SlurmCluster, site_on: Sites) -> None:
    """By its own code alone, a job that heeds TERM has ended by itself."""
    site = site_on(cluster)
    plain = site.submit(ENDLESS, resources=Resources(wall_time=2))
    polite = site.submit(HEEDS_TERM, resources=Resources(wall_time=2))

    assert (Reason.WALL_TIME, 15) == (site.end(plain).reason, site.end(plain).signal)
    assert (Reason.WALL_TIME, 4) == (site.end(polite).reason, site.end(polite).exit_code)
    assert [1, 1] == [site.runs(job) for job in (plain, polite)]


@pytest.mark.slow
def test_a_wall_time_that_slurm_keeps_is_told_too(slurm: SlurmCluster, site_on: Sites) -> None:
    """A partition's own limit, or an operator's: Slurm looks at the clock twice a minute."""
    site = site_on(slurm)
    minute = {"slurm": {"options": ["--time=1"]}}
    scripts = (ENDLESS, HEEDS_TERM, "trap '' TERM; while :; do sleep 0.1; done")
    jobs = [site.submit(script, native=minute) for script in scripts]
    for job in jobs:
        site.running(job)
    for job in jobs:
        slurm.run("scontrol", "update", f"JobId={job.native_id}", "EndTime=now+2seconds")

    ends = [site.end(job, 90.0) for job in jobs]
    assert [Reason.WALL_TIME] * 3 == [end.reason for end in ends]
    assert [(None, 15), (4, None)] == [(end.exit_code, end.signal) for end in ends[:2]]
    assert [1, 1, 1] == [site.runs(job) for job in jobs]


def test_a_memory_limit_is_told_from_a_kill(slurm_cgroups: SlurmCluster, site_on: Sites) -> None:
    """The kernel kills, and its signal alone says nothing of why."""
    # A machine that is busy tells its word late, and after this time the record decides alone.
    site = site_on(slurm_cgroups, settle_s=30.0)
    hungry = "python3 -c 'x = bytearray(300_000_000)'"
    job = site.submit(f"exec {hungry}", resources=Resources(memory="50MiB"))
    child = site.submit(f"{hungry}; exit 0", resources=Resources(memory="50MiB"))

    for hungry_one in (job, child):
        outcome = site.end(hungry_one)
        assert ("OUT_OF_MEMORY", 1) == (outcome.reason, site.runs(hungry_one)), outcome
    assert not site.end(child).succeeded


def test_scancel_by_somebody_else_is_a_cancel(cluster: SlurmCluster, site_on: Sites) -> None:
    """Nobody asked drover: who did it must be told, and nothing is lost."""
    site = site_on(cluster)
    running, waiting = site.submit(ENDLESS), site.submit(native={"slurm": {"hold": True}})
    site.running(running)
    site.until(lambda: USER in waiting.held_by, waiting)
    cluster.run("scancel", str(running.native_id), str(waiting.native_id))

    ends = site.end(running), site.end(waiting)
    assert [Reason.CANCELLED] * 2 == [end.reason for end in ends]
    assert [Started.YES, Started.NO] == [end.started for end in ends]
    assert 15 == ends[0].signal
    sources = {report.source for end in ends for report in end.evidence}
    assert sources & {Source.QUEUE, Source.ACCOUNTING}
    assert [1, 0] == [site.runs(running), site.runs(waiting)]


def test_a_death_of_which_no_wrapper_tells_is_asked_of_slurm(
    cluster: SlurmCluster, site_on: Sites
) -> None:
    """The wrapper was killed with its command: there is no record, but there is a status."""
    site = site_on(cluster)
    job = site.submit("kill -9 $PPID; exec sleep 600")
    outcome = site.end(job)

    assert ("SIGNALLED", -9, 1) == site.told(job)
    assert Source.EXIT_RECORD not in {report.source for report in outcome.evidence}


def test_preemption_is_told_from_a_cancel(cluster: SlurmCluster, site_on: Sites) -> None:
    """Somebody more important came, and Slurm ended ours with the same signal."""
    site = site_on(cluster)
    low = site.submit(ENDLESS, resources=Resources(nodes=2, exclusive=True, queue="killed"))
    site.running(low)
    high = site.submit(resources=Resources(nodes=2, exclusive=True))

    assert ("EXITED", 0, 1) == site.told(high)
    assert (Reason.PREEMPTED, 1) == (site.end(low).reason, site.runs(low))


def test_a_preempted_job_that_may_run_again_does(slurm: SlurmCluster, site_on: Sites) -> None:
    """It is a restart of the same attempt, with outputs of its own."""
    site = site_on(slurm)
    low = site.submit(
        'echo run $DROVER_RESTART $SLURM_RESTART_COUNT; [ -n "$SLURM_RESTART_COUNT" ] || sleep 600',
        requeue=True,
        resources=Resources(nodes=2, exclusive=True, queue="requeued"),
    )
    site.running(low)
    high = site.submit(resources=Resources(nodes=2, exclusive=True))

    assert ("EXITED", 0, 1) == site.told(high)
    site.until(lambda: low.restart == 1, low)
    site.run_again_now(low)
    assert ("EXITED", 0, 2) == site.told(low)
    assert (1, 1) == (low.attempt, low.restart)


def test_a_requeue_by_hand_is_a_restart(cluster: SlurmCluster, site_on: Sites) -> None:
    """It is the same attempt: its claim allows it, and its end is that of the last run."""
    site = site_on(cluster)
    job = site.submit('[ -n "$SLURM_RESTART_COUNT" ] || sleep 600; exit 7', requeue=True)
    site.running(job)
    cluster.run("scontrol", "requeue", str(job.native_id))
    site.until(lambda: job.restart == 1 and job.state is State.QUEUED, job)
    site.run_again_now(job)

    assert ("EXITED", 7, 2) == site.told(job), site.story(job)
    assert (1, 1) == (job.attempt, job.restart)


def test_nothing_is_requeued_that_may_not_run_again(slurm: SlurmCluster, site_on: Sites) -> None:
    """An operator's requeue is refused by Slurm; were it not, the claim would refuse it."""
    site = site_on(slurm)
    job = site.submit("sleep 600")
    site.running(job)
    with pytest.raises(AssertionError, match="disabled"):
        slurm.run("scontrol", "requeue", str(job.native_id))
    slurm.run("scontrol", "update", f"JobId={job.native_id}", "Requeue=1")
    slurm.run("scontrol", "requeue", str(job.native_id))
    site.until(lambda: "PENDING" == site.slurm_says(job, "%T"), job)
    site.run_again_now(job)
    outcome = site.end(job)

    assert not outcome.succeeded
    assert 1 == site.runs(job)


def test_holds_of_users_and_of_operators_are_told_apart(
    slurm: SlurmCluster, site_on: Sites
) -> None:
    """The one can be lifted by its owner, the other cannot."""
    site = site_on(slurm)
    job = site.submit("exit 7", native={"slurm": {"hold": True}})
    site.until(lambda: job.held_by == {USER}, job)
    slurm.run("scontrol", "release", str(job.native_id))
    assert ("EXITED", 7, 1) == site.told(job)

    job = site.submit("exit 7", native={"slurm": {"begin": "now+1hour"}})
    site.until(lambda: "BeginTime" in job.native_state, job)
    slurm.run("scontrol", "hold", str(job.native_id))
    site.until(lambda: job.held_by == {SYSTEM}, job)
    slurm.run("scontrol", "uhold", str(job.native_id))
    site.until(lambda: job.held_by == {USER}, job)
    slurm.run("scontrol", "release", str(job.native_id))
    site.until(lambda: not job.held_by, job)


def test_what_can_never_run_is_refused_with_the_reason(slurm: SlurmCluster, site_on: Sites) -> None:
    """A job that waits for a node which nobody has waits for ever."""
    site = site_on(slurm)
    wide = site.submit(resources=Resources(cpus=4096))
    strange = site.submit(resources=Resources(queue="nowhere"))
    poor = site.submit(resources=Resources(account="nobody"))

    ends = [site.end(job) for job in (wide, strange, poor)]
    assert [Reason.REFUSED] * 3 == [end.reason for end in ends]
    assert "the largest has 8" in ends[0].message
    assert "partition" in ends[1].message.lower()
    assert "account" in ends[2].message.lower()
    assert [Started.NO] * 3 == [end.started for end in ends]


def test_a_job_that_slurm_lets_wait_for_ever_tells_why(slurm: SlurmCluster, site_on: Sites) -> None:
    """Slurm accepts what no node can hold, and says so in one word in a listing."""
    site = site_on(slurm)
    closed = site.submit(resources=Resources(queue="closed"))
    long = site.submit(resources=Resources(queue="short", wall_time="2h"))

    site.until(lambda: "PartitionDown" in closed.native_state, closed)
    site.until(lambda: "PartitionTimeLimit" in long.native_state, long)
    assert "more time than the partition gives" in long.native_state
    assert {State.QUEUED} == {closed.state, long.state}
