"""Inputs and outputs on their way to and from buckets: how far they are, and after a crash."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from attrs import frozen
from qarnot_live import LiveServer, Place, Relay

from drover.errors import UnreachableError
from drover.models import Attempt, JobSpec, Observation, Reason, Transfer
from drover.testing import BackendHarness, FakeClock
from drover_qarnot import _staging, _transfer
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._config import QarnotConfig, find_account
from drover_qarnot._names import bucket_name
from drover_qarnot._staging import REPORT_S, Meter
from drover_qarnot._transfer import PART, PIECE, Mover

BUCKET = "transfers"
# What it moves it tells line by line, and waits for a line before it goes on.
PROGRAM = """
import json, sys
from pathlib import Path
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud
from drover_qarnot._config import QarnotConfig, find_account
from drover_qarnot._transfer import Mover

config = QarnotConfig(**json.loads(sys.argv[1]))
account = find_account("qarnot", config, {})
mover = Mover(Cloud(lambda: account, config), Book(Path(sys.argv[2])))

def moved(count):
    print(count, flush=True)
    sys.stdin.readline()

path = Path(sys.argv[4])
if sys.argv[3] == "up":
    mover.upload(path, "transfers", path.name, moved)
else:
    mover.download("transfers", sys.argv[5], path, 0o600, moved)
"""


@frozen(kw_only=True)
class Way:
    """A way to the store, and a book of uploads that is begun anew as after a crash."""

    server: LiveServer
    cloud: Cloud
    folder: Path

    @property
    def mover(self) -> Mover:
        return Mover(self.cloud, Book(self.folder / "book"))

    def killed(self, *words: str, after: int) -> None:
        """Move in a process of its own, and kill that when it has told so many pieces."""
        argv = [sys.executable, "-c", PROGRAM, json.dumps(self.server.config)]
        with subprocess.Popen(
            [*argv, str(self.folder / "book"), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(after):
                assert process.stdout.readline(), number
                if number < after - 1:
                    process.stdin.write(b"\n")
                    process.stdin.flush()
            process.send_signal(signal.SIGKILL)
            process.wait(30)


@pytest.fixture
def way(qarnot_server: LiveServer, tmp_path: Path) -> Way:
    config = QarnotConfig(**qarnot_server.config)
    account = find_account("qarnot", config, {})
    cloud = Cloud(lambda: account, config)
    cloud.make_bucket(BUCKET)
    return Way(server=qarnot_server, cloud=cloud, folder=tmp_path)


def test_an_upload_goes_on_after_a_kill(way: Way, tmp_path: Path) -> None:
    """The parts that had arrived when the process died are in the object, and come once."""
    source = tmp_path / "killed-up"
    source.write_bytes(os.urandom(3 * PART + 7))
    way.killed("up", str(source), after=2)
    moved: list[int] = []

    assert way.cloud.head(BUCKET, source.name) is None
    assert way.mover.upload(source, BUCKET, source.name, moved.append) == PART + 7
    assert sum(moved) == 3 * PART + 7
    assert way.cloud.get(BUCKET, source.name) == source.read_bytes()


def test_a_download_goes_on_after_a_kill(way: Way, tmp_path: Path) -> None:
    """What is there is kept, and no half of a file is ever in its place."""
    content = os.urandom(2 * PIECE + 7)
    way.cloud.put(BUCKET, "killed-down", content)
    target = tmp_path / "back"
    way.killed("down", str(target), "killed-down", after=2)
    moved: list[int] = []

    assert not target.exists()
    assert way.mover.download(BUCKET, "killed-down", target, 0o640, moved.append) == PIECE + 7
    assert sum(moved) == 2 * PIECE + 7
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (content, 0o640)


def test_a_file_that_was_changed_begins_anew(way: Way, tmp_path: Path) -> None:
    """Parts of two files in one object are neither."""
    source = tmp_path / "changed"
    source.write_bytes(os.urandom(2 * PART + 7))
    way.killed("up", str(source), after=1)
    source.write_bytes(os.urandom(2 * PART + 7))

    assert way.mover.upload(source, BUCKET, source.name, ignore) == 2 * PART + 7
    assert way.cloud.get(BUCKET, source.name) == source.read_bytes()


def test_an_upload_that_the_store_has_forgotten_begins_anew(
    way: Way, tmp_path: Path, connection: Any
) -> None:
    """Stores keep the parts of an upload for some days; a job that comes later must not fail."""
    source = tmp_path / "forgotten"
    source.write_bytes(os.urandom(2 * PART + 7))
    way.killed("up", str(source), after=1)
    facts = Book(way.folder / "book").upload(f"{BUCKET}/{source.name}")
    assert facts is not None
    connection.s3client.abort_multipart_upload(Bucket=BUCKET, Key=source.name, UploadId=facts["id"])

    assert way.mover.upload(source, BUCKET, source.name, ignore) == 2 * PART + 7
    assert way.cloud.get(BUCKET, source.name) == source.read_bytes()
    assert Book(way.folder / "book").upload(f"{BUCKET}/{source.name}") is None


@pytest.mark.parametrize("size", [0, 5, PART, PART + 1])
def test_what_is_there_is_not_moved_again(way: Way, tmp_path: Path, size: int) -> None:
    """Both ends are compared by size and content, whether it came in parts or whole."""
    source, target = tmp_path / f"sized-{size}", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    moved: list[int] = []

    assert way.mover.upload(source, BUCKET, source.name, moved.append) == size
    assert way.mover.upload(source, BUCKET, source.name, moved.append) == 0
    assert way.mover.download(BUCKET, source.name, target, 0o600, moved.append) == size
    assert way.mover.download(BUCKET, source.name, target, 0o640, moved.append) == 0
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (source.read_bytes(), 0o640)
    assert sum(moved) == 4 * size


def test_another_file_of_the_same_size_is_moved(way: Way, tmp_path: Path) -> None:
    """A result that was computed anew is as long as the old one, most of the time."""
    source, target = tmp_path / "same-size", tmp_path / "back"
    source.write_bytes(b"old")
    way.mover.upload(source, BUCKET, source.name, ignore)
    way.mover.download(BUCKET, source.name, target, 0o600, ignore)
    source.write_bytes(b"new")

    assert way.mover.upload(source, BUCKET, source.name, ignore) == 3
    assert way.mover.download(BUCKET, source.name, target, 0o600, ignore) == 3
    assert target.read_bytes() == b"new"


def test_an_object_that_is_not_there_is_told(way: Way, tmp_path: Path) -> None:
    """The user reads which output is lost; nothing is left in its place."""
    with pytest.raises(RefusedError, match="'gone' is not in bucket 'transfers'"):
        way.mover.download(BUCKET, "gone", tmp_path / "back", 0o600, ignore)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_changes_meanwhile_is_not_mixed(way: Way, tmp_path: Path) -> None:
    """Half of one file and half of another is neither; the next try brings the new one."""
    target = tmp_path / "back"
    way.cloud.put(BUCKET, "changing", b"old" * PIECE)

    def change(count: int) -> None:
        if count == 0:
            way.cloud.put(BUCKET, "changing", b"new" * PIECE)

    with pytest.raises(RefusedError, match="PreconditionFailed"):
        way.mover.download(BUCKET, "changing", target, 0o600, change)
    assert not target.exists()
    way.mover.download(BUCKET, "changing", target, 0o600, ignore)
    assert target.read_bytes() == b"new" * PIECE


def test_parts_are_put_together_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenth part comes after the ninth, and not after the first."""
    monkeypatch.setattr(_transfer, "PART", 1)
    sent: dict[int, bytes] = {}
    put_together: list[bytes] = []

    class Store:
        def create_multipart_upload(self, **_: str) -> dict[str, str]:
            return {"UploadId": "u"}

        def upload_part(self, **part: Any) -> dict[str, str]:
            sent[part["PartNumber"]] = part["Body"]
            return {"ETag": f"e{part['PartNumber']}"}

        def complete_multipart_upload(self, **whole: Any) -> None:
            parts = whole["MultipartUpload"]["Parts"]
            assert [part["ETag"] for part in parts] == [f"e{part['PartNumber']}" for part in parts]
            put_together.extend(sent[part["PartNumber"]] for part in parts)

    cloud: Any = SimpleNamespace(
        head=lambda _bucket, _key: None, ask=lambda call: call(SimpleNamespace(s3client=Store()))
    )
    source = tmp_path / "eleven"
    source.write_bytes(b"abcdefghijk")

    assert Mover(cloud, Book(tmp_path / "book")).upload(source, "b", "k", ignore) == 11
    assert b"".join(put_together) == b"abcdefghijk"


class Dam(Relay):
    """A way to the store on which the upload of a part waits for ever."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url += "/s3"
        self.parts: list[int] = []
        """Numbers of the parts that somebody began to send."""
        self.held = 3

    def go(self, client: socket.socket, server: socket.socket) -> None:
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        while data := client.recv(1 << 16):
            found = re.match(rb"PUT \S*[?&]partNumber=(\d+)", data)
            if found:
                self.parts.append(int(found[1]))
            if not found or self.parts[-1] != self.held:
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)


@pytest.fixture
def dam(qarnot_server: LiveServer) -> Iterator[Dam]:
    made = Dam(qarnot_server.url)
    yield made
    made.close()


ENGINE = """
import sys, drover
with drover.open("home", engine="inline", backend="qarnot") as session:
    job = session.submit(drover.JobSpec(
        argv=("cmp", "in", "again"), cwd=sys.argv[1],
        inputs=[drover.Transfer(source="big", target="in"),
                drover.Transfer(source="big", target="again")],
    ))
    print(job.id, flush=True)
    job.wait(60)
"""


def test_an_engine_that_is_killed_in_an_upload_goes_on(
    qarnot_server: LiveServer, dam: Dam, tmp_path: Path
) -> None:
    """The next engine takes the job up: parts that had arrived stay, and the command runs once."""
    config = {**qarnot_server.config, "shared_files": False, "image": "", "storage_url": dam.url}
    place = Place(tmp_path, config)
    place.session.close()
    (tmp_path / "big").write_bytes(os.urandom(3 * PART + 7))
    argv = [sys.executable, "-c", ENGINE, str(tmp_path)]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()
        place.until("held", lambda: 3 in dam.parts)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert dam.parts == [1, 2, 3]
    dam.held = 0
    after = Place(tmp_path, config)
    try:
        job = after.session.job(job_id)
        outcome = job.wait(60)

        assert (outcome.reason, outcome.exit_code) == (Reason.EXITED, 0), outcome
        assert dam.parts[3:5] == [3, 4]
        # The second input is an upload of its own.
        assert dam.parts[5:] == [1, 2, 3, 4]
    finally:
        after.close()


def test_what_was_cut_off_is_purged(
    qarnot_server: LiveServer, connection: Any, tmp_path: Path
) -> None:
    """Parts of an object that will never be take room, and no list of objects shows them."""
    made = BackendHarness("qarnot", tmp_path / "home", config=qarnot_server.config)
    made.start()
    (tmp_path / "big").write_bytes(os.urandom(PART + 7))
    attempt = made.attempt(
        ["true"], inputs=[Transfer(source=str(tmp_path / "big"), target="in")], cwd=str(tmp_path)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mover, "_send_part", failing)
        (answer,) = made.backend.call("drover_stage_in", attempts=[attempt])
    bucket = bucket_name(made.context.store_id, "in")
    ((target, upload),) = Book(tmp_path / "home/backends/qarnot").uploads_under(bucket)
    key = target.removeprefix(f"{bucket}/")
    parts = {"Bucket": bucket, "Key": key, "UploadId": upload}

    assert not answer.ok
    assert "UploadId" in connection.s3client.list_parts(**parts)
    made.backend.call("drover_forget", attempts=[attempt])
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchUpload"):
        connection.s3client.list_parts(**parts)
    assert Book(tmp_path / "home/backends/qarnot").uploads_under(bucket) == []


def failing(*_: object) -> str:
    raise UnreachableError("the object store", "it is gone")


def test_progress_tells_how_far_a_transfer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the whole, in words as well, and not for each of ten thousand small files."""
    at = 100.0
    told: list[Observation] = []
    monkeypatch.setattr(_staging, "time", SimpleNamespace(monotonic=lambda: at))
    context: Any = SimpleNamespace(clock=FakeClock(), report=told.extend)
    attempt = Attempt(job_id="j", number=1, token="t", spec=JobSpec(argv=["true"]))
    meter = Meter(context, attempt, "inputs")
    meter.add(10)
    assert told == []
    meter.total = 100
    meter.add(15)
    meter.add(25)
    at += REPORT_S + 0.1
    meter.add(25)
    at += REPORT_S + 0.1
    meter.add(99)

    assert {"t"} == {row.token for row in told}
    assert [
        (0.25, "inputs: 25 of 100 bytes"),
        (0.75, "inputs: 75 of 100 bytes"),
        (1.0, "inputs: 174 of 100 bytes"),
    ] == [(row.progress.fraction, row.progress.text) for row in told if row.progress]


def ignore(_count: int) -> None:
    """Nobody wants to know how far it is."""
