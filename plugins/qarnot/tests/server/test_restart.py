"""A server that is ended in good order and started again, under clients that go on."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ConnectionError as StoreAway
from botocore.exceptions import HTTPClientError

from .conftest import Server

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")
BODY = {"name": "twin", "profile": "docker-batch", "instanceCount": 1}
AWAY = (requests.exceptions.ConnectionError, StoreAway, HTTPClientError)
CLIENTS = 2


def post(server: Server) -> str:
    answer = requests.post(
        f"{server.facts['url']}/tasks", json=BODY, timeout=30,
        headers={"Authorization": server.facts["token"]},
    )  # fmt: skip
    return str(answer.json()["uuid"])


def test_an_answer_that_was_sent_is_remembered(own_server: Server) -> None:
    """Who asks for the same after a restart wants another task, not the one that they have."""
    first = post(own_server)
    assert 0 == own_server.end()
    assert "served" in own_server.log()
    own_server.start()

    assert first != post(own_server)


class Client:
    """A user's program that submits one task after the other, and asks again when nobody answers.

    The SDK itself repeats what is answered with an error, and not what is not answered.
    """

    def __init__(self, name: str, server: Server, noted: Path) -> None:
        self.name = name
        self.done = 0
        self.away = 0
        self.wrong: list[str] = []
        self.stopping = threading.Event()
        self._server = server
        self._noted = noted
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self.stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _steadily(self, call: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 40
        while True:
            try:
                return call()
            except AWAY:
                self.away += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _run(self) -> None:
        try:
            conn = self._steadily(self._server.connect)
            while not self.stopping.is_set():
                self._one(conn, f"{self.name}-{self.done}")
                self.done += 1
        except Exception as exc:  # noqa: BLE001 - told by the test, which fails of it
            self.wrong.append(repr(exc))

    def _one(self, conn: Any, name: str) -> None:
        """Put something in, run a task on it, and get what it made."""
        bucket = self._steadily(lambda: conn.create_bucket(name))
        self._steadily(lambda: bucket.add_string(f"{name}\n" * 100_000, "in"))
        task = conn.create_task(name, "docker-batch", 1)
        task.tags = ["restart"]
        task.constants["DOCKER_CMD"] = f"sh -c 'echo {name} >> {self._noted}; tail -n1 in > out'"
        task.resources = [bucket]
        task.results = bucket
        # It looks at the task once it has it: a look that fails must not submit another.
        self._steadily(lambda: task.uuid or task.submit())
        while self._steadily(lambda: _state(task)) not in {"Success", "Failure", "Cancelled"}:
            time.sleep(0.02)
        found = self._steadily(lambda: conn.s3client.get_object(Bucket=name, Key="out")["Body"])
        if (task.state, found.read()) != ("Success", f"{name}\n".encode()):
            self.wrong.append(f"{name} {task.state} {task.errors}")


def _state(task: Any) -> str:
    task.update(True)
    return str(task.state)


def test_clients_that_ask_again_lose_nothing(own_server: Server, tmp_path: Path) -> None:
    """Two restarts: each task is made once, runs once, and its bytes go in and out whole."""
    noted = tmp_path / "noted"
    clients = [Client(f"client{n}", own_server, noted) for n in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        for _ in range(2):
            before = [one.done for one in clients]
            deadline = time.monotonic() + 60
            while not all(one.done > was for one, was in zip(clients, before, strict=True)):
                assert not any(one.wrong for one in clients), [one.wrong for one in clients]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert 0 == own_server.end()
            own_server.start()
    finally:
        for one in clients:
            one.join()
    names = sorted(f"{one.name}-{n}" for one in clients for n in range(one.done))

    assert [[], []] == [one.wrong for one in clients]
    assert all(one.away for one in clients), "they have seen that it was away"
    assert names == sorted(task.name for task in own_server.connect().all_tasks(tags=["restart"]))
    assert names == sorted(noted.read_text().split())
