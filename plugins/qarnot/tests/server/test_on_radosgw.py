"""The server with its buckets on a real Ceph, which is what the real service has them on."""

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from qarnot.advanced_bucket import BucketPrefixFiltering, PrefixResourcesTransformation
from qarnot.exceptions import MissingBucketException
from radosgw_cluster import RadosgwCluster

from .conftest import SETTINGS, Server, clean, finished, make_server, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")
ME = "drover@localhost"
LARGE = 64 << 20
"""Bytes: a dozen parts, so that there is something to cut."""


class Place(NamedTuple):
    """A server, and the Ceph on which its users have accounts."""

    server: Server
    ceph: RadosgwCluster

    def user(self, email: str, token: str) -> Any:
        """Give a user of the server an account of the same keys, and connect."""
        name = email.partition("@")[0]
        self.ceph.run(
            "radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}",
            f"--access-key={email}", f"--secret-key={token}",
        )  # fmt: skip
        return self.server.connect(token)


@pytest.fixture(scope="module")
def place(radosgw: RadosgwCluster) -> Iterator[Place]:
    one = make_server(f'storage = {{ url = "{radosgw.url}" }}\n{SETTINGS}')
    one.start()
    yield Place(one, radosgw)
    clean(one)


@pytest.fixture(scope="module")
def mine(place: Place) -> Any:
    """The SDK as the first user."""
    return place.user(ME, place.server.facts["token"])


def keys(bucket: Any) -> dict[str, int]:
    return {one.key: one.size for one in bucket.list_files()}


def test_what_goes_in_and_out_is_there(mine: Any, place: Place, tmp_path: Path) -> None:
    """Resources with a filter, a part larger than one request, new ones, snapshots, results."""
    assert place.ceph.url == place.server.facts["storage_url"]
    source = mine.create_bucket("res")
    (tmp_path / "large").write_bytes(b"0123456789abcdef" * (9 << 16))
    source.add_file(str(tmp_path / "large"), "in/large")
    source.add_string("x", "in/a b+%&é/x")
    source.add_string("x", "out")
    chosen = source.with_filtering(BucketPrefixFiltering("in/"))
    task = mine.create_task("round", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'find -type f ! -name found | sort > found; md5sum large > sum; "
        'while [ ! -e go ]; do sleep 0.05; done; mkdir -p "d é+%"; echo r > "d é+%/r&"\''
    )
    task.resources.append(chosen.with_resource_transformation(PrefixResourcesTransformation("in/")))
    task.results = mine.create_bucket("out")
    task.results_blacklist = "^found"
    task.submit()
    until(lambda: _snapshot(task) and "sum" in keys(task.results))
    assert {"sum", "found"} == set(keys(task.results)), "a snapshot has a filter of its own"
    source.add_string("", "in/go")
    task.update_resources()
    finished(task)
    task.download_results(str(tmp_path / "got"))

    assert "Success" == task.state, task.errors
    assert {"sum", "found", "d é+%/r&"} == set(keys(task.results))
    digest = hashlib.md5((tmp_path / "large").read_bytes()).hexdigest()
    assert f"{digest}  large\n" == (tmp_path / "got" / "sum").read_text()
    assert "./a b+%&é/x\n./large\n" == (tmp_path / "got" / "found").read_text()
    assert "r\n" == (tmp_path / "got" / "d é+%" / "r&").read_text()


def _snapshot(task: Any) -> bool:
    task.update(True)
    if task.state != "FullyExecuting":
        return False
    taken = task.instant()
    return bool(until(lambda: task.wait_snapshot(taken, timeout=0.1)))


def test_what_is_not_there_or_anothers_is_told(mine: Any, place: Place) -> None:
    """In the same words as of the server's own store."""
    theirs = place.user("other@example.org", place.server.add_user("other@example.org"))
    theirs.create_bucket("theirs").add_string("x", "x")
    gone = mine.create_bucket("gone")
    gone.delete()
    for name in ("gone", "theirs"):
        task = mine.create_task("none", "docker-batch", 1)
        task.resources.append(mine.create_bucket("stand-in"))
        task._resource_objects[0]._uuid = name
        with pytest.raises(MissingBucketException, match=name):
            task.submit()
    body = {"name": "x", "profile": "docker-batch", "instanceCount": 1, "resultBucket": "theirs"}
    answer = mine._post("/tasks", body)

    assert (404, True) == (answer.status_code, "theirs" in answer.json()["message"])
    assert {"x": 1} == keys(theirs.retrieve_bucket("theirs"))


def test_an_upload_that_is_cut_off_is_done_again(mine: Any, place: Place) -> None:
    """The store dies under it, then the server: until it is whole, nothing of it is seen."""
    results = mine.create_bucket("out-cut")
    task = mine.create_task("cut", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = f"sh -c 'head -c {LARGE} /dev/zero > large'"
    task.results = results
    task.submit()
    store = mine.s3client

    def parts() -> set[str]:
        found = store.list_multipart_uploads(Bucket="out-cut").get("Uploads", ())
        return {one["UploadId"] for one in found}

    first = until(parts)
    told = place.server.log().count("the next try is in")
    place.ceph.kill("rgw")
    until(lambda: place.server.log().count("the next try is in") > told)
    task.update(True)
    assert "UploadingResults" == task.state
    place.ceph.up()
    assert {} == keys(results)
    until(lambda: parts() - first)
    place.server.end(signal.SIGKILL)
    assert {} == keys(results)
    place.server.start()
    task = finished(place.server.connect().retrieve_task(task.uuid), 60)

    assert "Success" == task.state, task.errors
    assert {"large": LARGE} == keys(results)
    assert set() == parts(), "what was cut off counts in nobody's quota"
