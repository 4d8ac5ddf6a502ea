"""Drover on a Slurm cluster, and the cluster's own sbatch beside it."""

import re
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import psutil
from servants import servants
from speech import Answer, Task, answer, took

import drover
from drover.states import State

LONG_S = 600.0
HELD = {"hold": True}
SCRIPT = b"#!/bin/sh\ntrue\n"
OF_CLIENTS = re.compile(
    r"REQUEST_(?:\w*JOB_(?:INFO|USER_INFO)\w*|SUBMIT\w*|\w*(?:KILL|CANCEL)\w*|PARTITION_INFO|"
    r"NODE_INFO|BUILD_INFO|PING|UPDATE_JOB|SUSPEND\w*)"
)
"""What daemons ask of each other is none of ours, and sdiag's own question neither."""


@contextmanager
def store(task: Task) -> Generator[drover.Session]:
    """Give a session whose engine has reached the cluster, and clear the queue in the end."""
    with drover.open(task.folder / "store", backend="slurm") as session:
        session.wait([session.submit(["true"])], LONG_S)
        try:
            yield session
        finally:
            # Told to leave before its jobs go: nobody wants their ends.
            session.engine_stop(LONG_S)
            subprocess.run(["scancel", "--me"], check=True)


def hand_over(session: drover.Session, specs: Sequence[drover.JobSpec]) -> float:
    """Submit jobs that are held, and give the seconds until the cluster has all of them."""
    before = session.counts().get(State.QUEUED, 0)
    began = time.perf_counter()
    session.submit_many(specs)
    while session.counts().get(State.QUEUED, 0) < before + len(specs):
        assert time.perf_counter() - began < LONG_S
        time.sleep(0.01)
    return time.perf_counter() - began


def bare(task: Task) -> Answer:
    """Hand over one job after the other with sbatch, which is all that can be done by hand."""
    argv = ["sbatch", "--parsable", "--hold", "--output=/dev/null"]
    began = time.perf_counter()
    for _ in range(task.jobs):
        subprocess.run(argv, input=SCRIPT, capture_output=True, check=True)
    seconds = time.perf_counter() - began
    subprocess.run(["scancel", "--me"], check=True)
    return took(task.jobs, seconds)


def one_by_one(task: Task) -> Answer:
    """Hand over jobs that ask for different things, so that each is a submission of its own."""
    with store(task) as session:
        specs = [
            drover.JobSpec(argv=("true",), native={"slurm": {**HELD, "nice": n + 1}})
            for n in range(task.jobs)
        ]
        return took(task.jobs, hand_over(session, specs))


def arrays(task: Task) -> Answer:
    """Hand over jobs that ask for the same, which go as arrays."""
    with store(task) as session:
        specs = [like(n) for n in range(task.jobs)]
        return took(task.jobs, hand_over(session, specs))


def like(number: int) -> drover.JobSpec:
    return drover.JobSpec(argv=("echo", str(number)), native={"slurm": HELD})


def waiting(task: Task) -> Answer:
    """Let many wait, and see what that takes."""
    with store(task) as session:
        hand_over(session, [like(n) for n in range(task.jobs)])
        engine = servants(session)["engine"]
        time.sleep(min(60.0, task.seconds))  # The pause between two looks grows to its longest.
        asked, cpu_s, began = requests(), used(engine), time.perf_counter()
        time.sleep(task.seconds)
        seconds = time.perf_counter() - began
        return {
            "jobs": task.jobs,
            "requests_per_minute": (requests() - asked) / seconds * 60,
            "cpu_ms_per_s": (used(engine) - cpu_s) / seconds * 1e3,
            "engine_mib": engine.memory_info().rss / 2**20,
        }


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def requests() -> int:
    """Count what clients have asked of the controller so far."""
    told = subprocess.run(["sdiag"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\s+(\w+)\s+\(\s*\d+\) count:(\d+)", told, re.MULTILINE)
    return sum(int(count) for name, count in rows if OF_CLIENTS.fullmatch(name))


def latency(task: Task) -> Answer:
    """Tell how long after a job's end `wait` returns."""
    late: list[float] = []
    with store(task) as session:
        for number in range(task.jobs):
            # Of several lengths: Drover looks every two seconds, and not from a job's start on.
            job = session.submit(["sleep", f"{2 + number % 4 * 0.5}"])
            assert isinstance(job, drover.Job)
            session.wait([job], LONG_S)
            back = time.time()
            outcome = job.outcome
            assert outcome is not None
            ended = next(r.at for r in outcome.evidence if r.source == "exit_record")
            late.append((back - ended) * 1e3)
    return {"end_to_wait_ms": late}


if __name__ == "__main__":
    answer(
        version("drover-core"),
        bare=bare,
        one_by_one=one_by_one,
        arrays=arrays,
        waiting=waiting,
        latency=latency,
    )
