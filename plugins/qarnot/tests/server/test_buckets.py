"""Tasks with buckets, through the unmodified SDK: resources, results, snapshots, purges."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qarnot.advanced_bucket import BucketPrefixFiltering, PrefixResourcesTransformation
from qarnot.exceptions import MissingBucketException, UnauthorizedException

from .conftest import Server, finished, until

# The SDK's own `submit` calls what it has declared deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")


def bucket_of(conn: Any, name: str, **files: str) -> Any:
    bucket = conn.create_bucket(name)
    for key, text in files.items():
        bucket.add_string(text, key.replace("__", "/"))
    return bucket


def keys(bucket: Any) -> set[str]:
    return {one.key for one in bucket.list_files()}


def text_of(bucket: Any, key: str, folder: Path) -> str:
    path = folder / "fetched"
    bucket.get_file(key, str(path))
    return path.read_text(encoding="utf-8")


def test_resources_go_in_and_results_come_out(conn: Any, tmp_path: Path) -> None:
    """The whole round that a first script makes, by `run` with a folder."""
    source = bucket_of(conn, "in-round", text="to be", dir__more="or not")
    task = conn.create_task("round", "docker-batch", 2)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'cat text dir/more > out-$INSTANCE_ID; echo x >> dir/more; mkdir -p a/b; "
        "echo $INSTANCE_ID > a/b/é-$INSTANCE_ID'"
    )
    task.resources.append(source)
    task.results = conn.create_bucket("out-round")
    task.submit()
    finished(task)
    task.download_results(str(tmp_path))

    assert "Success" == task.state, task.errors
    assert {"out-0", "out-1", "dir/more", "a/b/é-0", "a/b/é-1"} == keys(task.results)
    assert "to beor not" == (tmp_path / "out-1").read_text()
    assert "0\n" == (tmp_path / "a" / "b" / "é-0").read_text()
    results = [result for one in task.completed_instances for result in one.results]
    assert "s3://out-round/out-1" in results
    assert {"text", "dir/more"} == keys(source), "resources are left as they were"


def test_filters_and_prefixes_are_kept(conn: Any, tmp_path: Path) -> None:
    """What is to go in, and under which path; what is to come out."""
    source = bucket_of(conn, "in-filter", in__a="1", in__b="2", other="3")
    advanced = source.with_filtering(BucketPrefixFiltering("in/"))
    advanced = advanced.with_resource_transformation(PrefixResourcesTransformation("in/"))
    task = conn.create_task("filter", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sh -c 'ls -R > list.txt; touch x.log y.txt secret.txt'"
    task.constants["WHAT"] = "txt"
    task.resources.append(advanced)
    task.results = conn.create_bucket("out-filter")
    task.results_whitelist = r"\.${WHAT}$"
    task.results_blacklist = "secret"
    task.submit()
    finished(task)

    assert {"list.txt", "y.txt"} == keys(task.results), task.errors
    listed = text_of(task.results, "list.txt", tmp_path)
    assert "other" not in listed
    assert {"a", "b"} <= set(listed.split())


def test_a_missing_resource_bucket_is_named(conn: Any, api: Callable[..., Any]) -> None:
    """A typing error in a bucket's name must not start a task without its data."""
    body = {"name": "x", "profile": "docker-batch", "instanceCount": 1}
    answer = api("POST", "/tasks", body | {"resourceBuckets": ["no-such-bucket"]})
    assert (404, "no-such-bucket") == (answer.status_code, answer.json()["message"][-14:])
    task = conn.create_task("x", "docker-batch", 1)
    gone = conn.create_bucket("soon-gone")
    task.resources.append(gone)
    gone.delete()
    with pytest.raises(MissingBucketException):
        task.submit()


def test_a_resource_bucket_deleted_under_a_task_fails_it(conn: Any) -> None:
    """It must not run without its data, and it says what is missing."""
    source = bucket_of(conn, "in-deleted", x="1")
    job = conn.create_job("order", useDependencies=True)
    job.submit()
    first = conn.create_task("first", "docker-batch", 1, job=job)
    first.constants["DOCKER_CMD"] = "sleep 600"
    first.submit()
    second = conn.create_task("second", "docker-batch", 1, job=job)
    second.set_task_dependencies_from_tasks([first])
    second.resources.append(source)
    second.submit()
    source.delete()
    first.abort()
    finished(second)

    assert "Failure" == second.state
    assert "in-deleted" in second.errors[0].message


def test_results_go_to_a_bucket_that_was_deleted_meanwhile(conn: Any) -> None:
    """Hours of work must not be thrown away because of a bucket."""
    results = conn.create_bucket("out-anew")
    task = conn.create_task("anew", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sh -c 'sleep 1; echo r > r'"
    task.results = results
    task.submit()
    results.delete()
    finished(task)

    assert "Success" == task.state, task.errors
    assert {"r"} == keys(conn.retrieve_bucket("out-anew"))


def test_snapshots_send_what_there_is(conn: Any, tmp_path: Path) -> None:
    """At once and every so many seconds; a filter of their own, a bucket of their own."""
    results, other = conn.create_bucket("out-snap"), conn.create_bucket("out-snap-other")
    task = conn.create_task("snap", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sh -c 'echo early > early.txt; touch x.log; sleep 600'"
    task.results = results
    task.submit()
    until(lambda: (task.update(True), task.state == "FullyExecuting")[1])
    found = until(lambda: _snapshot(task, other))
    assert re.fullmatch(rf"snap_{task.uuid}_\d{{14}}(-\d+)?", found)
    assert {"p-early.txt"} == keys(other)
    assert not keys(results)
    task.snapshot(1)
    until(lambda: keys(results) == {"early.txt", "x.log"})
    task.update(True)
    assert 1 == task.snapshot_interval
    task.download_results(str(tmp_path))
    assert "early\n" == (tmp_path / "early.txt").read_text()
    with pytest.raises(ValueError, match="-1"):
        task.snapshot(-1)
    task.abort()
    finished(task)
    with pytest.raises(UnauthorizedException):
        task.instant()


def _snapshot(task: Any, bucket: Any) -> str:
    """Take one after the other until the file is there."""
    taken = task.instant(whitelist=r"\.txt$", bucket=bucket, bucket_prefix="p-")
    until(lambda: task.wait_snapshot(taken, timeout=0.1))
    return taken if keys(bucket) else ""


def test_new_resources_reach_instances_that_run(conn: Any) -> None:
    """They are laid in, are no results, and nothing is taken away."""
    source = bucket_of(conn, "in-update", first="1")
    task = conn.create_task("update", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'while [ ! -e second ]; do sleep 0.05; done; cat first second > sum'"
    )
    task.resources.append(source)
    task.results = conn.create_bucket("out-update")
    task.submit()
    until(lambda: task.state != "Submitted")
    source.add_string("2", "second")
    source.delete_file("first")
    until(lambda: _heard(task))
    finished(task)

    assert "Success" == task.state, task.errors
    assert {"sum"} == keys(task.results)


def _heard(task: Any) -> bool:
    """Ask once, as soon as there is something to renew."""
    task.update(True)
    if "Dispatched" not in task.state and "Executing" not in task.state:
        return False
    task.update_resources()
    return True


def test_an_aborted_task_sends_its_results_only_where_asked(conn: Any) -> None:
    """`upload_results_on_cancellation`."""
    sent = []
    for upload in (True, None):
        task = conn.create_task("cancelled", "docker-batch", 1)
        task.constants["DOCKER_CMD"] = "sh -c 'echo r > r; echo ready; sleep 600'"
        task.results = conn.create_bucket(f"out-cancel-{upload}".lower())
        task.upload_results_on_cancellation = upload
        task.submit()
        until(lambda task=task: "ready" in task.stdout())
        task.abort()
        finished(task)
        sent.append(keys(task.results))

    assert [{"r"}, set()] == sent


def test_delete_purges_buckets(conn: Any) -> None:
    """`delete(purge_resources=True, purge_results=True)` leaves neither behind."""
    task = conn.create_task("purge", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sh -c 'echo r > r'"
    task.resources.append(bucket_of(conn, "in-purge", x="1"))
    task.results = conn.create_bucket("out-purge")
    task.submit()
    finished(task)
    task.delete(purge_resources=True, purge_results=True)

    names = {bucket.uuid for bucket in conn.buckets()}
    assert not {"in-purge", "out-purge"} & names


def test_buckets_of_others_are_not_there(server: Server, conn: Any) -> None:
    """Neither to read, nor as resources, nor as results."""
    bucket_of(conn, "mine-alone", x="1")
    other = server.connect(server.add_user("thief@example.org"))

    assert [] == other.buckets()
    for field in ("resourceBuckets", "resultBucket"):
        value: Any = ["mine-alone"] if field == "resourceBuckets" else "mine-alone"
        body = {"name": "x", "profile": "docker-batch", "instanceCount": 1, field: value}
        answer = other._post("/tasks", body)
        assert 404 == answer.status_code
    with pytest.raises(Exception, match=r"AccessDenied|NoSuchBucket"):
        other.s3client.get_object(Bucket="mine-alone", Key="x")


def test_a_hostile_key_fails_its_task_alone(conn: Any) -> None:
    """A key that would lead out of the folder is refused where it would become a path."""
    bucket = conn.create_bucket("in-hostile")
    conn.s3client.put_object(Bucket=bucket.uuid, Key="../../escaped", Body=b"x")
    task = conn.create_task("hostile", "docker-batch", 1)
    task.resources.append(bucket)
    task.submit()
    finished(task)

    assert "Failure" == task.state
    assert "escaped" in task.errors[0].message


def test_a_server_killed_while_results_go_up_sends_them_all(own_server: Server) -> None:
    """Each object is whole or not there, and the next server sends what is missing."""
    conn = own_server.connect()
    task = conn.create_task("upload", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'for n in $(seq 400); do head -c 100000 /dev/zero > f$n; done'"
    )
    task.results = conn.create_bucket("out-killed")
    task.submit()
    blobs = own_server.home / "buckets"
    until(lambda: sum(1 for path in blobs.rglob("*") if path.is_file()) > 40)
    own_server.end(signal.SIGKILL)
    own_server.start()
    conn = own_server.connect()
    task = finished(conn.retrieve_task(task.uuid))
    sizes = {one.key: one.size for one in conn.retrieve_bucket("out-killed").list_files()}

    assert "Success" == task.state, task.errors
    assert {f"f{n}": 100000 for n in range(1, 401)} == sizes
