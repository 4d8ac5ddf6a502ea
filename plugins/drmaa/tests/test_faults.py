"""What goes wrong with a real Grid Engine, and jobs that end once and truly for all that."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from gridengine_cluster import GridEngineCluster, must_be_installed
from gridengine_site import Site, Sites, ge_site_on, variables

from drover import Reason, Resources, State, Verdict
from drover.models import Health, Source, Started
from drover.testing import BackendHarness

__all__ = ["ge_site_on"]
pytestmark = pytest.mark.gridengine


@pytest.fixture(scope="module")
def all_tests_cluster() -> Iterator[GridEngineCluster]:
    must_be_installed()
    with GridEngineCluster("--slots=120") as cluster:
        yield cluster


@pytest.fixture
def own(all_tests_cluster: GridEngineCluster) -> Iterator[GridEngineCluster]:
    """Give a cluster that need not be as it was."""
    yield all_tests_cluster
    # Else an execd that lost its master looks for it again after half a minute.
    all_tests_cluster.up()


@pytest.fixture
def sites(own: GridEngineCluster, ge_site_on: Sites) -> Callable[..., Site]:
    """Give what opens a store on it. No file server is here whose news may be late."""
    return partial(ge_site_on, own, settle_s=3.0)


@pytest.fixture
def site(sites: Callable[..., Site]) -> Site:
    return sites()


def test_exit_codes_and_signals_are_told_truly(site: Site) -> None:
    """99 runs a job again on Grid Engine, 100 puts it into the error state; neither gets there."""
    scripts = [
        "exit 0",
        "exit 1",
        "exit 99",
        "exit 100",
        "kill -9 $$",
        "kill -15 $$",
        "kill -11 $$",
    ]
    jobs = [site.submit(script) for script in scripts]

    assert [
        ("EXITED", 0, 1), ("EXITED", 1, 1), ("EXITED", 99, 1), ("EXITED", 100, 1),
        ("SIGNALLED", -9, 1), ("SIGNALLED", -15, 1), ("SIGNALLED", -11, 1),
    ] == [site.told(job) for job in jobs]  # fmt: skip


def test_what_was_used_is_told_by_accounting(site: Site) -> None:
    """What a job that was killed costs is what the site's accounts say."""
    job = site.submit("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 2.2; kill -9 $$")
    usage = site.end(job).usage
    (account,) = [
        report.usage for report in job.outcome.evidence if report.source is Source.ACCOUNTING
    ]

    assert account is not None
    assert account.host == usage.nodes[0] == "localhost"
    assert usage.cpu_user_s == account.cpu_user_s > 0.1
    assert usage.max_rss_bytes >= account.max_rss_bytes > 1_000_000
    assert 2 <= account.wall_s <= 30


def test_an_end_is_heard_before_the_next_look(sites: Callable[..., Site]) -> None:
    """Accounts may be written 15 s late, and masters that thousands share are asked rarely."""
    site = sites(poll_s=60.0, idle_poll_s=60.0)
    jobs = [
        site.submit("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3"),
        *site.submit_many(site.spec(f"exit {k}") for k in (0, 99, 100)),
    ]
    for job in jobs:
        site.end(job, 30)

    assert [("EXITED", code, 1) for code in (3, 0, 99, 100)] == list(map(site.told, jobs))
    (heard,) = [r.usage for r in jobs[0].outcome.evidence if r.source is Source.QUEUE]
    assert heard is not None
    assert jobs[0].outcome.usage.cpu_user_s == heard.cpu_user_s > 0.01
    assert heard.max_rss_bytes > 1_000_000


def test_a_queue_in_the_error_state_is_named_by_the_doctor(
    own: GridEngineCluster, site: Site, tmp_path: Path
) -> None:
    """All jobs wait, and nobody says why."""
    with own.in_error("all.q"):
        harness = BackendHarness("drmaa", tmp_path / "doctor")
        found = {row.subject: row for row in harness.backend.call("drover_diagnose")}

    row = found["queue all.q@localhost"]
    assert Health.ERROR is row.health
    assert "error state" in row.message
    assert "qmod -cq" in row.cure


def test_the_worker_is_killed_and_no_job_is_lost(site: Site) -> None:
    """A C library that crashes must not reach the engine."""
    first = site.submit("sleep 1; exit 4")
    site.running(first)
    (worker,) = site.workers()
    os.kill(worker, signal.SIGKILL)
    second = site.submit("exit 5")

    assert ("EXITED", 5, 1) == site.told(second)
    assert ("EXITED", 4, 1) == site.told(first)
    assert [worker] != site.workers()
    assert 1 == len(site.workers())


def test_a_worker_that_hangs_in_a_submission_runs_nothing_twice(
    sites: Callable[..., Site],
) -> None:
    """The library waits for ever; whether the job was accepted is found out later."""
    site = sites(submit_timeout_s=1.0, unknown_after_s=2.0)
    assert ("EXITED", 0, 1) == site.told(site.submit())
    (worker,) = site.workers()
    os.kill(worker, signal.SIGSTOP)
    job = site.submit("exit 6")
    site.end(job, 30)

    assert ("EXITED", 6, 1) == site.told(job)
    assert worker not in site.workers()


def test_the_engine_is_killed_between_submission_and_journal(
    own: GridEngineCluster, site: Site
) -> None:
    """Grid Engine has the job and nobody wrote it down; it must not run twice."""
    assert ("EXITED", 0, 1) == site.told(site.submit())
    with own.frozen("qmaster"):
        job = site.submit("exit 7")
        # The worker has asked, and waits for the answer that the engine will not hear.
        site.until(lambda: any("SubmitIntended" in str(row.event) for row in job.history()), job)
        site.kill_engine()
    site.session.engine_start()

    assert ("EXITED", 7, 1) == site.told(job)


def test_what_ended_while_nobody_looked_ends_truly(site: Site) -> None:
    """A laptop was shut for the weekend."""
    jobs = [site.submit(f"while [ ! -e go ]; do sleep 0.1; done; {how}") for how in
            ("exit 0", "exit 3", "kill -9 $$")]  # fmt: skip
    killed = site.submit("sleep 600")
    for job in (*jobs, killed):
        site.running(job)
    site.session.engine_stop()
    (site.work / "go").touch()
    site.cluster.run("qdel", str(killed.native_id))
    ids = [str(job.native_id) for job in (*jobs, killed)]
    site.until(lambda: all(site.cluster.accounting_of(one) for one in ids))
    site.session.engine_start()

    assert [("EXITED", 0, 1), ("EXITED", 3, 1), ("SIGNALLED", -9, 1)] == list(map(site.told, jobs))
    assert ("SIGNALLED", -9, 1) == site.told(killed)
    assert {Source.ACCOUNTING} == {report.source for report in killed.outcome.evidence}


def test_somebody_else_deletes_jobs(site: Site) -> None:
    """An administrator has his reasons; what never ran did not fail by itself."""
    running = site.submit("sleep 600")
    waiting = site.submit(native={"drmaa": {"jobSubmissionState": "drmaa_hold"}})
    site.running(running)
    site.until(lambda: "user" in waiting.record.hold, waiting)
    site.cluster.run("qdel", str(running.native_id), str(waiting.native_id))

    assert ("SIGNALLED", -9, 1) == site.told(running)
    assert (Reason.CANCELLED, Started.NO, 0) == (
        site.end(waiting).reason, waiting.outcome.started, site.runs(waiting),
    )  # fmt: skip


def test_somebody_else_deletes_what_waits_where_qmaster_forgets_at_once(
    own: GridEngineCluster, sites: Callable[..., Site]
) -> None:
    """Neither listed nor in any account: the library's session alone has heard of it."""
    held = {"drmaa": {"jobSubmissionState": "drmaa_hold"}}
    with own.with_global("finished_jobs", "0"):
        # Longer than this test: LOST would be found out by its end.
        site = sites(missing_grace_s=60.0, accounting_gap_s=1.0)
        jobs = [site.submit(native=held), *site.submit_many(site.spec(native=held) for _ in "ab")]
        site.until(lambda: all("user" in job.record.hold for job in jobs), *jobs)
        own.run("qdel", *{str(job.native_id).partition(".")[0] for job in jobs})

        assert [(Reason.CANCELLED, Started.NO, 0)] * 3 == [
            (site.end(job, 30).reason, job.outcome.started, site.runs(job)) for job in jobs
        ]


def test_a_node_without_power_loses_its_jobs(own: GridEngineCluster, site: Site) -> None:
    """Grid Engine's account has exit status 0 for it."""
    job = site.submit("sleep 600")
    site.running(job)
    own.cut_power()
    own.up()

    assert Reason.NODE_LOST is site.end(job).reason, site.story(job)
    assert 1 == site.runs(job)


def test_over_its_hard_limit_grid_engine_ends_it(site: Site) -> None:
    """A wrapper that cannot keep the time leaves it to Grid Engine, which says so."""
    job = site.submit("sleep 600", native={"drmaa": {"hardWallclockTimeLimit": 2}})

    assert (Reason.WALL_TIME, -9) == site.told(job)[:2] or (Reason.WALL_TIME, 1) == (
        site.end(job).reason, site.runs(job),
    )  # fmt: skip
    assert State.FAILED is job.state


def test_what_cannot_run_is_refused_with_grid_engines_words(site: Site) -> None:
    """A job that waits for ever is worse than one that is refused."""
    job = site.submit(resources=Resources(queue="nosuch"))

    assert Reason.REFUSED is site.end(job).reason
    assert 'unknown queue "nosuch"' in job.outcome.message


@pytest.mark.slow
def test_the_master_is_killed_under_a_hundred_running_jobs(
    own: GridEngineCluster, site: Site
) -> None:
    """None is lost, none runs twice, and each ends as it did."""
    script = "while [ ! -e go ]; do sleep 0.5; done; : >{}.done; exit {}"
    jobs = site.submit_many(
        site.spec(script.format(f"k{k}", k % 5), name=f"k{k}") for k in range(100)
    )
    site.until(lambda: sum(map(site.runs, jobs)) == len(jobs), *jobs[:1])
    own.kill("qmaster")
    (site.work / "go").touch()
    # They end while nobody is there to hear of it.
    site.until(lambda: all((site.work / f"k{k}.done").exists() for k in range(100)))
    own.start("qmaster")
    for job in jobs:
        site.end(job, 150)

    assert {(f"k{k}", "EXITED", k % 5, 1) for k in range(100)} == {
        (job.name, *site.told(job)) for job in jobs
    }


def test_the_daemon_of_the_node_is_killed_and_started(site: Site) -> None:
    """Its jobs go on, and what ended meanwhile ended as it did."""
    own = site.cluster
    job = site.submit("while [ ! -e go ]; do sleep 0.1; done; exit 8")
    site.running(job)
    with own.without("execd"):
        (site.work / "go").touch()
        site.until(lambda: job.state is State.COMPLETING or job.state.ends_wait, job)

    assert ("EXITED", 8, 1) == site.told(job)


def test_a_cancel_has_a_verdict_with_the_master_away(site: Site) -> None:
    """A cancel that nobody heard is asked again, and what is told in the end is true."""
    job = site.submit("sleep 600")
    site.running(job)
    with site.cluster.without("qmaster"):
        (verdict,) = site.session.cancel([job], grace_s=1.0, timeout=2.0)
        assert not verdict.gone
    site.until(lambda: job.state is State.CANCELLED, job)

    assert Reason.CANCELLED is site.end(job).reason


def test_an_array_is_one_job_of_grid_engine(site: Site) -> None:
    """A thousand submissions are a burden, one is none."""
    jobs = site.submit_many(site.spec(f"exit {k % 3}", name=f"a{k}") for k in range(30))
    site.session.wait(jobs, 90)

    assert Counter({0: 10, 1: 10, 2: 10}) == Counter(site.told(job)[1] for job in jobs)
    numbers = Counter(str(job.native_id).partition(".")[0] for job in jobs)
    assert 30 == sum(numbers.values())
    assert max(numbers.values()) > 1
    assert {f"{number}.{k}" for number, n in numbers.items() if n > 1 for k in range(1, n + 1)} == {
        str(job.native_id) for job in jobs if "." in str(job.native_id)
    }


def test_a_wrapper_that_does_not_listen_is_deleted(site: Site) -> None:
    """Frozen, it hears no request; Grid Engine's KILL reaches it all the same."""
    job = site.submit("sleep 600")
    site.running(job)
    pid = int((site.work / job.name).read_text())
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGSTOP)
    (verdict,) = site.session.cancel([job], grace_s=0.5, timeout=60.0)

    assert (Verdict.DONE, State.CANCELLED) == (verdict.verdict, job.state), site.story(job)


def test_settings_reach_the_backend(own: GridEngineCluster) -> None:
    """What a test calls quick must be."""
    assert "0.5" == variables(own)["DROVER_BACKENDS__DRMAA__POLL_S"]
