"""`drover serve s3` as a person has it: users, a port, kill -9, a full disk, little memory."""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from objectstore_served import Keys, Served, client, until
from objectstore_signer import half_sent

MIB = 1024 * 1024


def drover(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "drover", "serve", "s3", *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Give a server of the test's own, with one user, not yet started."""
    made = Served(tmp_path / "home", options=("--quiet",))
    made.add_user("ann")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


class Body:
    """A body of some size that takes no memory."""

    def __init__(self, size: int) -> None:
        self.size, self.at = size, 0

    def __len__(self) -> int:
        return self.size

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = {0: 0, 1: self.at, 2: self.size}[whence] + offset
        return self.at

    def read(self, count: int = -1) -> bytes:
        left = self.size - self.at
        count = left if count < 0 else min(count, left)
        self.at += count
        return bytes(count)


def test_a_user_who_was_added_gets_in_at_once(served: Served) -> None:
    """Nobody restarts a server for a new user; and a key that nobody made opens nothing."""
    served.start()
    client(served.url, served.users[0]).create_bucket(Bucket="one")
    bob = client(served.url, served.add_user("bob"))

    assert [] == bob.list_buckets()["Buckets"]
    with pytest.raises(ClientError, match="AccessDenied"):
        bob.list_objects(Bucket="one")
    assert "ann\nbob\n" == drover("user", "list", "--home", served.home).stdout


def test_secrets_are_sealed_and_files_private(served: Served) -> None:
    """Who copies the file of users without the key beside it has no secret."""
    served.start()
    files = [served.home, *served.home.rglob("*")]
    secret = served.users[0].secret.encode()

    assert [] == [path for path in files if path.is_file() and secret in path.read_bytes()]
    assert [] == [path for path in files if path.stat().st_mode & 0o077]
    (served.home / "key").write_bytes(b"A" * 43 + b"=")
    told = drover("--home", served.home)
    assert served.users[0].secret not in told.stdout + told.stderr


def test_what_is_wrong_is_told_in_a_line(served: Served, tmp_path: Path) -> None:
    served.start()
    port = served.url.rpartition(":")[2]
    for words, told in (
        (("--home", served.home, "--port", "0"), "in use by another process"),
        (("--home", tmp_path / "other", "--port", port), "ddress already in use"),
        (("user", "add", "a/b", "--home", served.home), "is no name for a user"),
        (("--share", "5 apples", "--home", tmp_path / "x"), "is no size"),
        ((), "--home"),
    ):
        done = drover(*words)
        assert 0 != done.returncode
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_requests_are_logged_without_secrets(tmp_path: Path) -> None:
    """A log that is shown to somebody must not let them in."""
    served = Served(tmp_path / "home")
    keys = served.add_user("ann")
    served.start()
    boto = client(served.url, keys)
    boto.create_bucket(Bucket="one")
    from test_s3 import raw

    url = boto.generate_presigned_url("put_object", {"Bucket": "one", "Key": "k"})
    assert 200 == raw(url, "PUT", b"body of mine")[0]
    assert 0 == served.stop()

    rows = [json.loads(line) for line in served.log().splitlines()]
    assert ["PUT /one 200", "PUT /one/k 200"] == [row["message"] for row in rows]
    assert {keys.access} == {row["access_key"] for row in rows}
    assert 12 == rows[1]["received"]
    for word in (keys.secret, "Signature", "body of mine"):
        assert word not in served.log()


def test_a_server_that_is_killed_leaves_no_half_object(served: Served) -> None:
    """Killed while it takes an object and a part: neither is there afterwards, nor on disk."""
    served.start()
    boto = client(served.url, served.users[0])
    boto.create_bucket(Bucket="one")
    boto.put_object(Bucket="one", Key="before", Body=b"x" * MIB)
    upload = boto.create_multipart_upload(Bucket="one", Key="m")["UploadId"]
    words = {"Bucket": "one", "Key": "m", "UploadId": upload}
    etag = boto.upload_part(**words, PartNumber=1, Body=b"y" * 5 * MIB)["ETag"]
    whole = served.blobs()

    for path, query in (("/one/k", ""), ("/one/m", f"partNumber=2&uploadId={upload}")):
        with half_sent(served.url, served.users[0], path, query):
            until(lambda: len(served.blobs()) > len(whole))
            served.kill()
        assert len(served.blobs()) > len(whole), "nothing was cut off"
        served.start()
        assert sorted(whole) == sorted(served.blobs())

    assert ["before"] == [row["Key"] for row in boto.list_objects(Bucket="one")["Contents"]]
    assert [1] == [row["PartNumber"] for row in boto.list_parts(**words)["Parts"]]
    parts = [{"PartNumber": 1, "ETag": etag}]
    boto.complete_multipart_upload(**words, MultipartUpload={"Parts": parts})
    assert b"y" * 5 * MIB == boto.get_object(Bucket="one", Key="m")["Body"].read()


def test_a_full_disk_is_told_and_passes(served: Served) -> None:
    """`RLIMIT_FSIZE` stands in for the disk; what was there stays, and small things go on."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))

    served.start(preexec_fn=limit)
    boto = client(served.url, served.users[0])
    boto.create_bucket(Bucket="one")
    boto.put_object(Bucket="one", Key="k", Body=b"old")
    with pytest.raises(ClientError, match="InsufficientStorage") as told:
        boto.put_object(Bucket="one", Key="k", Body=Body(20 * MIB))

    assert 507 == told.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert b"old" == boto.get_object(Bucket="one", Key="k")["Body"].read()
    until(lambda: served.blobs() == [])
    boto.put_object(Bucket="one", Key="l", Body=b"after")


def test_a_users_share_is_kept(tmp_path: Path) -> None:
    served = Served(tmp_path / "home", options=("--quiet", "--share", "1MiB"))
    boto = client("http://127.0.0.1:1", served.add_user("ann"))
    served.start()
    boto = client(served.url, served.users[0])
    boto.create_bucket(Bucket="one")
    boto.put_object(Bucket="one", Key="k", Body=b"x" * 1_000_000)
    with pytest.raises(ClientError, match="InsufficientStorage"):
        boto.put_object(Bucket="one", Key="l", Body=b"x" * 100_000)
    served.stop()


def test_memory_does_not_grow_with_an_object(served: Served) -> None:
    """150 MiB up, in parts and down, through a server that has some tens of megabytes.

    benchmarks/objectstore.py does the same with 5 GiB.
    """
    served.start()
    boto = client(served.url, served.users[0])
    boto.create_bucket(Bucket="one")
    before = served.peak_mib()
    boto.put_object(Bucket="one", Key="k", Body=Body(150 * MIB))
    boto.upload_fileobj(Body(60 * MIB), "one", "m")  # ten threads at a time
    body = boto.get_object(Bucket="one", Key="k")["Body"]
    size = sum(len(data) for data in body.iter_chunks(MIB))

    assert 150 * MIB == size
    assert served.peak_mib() < before + 80


def test_a_reader_that_goes_costs_nothing(served: Served) -> None:
    """A download that is broken off must not be read from disk to its end."""
    served.start()
    boto = client(served.url, served.users[0])
    boto.create_bucket(Bucket="one")
    boto.put_object(Bucket="one", Key="k", Body=Body(60 * MIB))
    for _ in range(3):
        body = boto.get_object(Bucket="one", Key="k")["Body"]
        body.read(MIB)
        body.close()
    boto.delete_object(Bucket="one", Key="k")

    # A file that is read stays until its last reader is gone.
    until(lambda: served.blobs() == [])
    until(lambda: not [link for link in descriptors(served.pid) if "blobs" in link])


def descriptors(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except FileNotFoundError:
            continue
    return found


def test_it_listens_on_loopback_alone(served: Served) -> None:
    """Who starts it to try it out must not serve the network."""
    served.start()

    assert served.url.startswith("http://127.0.0.1:")
    port = int(served.url.rpartition(":")[2])
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {row.split()[1] for row in rows if row.split()[3] == "0A"}
    assert {f"0100007F:{port:04X}"} == {each for each in listening if each.endswith(f":{port:04X}")}


def test_users_keys_are_never_in_the_list_of_processes(served: Served) -> None:
    served.start()
    words = Path(f"/proc/{served.pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{served.pid}/environ").read_bytes()
    keys: Keys = served.users[0]

    assert keys.secret.encode() not in words + environment


def test_a_name_is_shown_with_its_keys_once(tmp_path: Path) -> None:
    done = drover("user", "add", "ann@example.org", "--home", tmp_path / "h")
    rows: Any = [line.split("=", 1) for line in done.stdout.splitlines()]

    assert ["export AWS_ACCESS_KEY_ID", "export AWS_SECRET_ACCESS_KEY"] == [row[0] for row in rows]
    assert 20 == len(rows[0][1])
    assert rows[1][1] not in (tmp_path / "h/users.json").read_text()
