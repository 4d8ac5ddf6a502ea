"""What the machine can do: the same work with nothing around it."""

import contextlib
import os
import platform
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from speech import Answer, Task, answer, latency, took

PIECE = 20_000
"""Jobs in one transaction, as in `submit_many`."""

# As wide and as long as what Drover writes of `/bin/true`, without its indexes.
TABLES = """
CREATE TABLE journal (seq INTEGER PRIMARY KEY, n, epoch, at, name, data);
CREATE TABLE jobs (n INTEGER PRIMARY KEY, id, spec_seq, array_id, array_index, backend, name,
                   priority, submitted_at, state, turn, wake_at, asked, ended_at, record);
"""
FACT = (
    '{"backend":"local","base_digest":"b7bf95912d19662d1669e7cfca6dd307","spec":{"argv":'
    '["/bin/true"],"cwd":"/home/somebody"},"id":"ekwynckhne5z"}'
)


def spawn_and_wait(task: Task) -> Answer:
    """Start `/bin/true` by `posix_spawn`, keep as many in flight as there are slots, reap."""
    began = time.perf_counter()
    running = left = 0
    todo = task.jobs
    while todo or running:
        while todo and running < task.slots:
            os.posix_spawn("/bin/true", ["true"], os.environ)
            todo -= 1
            running += 1
        _, status = os.wait()
        running -= 1
        left += status == 0
    seconds = time.perf_counter() - began
    assert left == task.jobs
    return took(task.jobs, seconds)


def thread_pool(task: Task) -> Answer:
    """Let threads call `subprocess.run`: what people write by hand."""

    def one(_number: int) -> int:
        return subprocess.run(["/bin/true"], check=True).returncode

    with ThreadPoolExecutor(task.slots) as pool:
        began = time.perf_counter()
        done = pool.map(one, range(task.jobs))
        count = sum(1 for _ in done)
        seconds = time.perf_counter() - began
    assert count == task.jobs
    return took(task.jobs, seconds)


def insert(task: Task) -> Answer:
    """Insert two rows per job, as durable as Drover's."""
    with contextlib.closing(sqlite3.connect(task.folder / "bare.db", isolation_level=None)) as sql:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        sql.executescript(TABLES)
        began = time.perf_counter()
        for first in range(1, task.jobs + 1, PIECE):
            piece = range(first, min(first + PIECE, task.jobs + 1))
            at = time.time()
            sql.execute("BEGIN IMMEDIATE")
            sql.executemany(
                "INSERT INTO journal VALUES (?, ?, 0, ?, 'Submitted', ?)",
                [(n, n, at, FACT) for n in piece],
            )
            sql.executemany(
                "INSERT INTO jobs VALUES (?, ?, ?, NULL, NULL, 'local', 'true', 0, ?, 'NEW', 1, "
                "NULL, NULL, NULL, '{}')",
                [(n, f"{n:012x}", n, at) for n in piece],
            )
            sql.execute("COMMIT")
        seconds = time.perf_counter() - began
    return took(task.jobs, seconds)


def run(argv: list[str]) -> tuple[int, int, str]:
    handed_in = time.time_ns()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        process.wait()
        known = time.time_ns()
        assert process.stdout is not None
        return handed_in, known, process.stdout.read()


if __name__ == "__main__":
    answer(
        platform.python_version(),
        throughput=spawn_and_wait,
        pool=thread_pool,
        submission=insert,
        latency=lambda task: latency(run, task.jobs),
    )
