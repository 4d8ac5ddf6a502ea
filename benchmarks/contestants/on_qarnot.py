"""The Qarnot server, asked by the official SDK; and Drover's own jobs beside it."""

import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from speech import Answer, Task, answer, took

import drover

qarnot: Any = import_module("qarnot")
"""It tells no types."""
LONG_S = 600.0
MIB = 2**20
OPEN = {"operator": "NotIn", "field": "State", "values": ["Success", "Failure", "Cancelled"]}
BULK = 500


@contextmanager
def server(task: Task) -> Generator[tuple[Any, psutil.Process]]:
    """Give a connection to a server of this measurement's own, whose engine is awake."""
    home = task.folder / "home"
    argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(home)]
    with (
        Path(task.folder / "server.log").open("ab") as log,
        subprocess.Popen([*argv, "--port=0", "--json"], stdout=subprocess.PIPE, stderr=log) as run,
    ):
        assert run.stdout is not None
        facts = json.loads(run.stdout.readline())
        try:
            conn = qarnot.Connection(cluster_url=facts["url"], client_token=facts["token"])
            make(conn, 1)[0].submit()
            settle(conn)
            yield conn, psutil.Process(run.pid)
        finally:
            run.terminate()
    with drover.open(home / "drover", engine="none") as session:
        session.engine_stop(LONG_S)


def make(conn: Any, count: int) -> list[Any]:
    tasks = [conn.create_task(f"task {n}", "docker-batch", 1) for n in range(count)]
    for task in tasks:
        task.constants["DOCKER_CMD"] = "true"
    return tasks


def settle(conn: Any) -> None:
    """Wait until no task is open, without asking for each."""
    began = time.perf_counter()
    body = {"filter": OPEN, "maximumResults": 1}
    while conn._post("/tasks/summaries/paginate", body).json()["count"]:  # noqa: SLF001 - one call for all
        assert time.perf_counter() - began < LONG_S
        time.sleep(0.05)


def one_by_one(task: Task) -> Answer:
    """Submit tasks each by its own call, as scripts do."""
    with server(task) as (conn, _):
        tasks = make(conn, task.jobs)
        began = time.perf_counter()
        for one in tasks:
            one.submit()
        return took(task.jobs, time.perf_counter() - began)


def bulk(task: Task) -> Answer:
    """Submit tasks by the call that takes many, to their ends."""
    with server(task) as (conn, process):
        bodies = [one._to_json() for one in make(conn, task.jobs)]  # noqa: SLF001 - less to ask for
        began = time.perf_counter()
        for piece in [bodies[at : at + BULK] for at in range(0, len(bodies), BULK)]:
            assert all(row["uuid"] for row in conn._post("/tasks", piece).json())  # noqa: SLF001
        handed = time.perf_counter() - began
        settle(conn)
        seconds = time.perf_counter() - began
        facts = {
            "handed_per_s": task.jobs / handed,
            "mib": process.memory_info().rss / MIB,
            "cpu_ms": 1000 * sum(process.cpu_times()[:2]) / task.jobs,
        }
        return took(task.jobs, seconds, **facts)


def bare(task: Task) -> Answer:
    """Run as many arrays of one element by Drover's own API."""
    array = drover.Array(indices=1)
    spec = drover.JobSpec(argv=("true",), array=array)
    with drover.open(task.folder / "store") as session:
        session.wait([session.submit(["true"])], LONG_S)
        began = time.perf_counter()
        arrays = session.submit_many([spec] * task.jobs)
        _, left = session.wait(arrays, LONG_S)
        seconds = time.perf_counter() - began
        assert not left
        session.engine_stop(LONG_S)
        return took(task.jobs, seconds)


if __name__ == "__main__":
    answer(version("drover-qarnot"), one_by_one=one_by_one, bulk=bulk, bare=bare)
