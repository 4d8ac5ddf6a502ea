"""What goes wrong between here and the cloud, and that it runs nothing twice and loses nothing."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qarnot_live import LiveServer, Place, Relay, live_server, start_server, stop_server

from drover.errors import UnreachableError
from drover.models import Answer, Attempt, Closing, Health, Phase, Reason, Started, Transfer, Verb
from drover.states import State
from drover.testing import BackendHarness
from drover_qarnot import _doctor, task_of
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud
from drover_qarnot._config import QarnotConfig, find_account
from drover_qarnot._handing import submit_json
from drover_qarnot._names import short_name
from drover_qarnot._transfer import PART, Mover


class Cutter(Relay):
    """A way to the server on which answers to some requests get lost."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.cut = b""
        """The beginning of requests whose answers get lost."""
        self.lost = 0
        self.goes = False
        """Whether the server is gone for good with the first answer that is lost."""

    def go(self, client: socket.socket, server: socket.socket) -> None:
        deaf = threading.Event()
        answers = threading.Thread(target=self._answers, args=(client, server, deaf))
        answers.start()
        while data := client.recv(1 << 16):
            if self.cut and data.startswith(self.cut):
                deaf.set()
            server.sendall(data)
        server.shutdown(socket.SHUT_RDWR)
        answers.join()

    def _answers(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        try:
            while data := server.recv(1 << 16):
                if deaf.is_set():
                    # The server has done what was asked, and its answer reaches nobody.
                    self.lost += 1
                    if self.goes:
                        self.target = ("127.0.0.1", 9)
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
        except OSError:
            return


@pytest.fixture
def cutter(qarnot_server: LiveServer) -> Iterator[Cutter]:
    made = Cutter(qarnot_server.url)
    yield made
    made.close()


def harness(server: LiveServer, folder: Path, **changes: Any) -> BackendHarness:
    made = BackendHarness("qarnot", folder, config={**server.config, **changes})
    made.start()
    return made


def test_a_lost_answer_is_settled_by_the_name(
    qarnot_server: LiveServer, cutter: Cutter, tmp_path: Path
) -> None:
    """The task was made and nobody heard of it: it is found, and runs once."""
    store = {"storage_url": f"{qarnot_server.url}/s3"}
    away = harness(qarnot_server, tmp_path / "home", url=cutter.url, **store)
    mark = tmp_path / "mark"
    attempt = away.attempt(["sh", "-c", 'echo x >>"$0"', str(mark)])
    cutter.cut = b"POST /tasks HTTP"
    (answer,) = away.submit(attempt)
    cutter.cut = b""

    assert cutter.lost == 1
    assert answer.answer is Answer.ACCEPTED
    away.until(attempt, Phase.ENDED)
    assert mark.read_text() == "x\n"
    assert [found.token for found in away.find(attempt.token)] == [attempt.token]


def test_a_server_that_goes_in_the_middle_leaves_an_unknown_answer(
    qarnot_server: LiveServer, cutter: Cutter, tmp_path: Path
) -> None:
    """Not refused, not accepted: whether it runs is found out when somebody answers again."""
    store = {"storage_url": f"{qarnot_server.url}/s3", "retries": 0}
    away = harness(qarnot_server, tmp_path / "home", url=cutter.url, **store)
    mark = tmp_path / "mark"
    attempt = away.attempt(["sh", "-c", 'echo x >>"$0"', str(mark)])
    away.submit(away.attempt(["true"]))
    cutter.cut = b"POST /tasks HTTP"
    original, cutter.goes = cutter.target, True
    (answer,) = away.submit(attempt)

    assert answer.answer is Answer.UNKNOWN, answer
    cutter.cut, cutter.goes, cutter.target = b"", False, original
    (again,) = away.submit(attempt)
    assert again.answer is Answer.ACCEPTED
    away.until(attempt, Phase.ENDED)
    assert mark.read_text() == "x\n"


def test_a_closed_token_runs_nothing_however_late_it_comes(
    qarnot_server: LiveServer, tmp_path: Path, connection: Any
) -> None:
    """A request that hung for an hour is carried out when the cloud wakes: it must be harmless."""
    away = harness(qarnot_server, tmp_path / "home")
    mark = tmp_path / "mark"
    attempt = away.attempt(["sh", "-c", 'echo x >>"$0"', str(mark)])

    def lose(_self: object, _call: object) -> None:
        raise UnreachableError("Qarnot", "it hangs")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cloud, "tell", lose)
        (answer,) = away.submit(attempt)
    assert answer.answer is Answer.UNKNOWN
    (closed,) = away.close(attempt.token)
    body = Book(tmp_path / "home/backends/qarnot").body(short_name([attempt.token]))
    task = connection.retrieve_task(submit_json(connection, body["json"]))
    end = time.monotonic() + 60
    while task.state not in {"Success", "Failure"}:
        assert time.monotonic() < end, task.state
        time.sleep(0.1)
        task.update(flushcache=True)

    assert closed.closing is Closing.CLOSED
    assert not mark.exists()
    (late,) = away.submit(attempt)
    assert late.answer is Answer.ACCEPTED
    away.until(attempt, Phase.UNRUN)
    assert not mark.exists()


def test_a_wrong_token_is_told(qarnot_server: LiveServer, tmp_path: Path) -> None:
    """The user reads what to do, and nothing was handed over."""
    token_file = tmp_path / "token"
    token_file.touch(mode=0o600)
    token_file.write_text("wrong")
    place = Place(tmp_path, {**qarnot_server.config, "token_file": str(token_file)})
    try:
        job = place.run("true")
        doctor = {entry.subject: entry for entry in place.session.doctor("qarnot")}
        (cluster,) = [entry for name, entry in doctor.items() if "cluster" in name]

        assert job.outcome is not None
        assert (job.outcome.reason, job.outcome.started) == (Reason.REFUSED, Started.NO)
        assert "token" in job.outcome.message
        assert (cluster.health, "new token" in cluster.cure) == (Health.ERROR, True)
    finally:
        place.close()


def test_a_cluster_that_is_away_leaves_jobs_waiting(
    qarnot_server: LiveServer, tmp_path: Path
) -> None:
    """Nothing was sent, so nothing is lost: it is tried again."""
    away = harness(qarnot_server, tmp_path / "home", url="http://127.0.0.1:9", retries=0)
    (answer,) = away.submit(away.attempt(["true"]))

    assert (answer.answer, answer.retryable) == (Answer.REFUSED, True)
    assert "cannot be reached" in answer.message


@pytest.mark.parametrize(
    ("fault", "subject", "words"),
    [
        ("unreachable", "cluster", "cannot be reached"),
        ("no token", "token", "no account is set up here"),
        ("profile", "profile", "no profile 'no-such'"),
        ("constant", "profile", "no constant 'NO_SUCH'"),
        ("clock", "clock", "differs"),
        ("storage", "storage", "cannot be reached"),
        ("nothing", "", ""),
    ],
)
def test_the_doctor_says_what_is_wrong(
    qarnot_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    subject: str,
    words: str,
) -> None:
    """The first thing that is wrong is told in words, and nothing that only follows from it."""
    changes: dict[str, Any] = {
        "unreachable": {"url": "http://127.0.0.1:9"},
        "no token": {"token_file": ""},
        "profile": {"profile": "no-such"},
        "constant": {"command_constant": "NO_SUCH"},
        "storage": {"storage_url": "http://127.0.0.1:9"},
    }.get(fault, {})
    monkeypatch.delenv("QARNOT_CLIENT_TOKEN", raising=False)
    if fault == "clock":
        monkeypatch.setattr(_doctor.time, "time", lambda: 1.0)
    config = QarnotConfig(**{**qarnot_server.config, **changes})
    wrong = [
        entry
        for entry in _doctor.diagnose("qarnot", "store", config)
        if entry.health is not Health.OK
    ]

    assert [entry.subject for entry in wrong] == ([subject] if subject else [])
    # A backend that nobody uses is no fault of the installation.
    assert {Health.ERROR} >= {entry.health for entry in wrong if fault != "no token"}
    assert fault != "no token" or wrong[0].health is Health.WARNING
    assert all(words in entry.message for entry in wrong), wrong


def test_a_bucket_that_is_deleted_under_a_task_keeps_the_exit_code(
    away: Place, connection: Any
) -> None:
    """The command has ended well; what is lost are its outputs, and that is told."""
    options = {"result_bucket": "goes-away"}
    script = "while ! test -e out; do echo 1 >out; sleep 1; done"
    job = away.submit(
        "sh", "-c", script,
        outputs=[Transfer(source="out", target="never")],
        native={"qarnot": options},
    )  # fmt: skip
    away.until("running", lambda: job.refresh().state is State.RUNNING)
    connection.retrieve_bucket("goes-away").delete()
    outcome = job.wait(60)

    assert outcome.exit_code == 0, outcome
    assert outcome.succeeded == (away.folder / "never").exists(), outcome


def test_outputs_whose_bucket_is_gone_are_missed(
    qarnot_server: LiveServer, connection: Any, tmp_path: Path
) -> None:
    """A job whose outputs are lost has not done what it was asked for, and says so."""
    near = harness(qarnot_server, tmp_path / "home")
    attempt = near.attempt(
        ["sh", "-c", "echo 1 >out"],
        outputs=[Transfer(source="out", target=str(tmp_path / "out"))],
        native={"qarnot": {"result_bucket": "gone-after"}},
    )
    near.submit(attempt)
    near.until(attempt, Phase.ENDED)
    connection.retrieve_bucket("gone-after").delete()
    (answer,) = near.backend.call("drover_stage_out", attempts=[near.placed(attempt)])

    assert (answer.ok, "gone-after" in answer.message) == (False, True), answer


def test_a_server_that_is_killed_loses_no_job(tmp_path: Path) -> None:
    """Tasks go on without it, and their true ends are told when it is back."""
    server = live_server(tmp_path / "server")
    port = int(server.url.rpartition(":")[2])
    folder = tmp_path / "client"
    folder.mkdir()
    place = Place(folder, server.config)
    process = server.process
    try:
        go = folder / "go"
        script = 'while ! test -e "$0"; do sleep 0.05; done; exit 7'
        job = place.submit("sh", "-c", script, str(go))
        place.until("running", lambda: job.refresh().state is State.RUNNING)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        go.touch()
        process, _ = start_server(server.home, port)
        outcome = job.wait(60)

        assert (outcome.reason, outcome.exit_code) == (Reason.EXITED, 7)
    finally:
        place.close()
        stop_server(process)


def test_an_upload_goes_on_where_it_was_cut_off(
    qarnot_server: LiveServer, connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrived before a crash is not sent again."""
    config = QarnotConfig(**qarnot_server.config)
    account = find_account("qarnot", config, {})
    cloud, book = Cloud(lambda: account, config), Book(tmp_path / "book")
    source = tmp_path / "big"
    source.write_bytes(os.urandom(3 * PART + 5))
    cloud.make_bucket("uploads")
    sent: list[int] = []
    original = Mover._send_part

    def send(self: Mover, upload: Any, number: int, part: bytes) -> str:
        if number == 3 and 3 not in sent and len(sent) == 2:
            sent.append(0)
            raise UnreachableError("the object store", "it is gone")
        sent.append(number)
        return original(self, upload, number, part)

    monkeypatch.setattr(Mover, "_send_part", send)
    with pytest.raises(UnreachableError):
        Mover(cloud, book).upload(source, "uploads", "big", lambda _count: None)
    moved: list[int] = []
    count = Mover(cloud, Book(tmp_path / "book")).upload(source, "uploads", "big", moved.append)

    assert sent == [1, 2, 0, 3, 4]
    assert (count, sum(moved)) == (PART + 5, 3 * PART + 5)
    assert Mover(cloud, book).upload(source, "uploads", "big", moved.append) == 0
    target = tmp_path / "back"
    assert Mover(cloud, book).download("uploads", "big", target, 0o600, moved.append) > 0
    assert target.read_bytes() == source.read_bytes()


def test_a_download_goes_on_where_it_was_cut_off(qarnot_server: LiveServer, tmp_path: Path) -> None:
    """What is there of a file is not asked for again, and half a file is never in its place."""
    config = QarnotConfig(**qarnot_server.config)
    account = find_account("qarnot", config, {})
    cloud, book = Cloud(lambda: account, config), Book(tmp_path / "book")
    content = os.urandom(1000)
    cloud.make_bucket("downloads")
    cloud.put("downloads", "key", content)
    there = cloud.head("downloads", "key")
    assert there is not None
    (tmp_path / f".back.{there.etag[:40]}.drover-part").write_bytes(content[:600])
    came = Mover(cloud, book).download(
        "downloads", "key", tmp_path / "back", 0o640, lambda _count: None
    )

    assert (came, (tmp_path / "back").read_bytes()) == (400, content)
    assert sorted(path.name for path in tmp_path.iterdir() if "back" in path.name) == ["back"]


def phases(near: BackendHarness, attempt: Attempt) -> list[Phase]:
    """Tell what one look sees."""
    told = near.observe(attempt)
    assert told is not None
    return [row.phase for row in told.observations]


def test_a_task_whose_tags_were_taken_away_is_found_by_its_name(
    qarnot_server: LiveServer, tmp_path: Path, connection: Any
) -> None:
    """Tags are for people, who change them; a job must not be LOST for it while it runs."""
    near = harness(qarnot_server, tmp_path / "home")
    attempt = near.attempt(["sleep", "60"])
    near.submit(attempt)
    near.until(attempt, Phase.RUNNING)
    task = connection.retrieve_task(short_name([attempt.token]))
    task.tags = ["mine"]
    task.commit()

    assert connection.retrieve_task(task.uuid).tags == ["mine"]
    assert phases(near, attempt) == [Phase.RUNNING]
    near.control(attempt, Verb.KILL)
    near.until(attempt, Phase.ENDED)


def test_a_task_that_is_gone_is_asked_for_by_name_once(
    qarnot_server: LiveServer, tmp_path: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks come every second or so; a thousand tasks that are gone must not be asked for each."""
    near = harness(qarnot_server, tmp_path / "home")
    attempt = near.attempt(["sleep", "60"])
    near.submit(attempt)
    near.until(attempt, Phase.RUNNING)
    connection.retrieve_task(short_name([attempt.token])).delete()
    asked: list[str] = []
    original = Cloud.task

    def task(self: Cloud, name: str) -> Any:
        asked.append(name)
        return original(self, name)

    monkeypatch.setattr(Cloud, "task", task)

    assert [phases(near, attempt) for _ in range(3)] == [[], [], []]
    assert asked == [short_name([attempt.token])]


def test_the_token_is_in_no_file(away: Place) -> None:
    """A store is copied, mailed and backed up."""
    job = away.run("true")
    token = Path(away.session.load_backend("qarnot").name and task_token(away)).read_text().strip()
    files = [path for path in (away.folder / "home").rglob("*") if path.is_file()]

    assert task_of(away.session, job).uuid
    assert [] == [path for path in files if token.encode() in path.read_bytes()]


def task_token(place: Place) -> str:
    """Name the file with the token, by the settings."""
    import tomllib

    table = tomllib.loads((place.folder / "drover.toml").read_text())
    return str(table["backends"]["qarnot"]["token_file"])
