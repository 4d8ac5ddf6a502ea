"""Everything that the SDK's manual names of Task and Job, against the live server.

Source: the pages `qarnot.task.Task` and `qarnot.job.Job` of the SDK's documentation.
"""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import qarnot
from qarnot.exceptions import (
    MaxJobException,
    MaxPoolException,
    MaxTaskException,
    MissingBucketException,
    MissingJobException,
    MissingTaskException,
    UnauthorizedException,
)

from .conftest import SETTINGS, Server, clean, finished, make_server, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")


def test_run_and_resume_bring_results_to_a_folder(
    conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` = submit, wait, download; `resume` = wait, download, from another program."""
    task = conn.create_task("run", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sh -c 'echo r > r'"
    task.results = conn.create_bucket("manual-run")
    # The SDK looks every ten seconds; this is its clock, and all that is changed of it.
    clock = SimpleNamespace(time=time.time, sleep=lambda _seconds: time.sleep(0.05))
    monkeypatch.setattr(qarnot.task, "time", clock)
    task.run(str(tmp_path / "run"))
    assert "r\n" == (tmp_path / "run" / "r").read_text()
    other = conn.retrieve_task(task.uuid)
    other.resume(str(tmp_path / "resume"))

    assert "r\n" == (tmp_path / "resume" / "r").read_text()
    assert "Success" == other.state


def test_what_was_set_before_the_submission_comes_back(conn: Any) -> None:
    """Each property of the manual, as another program sees it."""
    task = conn.create_task("first name", "docker-batch", 1)
    task.name, task.shortname, task.tags = "set", "manual-set", ["a", "b"]
    task.instancecount = 2
    task.constants["DOCKER_CMD"] = "true"
    task.constraints["size"] = "large"
    task.snapshot_whitelist, task.snapshot_blacklist = "w1", "b1"
    task.results_whitelist, task.results_blacklist = "w2", ""
    task.auto_delete = True
    task.completion_ttl = dt.timedelta(days=1, hours=6)
    task.labels = {"project": "x"}
    task.wait_for_pool_resources_synchronization = True
    task.resources = [conn.create_bucket("manual-set-in")]
    task.results = conn.create_bucket("manual-set-out")
    task.auto_update, task.update_cache_time = False, 1
    task.submit()
    found = conn.retrieve_task("manual-set")

    assert (task.uuid, "set", "manual-set", ["a", "b"]) == (
        found.uuid, found.name, found.shortname, found.tags
    )  # fmt: skip
    assert (2, None, "docker-batch") == (found.instancecount, found.advanced_range, found.profile)
    assert "true" == found.constants["DOCKER_CMD"]
    # The SDK sends constraints, and never reads them back.
    shown = conn._get(f"/tasks/{task.uuid}").json()
    assert [{"key": "size", "value": "large"}] == shown["constraints"]
    assert ("w1", "b1", "w2") == (
        found.snapshot_whitelist, found.snapshot_blacklist, found.results_whitelist
    )  # fmt: skip
    assert (True, "1.06:00:00") == (found.auto_delete, found.completion_ttl)
    assert ({"project": "x"}, True) == (found.labels, found.wait_for_pool_resources_synchronization)
    assert ["manual-set-in"] == [bucket.uuid for bucket in found.resources]
    assert "manual-set-out" == found.results.uuid
    assert abs(dt.datetime.now(dt.UTC) - found.creation_date.replace(tzinfo=dt.UTC)) < dt.timedelta(
        minutes=1
    )
    task.update(True)
    assert finished(found).running_core_count == 0


def test_a_summary_is_filled_when_more_is_asked_for(conn: Any) -> None:
    """`all_tasks` brings summaries; what they lack is fetched at first use."""
    task = conn.create_task("summary", "docker-batch", 1)
    task.tags = ["summary"]
    task.constants["DOCKER_CMD"] = "true"
    task.submit()
    found = next(one for one in conn.all_tasks() if one.uuid == task.uuid)

    assert ["summary"] == found.tags
    assert "true" == found.constants["DOCKER_CMD"]
    assert task.uuid in {one.uuid for one in conn.tasks_page(summary=False, maximum=50).page_data}


def test_a_with_block_deletes_its_task(conn: Any) -> None:
    """`with conn.create_task(...) as task:` is how the samples clean up."""
    with conn.create_task("with", "docker-batch", 1) as task:
        task.constants["DOCKER_CMD"] = "sleep 600"
        task.submit()
        uuid = task.uuid
        assert not task.wait(timeout=0.1)

    with pytest.raises(MissingTaskException):
        conn.retrieve_task(uuid)


def test_each_call_on_a_task_that_is_gone_says_so(conn: Any) -> None:
    """MissingTaskException from every method for which the manual names it."""
    task = conn.create_task("missing", "docker-batch", 1)
    task.results = conn.create_bucket("manual-missing")
    task.submit()
    finished(task)
    copy = conn.retrieve_task(task.uuid)
    task.delete()

    for call in (
        copy.abort, copy.update_resources, copy.commit, copy.instant, copy.stdout, copy.stderr,
        copy.fresh_stdout, copy.fresh_stderr, copy.wait, copy.delete,
        lambda: copy.snapshot(5), lambda: copy.update(True),
    ):  # fmt: skip
        with pytest.raises(MissingTaskException):
            call()


def test_what_has_ended_takes_no_more_orders(conn: Any) -> None:
    """UnauthorizedException where the manual says so of a task that does not run."""
    task = conn.create_task("over", "docker-batch", 1)
    task.results = conn.create_bucket("manual-over")
    task.submit()
    finished(task)

    for call in (task.instant, task.update_resources, lambda: task.snapshot(5)):
        with pytest.raises(UnauthorizedException):
            call()


def test_a_job_tells_what_the_manual_names(conn: Any) -> None:
    """Each property of Job, before and after its end."""
    job = conn.create_job("manual", shortname="manual-job", useDependencies=True)
    job.tags = ["j"]
    job.auto_delete = True
    job.completion_ttl = "00:10:00"
    job.max_wall_time = "01:00:00"
    job.submit()
    task = conn.create_task("in it", "docker-batch", 1, job=job)
    task.submit()
    found = conn.retrieve_job("manual-job")

    assert (job.uuid, "manual", "Active", True) == (
        found.uuid, found.name, found.state, found.use_dependencies
    )  # fmt: skip
    assert (True, "00:10:00") == (found.auto_delete, found.completion_ttl)
    assert dt.timedelta(hours=1) == found.max_wall_time
    assert [task.uuid] == [one.uuid for one in found.tasks]
    found.update(True)
    assert found.state_transition_time.endswith("Z")
    finished(task)
    found.terminate()
    until(lambda: (found.update(True), found.state == "Completed")[1])
    found.delete()
    with pytest.raises(MissingJobException):
        conn.retrieve_job("manual-job")


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A server on which an account may have one of each."""
    one = make_server(SETTINGS.replace("tasks = 5000", "tasks = 1\njobs = 1\npools = 1"))
    one.start()
    yield one
    clean(one)


def test_above_the_quota_the_sdk_says_which(narrow: Server) -> None:
    """MaxTaskException, MaxJobException, MaxPoolException: the SDK knows them by their words."""
    conn = narrow.connect()
    conn.create_job("one").submit()
    conn.create_pool("one", "docker-batch").submit()
    task = conn.create_task("one", "docker-batch", 1)
    task.auto_delete = True
    task.submit()
    with pytest.raises(MaxJobException):
        conn.create_job("two").submit()
    with pytest.raises(MaxPoolException):
        conn.create_pool("two", "docker-batch").submit()
    late = conn.create_task("two", "docker-batch", 1)
    finished(task)
    late.submit()
    with pytest.raises(MaxTaskException):
        conn.create_task("three", "docker-batch", 1).submit()
    with pytest.raises(MissingTaskException):
        task.update(True)


def test_a_pool_without_its_bucket_is_refused(conn: Any) -> None:
    """MissingBucketException of a pool, as of a task."""
    pool = conn.create_pool("no bucket", "docker-batch")
    gone = conn.create_bucket("manual-gone")
    pool.resources.append(gone)
    gone.delete()
    with pytest.raises(MissingBucketException):
        pool.submit()
