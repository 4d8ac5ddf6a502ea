"""Servers that are killed, clients that are cut off, tasks that are too large."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from qarnot.exceptions import QarnotGenericException

from drover_qarnot.server._buckets import NoBuckets
from drover_qarnot.server._config import Limits, Settings, default_profiles
from drover_qarnot.server._creating import Creation
from drover_qarnot.server._credits import Purse
from drover_qarnot.server._errors import ApiError
from drover_qarnot.server._groups import Jobs, Pools
from drover_qarnot.server._hidden import Hidden
from drover_qarnot.server._opening import HomeInUseError, open_database, take
from drover_qarnot.server._records import Tasks

from .conftest import Server, clean, finished, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")


def counting(conn: Any, name: str, folder: Path) -> Any:
    """Make a task that notes each of its starts, and goes on when it is told to."""
    task = conn.create_task(name, "docker-batch", 2)
    task.constants["DOCKER_CMD"] = (
        f"sh -c 'echo start $INSTANCE_ID >>{folder}/starts; "
        f"while [ ! -e {folder}/go ]; do sleep 0.05; done; echo end'"
    )
    task.submit()
    until(lambda: (folder / "starts").exists() and (folder / "starts").read_text().count("\n") == 2)
    return task


def test_a_task_outlives_its_server(own_server: Server, tmp_path: Path) -> None:
    """Kill -9 while it runs: the next server finds it, and nothing ran twice."""
    conn = own_server.connect()
    task = counting(conn, "outlives", tmp_path)
    task.fresh_stdout()
    own_server.end(signal.SIGKILL)
    (tmp_path / "go").touch()
    own_server.start()
    again = own_server.connect(own_server.facts["token"])
    task = again.retrieve_task(task.uuid)

    assert "Success" == finished(task).state
    assert "0> end\n1> end\n" == task.fresh_stdout()
    assert ["start 0", "start 1"] == sorted((tmp_path / "starts").read_text().splitlines())


def test_a_submission_that_was_not_noted_is_found(own_server: Server, tmp_path: Path) -> None:
    """Killed after Drover had the array and before that was noted: no second array."""
    conn = own_server.connect()
    task = counting(conn, "found", tmp_path)
    own_server.end(signal.SIGKILL)
    with sqlite3.connect(own_server.home / "qarnot.db") as database:
        database.execute("UPDATE tasks SET phase = 'placing', array_id = NULL")
    database.close()
    (tmp_path / "go").touch()
    own_server.start()
    task = own_server.connect(own_server.facts["token"]).retrieve_task(task.uuid)

    assert "Success" == finished(task).state
    assert ["start 0", "start 1"] == sorted((tmp_path / "starts").read_text().splitlines())


def test_an_abort_outlives_its_server(own_server: Server, tmp_path: Path) -> None:
    """What was asked of a server stands, also where it was killed before it could do it."""
    conn = own_server.connect()
    task = counting(conn, "abort", tmp_path)
    own_server.end(signal.SIGKILL)
    with sqlite3.connect(own_server.home / "qarnot.db") as database:
        database.execute("UPDATE tasks SET state = 'PendingCancel', wanted = 'abort'")
    database.close()
    own_server.start()

    task = own_server.connect(own_server.facts["token"]).retrieve_task(task.uuid)
    assert "Cancelled" == finished(task).state


def test_a_full_disk_loses_no_result_and_no_task(tmp_path: Path) -> None:
    """Creations are answered with 503, which the SDK repeats; results wait for room."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "mode=700,size=24m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    full = Server(place / "home")
    try:
        full.start()
        conn = full.connect()
        task = conn.create_task("full", "docker-batch", 1)
        task.constants["DOCKER_CMD"] = (
            f"sh -c 'head -c 3000000 /dev/zero > r; touch {tmp_path}/made; "
            f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done'"
        )
        task.results = conn.create_bucket("out-full")
        task.submit()
        until((tmp_path / "made").exists)
        filler = place / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(QarnotGenericException, match="Service Unavailable"):
            conn.create_task("refused", "docker-batch", 1).submit()
        (tmp_path / "go").touch()
        until(lambda: "the next try is in" in full.log() or "not now" in full.log())
        filler.unlink()

        assert "Success" == finished(task, 90).state, task.errors
        assert {"r": 3000000} == {one.key: one.size for one in task.results.list_files()}
        conn.create_task("accepted", "docker-batch", 1).submit()
    finally:
        clean(full)
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_two_servers_do_not_work_on_one_home(server: Server) -> None:
    """Each would hand in and take in what the other does."""
    with pytest.raises(HomeInUseError):
        take(server.home)


@pytest.fixture
def creation(tmp_path: Path) -> Iterator[Creation]:
    database, accounts, sealer = open_database(tmp_path / "home")
    hidden = Hidden(database, sealer, accounts)
    yield Creation(
        settings=Settings(profiles=default_profiles(), limits=Limits(tasks=2)),
        database=database,
        tasks=Tasks(database),
        pools=Pools(database, tmp_path, hidden),
        jobs=Jobs(database),
        hidden=hidden,
        buckets=NoBuckets(),
        purse=Purse(None, database),
    )
    database.close()


BODY = {"name": "twice", "profile": "docker-batch", "instanceCount": 1}


def test_a_repeated_creation_that_was_never_answered_is_the_same_task(creation: Creation) -> None:
    """A client that lost the answer to a killed server asks again, and wants one task."""
    first = creation.task("me@example.org", BODY)
    creation.answers.lost([first])

    assert first == creation.task("me@example.org", dict(reversed(BODY.items())))
    assert first != creation.task("you@example.org", BODY)
    creation.answers.sent([first])
    creation.answers.note()
    assert first != creation.task("me@example.org", BODY)


def test_equal_tasks_are_as_many_as_were_asked_for(
    creation: Creation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one request or in two; but a request that failed and is repeated makes no more."""
    rows = creation.bulk("me@example.org", [BODY, BODY])
    assert 2 == len({row["uuid"] for row in rows})
    assert creation.task("you@example.org", BODY) != creation.task("you@example.org", BODY)

    made, left = creation._insert_task, [1]

    def until_the_disk_is_full(*words: Any) -> None:
        if not left:
            raise sqlite3.OperationalError("database or disk is full")
        left.pop()
        made(*words)

    with monkeypatch.context() as patch:
        patch.setattr(creation, "_insert_task", until_the_disk_is_full)
        with pytest.raises(sqlite3.OperationalError):
            creation.bulk("he@example.org", [BODY] * 2)
    count = "SELECT count(*) AS n FROM tasks WHERE owner = 'he@example.org'"
    assert [0] == [row["n"] for row in creation._database.read(count)]
    rows = creation.bulk("he@example.org", [BODY] * 2)
    creation.answers.lost([row["uuid"] for row in rows])
    assert rows == creation.bulk("he@example.org", [BODY] * 2)
    assert [2] == [row["n"] for row in creation._database.read(count)]


def test_above_the_quota_a_task_is_refused_or_an_old_one_goes(creation: Creation) -> None:
    """In the words from which the SDK makes MaxTaskException."""
    for name in ("a", "b"):
        creation.task(
            "me@example.org", BODY | {"name": name, "autoDeleteOnCompletion": name == "b"}
        )
    with pytest.raises(ApiError, match="maximum number of tasks reached"):
        creation.task("me@example.org", BODY | {"name": "c"})
    with creation._database.write() as connection:
        connection.execute("UPDATE tasks SET phase = 'over', state = 'Success'")
    creation.task("me@example.org", BODY | {"name": "c"})

    rows = creation._database.read("SELECT name FROM tasks WHERE wanted = 'delete'")
    assert ["b"] == [row["name"] for row in rows]


def state_of(api: Callable[..., Any], task: Any) -> str:
    """Ask for the state alone: the whole task is some megabytes."""
    leaf = {"operator": "Equal", "field": "Uuid", "value": task.uuid}
    return str(
        api("POST", "/tasks/summaries/paginate", {"filter": leaf}).json()["data"][0]["state"]
    )


@pytest.mark.slow
def test_ten_thousand_instances_are_one_task(
    server: Server, conn: Any, api: Callable[..., Any]
) -> None:
    """It is answered at once, told in ranges, and aborted as a whole."""
    task = conn.create_task("many", "docker-batch", 10_000)
    task.constants["DOCKER_CMD"] = "sleep 600"
    began = time.monotonic()
    task.submit()
    assert time.monotonic() - began < 5
    until(lambda: "Executing" in state_of(api, task), 60)
    task.abort()
    until(lambda: state_of(api, task) == "Cancelled", 90)
    task.update(True)

    assert "Cancelled" == task.state
    assert "0-9999" == task.status.failed_range
    assert 10_000 == len(task.completed_instances)
    memory = psutil.Process(server.pid).memory_info().rss
    assert memory < 400 << 20, f"{memory >> 20} MiB"


def test_a_log_line_is_json_without_what_was_carried(server: Server, conn: Any) -> None:
    """What reads logs is a program; what is in them is read by many people."""
    conn.profiles_names()
    rows = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    asked = [row for row in rows if row["message"].startswith("GET /profiles ")]

    assert 200 == asked[-1]["status"]
    assert {"at", "level", "logger", "message", "method", "path", "status", "ms"} == set(asked[-1])
