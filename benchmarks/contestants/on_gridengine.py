"""Drover on a Grid Engine, and bare drmaa-python beside it."""

import getpass
import importlib
import os
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from servants import servants
from speech import Answer, Task, answer, took

import drover
from drover.states import State

LONG_S = 3000.0
HELD = "drmaa_hold"
LOOK_S = 1.0
"""Two questions that are further apart are of two looks."""
TOLD = "date +%s%N >"


@contextmanager
def library() -> Generator[Any]:
    """Open a session of drmaa-python, and clear the queue in the end."""
    # It has no types, and loads the library when it is imported.
    with importlib.import_module("drmaa").Session() as session:
        try:
            yield session
        finally:
            clear()


@contextmanager
def store(task: Task) -> Generator[drover.Session]:
    """Give a session whose engine has reached the cluster, and clear the queue in the end."""
    with drover.open(task.folder / "store", backend="drmaa") as session:
        session.wait([session.submit(["true"])], LONG_S)
        try:
            yield session
        finally:
            # Told to leave before its jobs go: nobody wants their ends.
            session.engine_stop(LONG_S)
            clear()


def clear() -> None:
    """Delete all jobs, and wait until they are gone: they would be in the next one's way."""
    ends = time.monotonic() + LONG_S
    while "<JB_job_number>" in listing():
        assert time.monotonic() < ends, "jobs cannot be deleted"
        subprocess.run(["qdel", "-f", "-u", getpass.getuser()], capture_output=True, check=False)
        time.sleep(0.2)


def listing() -> str:
    """Ask the question that Drover asks."""
    argv = ["qstat", "-xml", "-u", getpass.getuser(), "-s", "pr"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def template(session: Any, script: str, **values: Any) -> Any:
    made = session.createJobTemplate()
    made.remoteCommand, made.args = "/bin/sh", ["-c", script]
    made.outputPath, made.joinFiles = ":/dev/null", True
    for name, value in values.items():
        setattr(made, name, value)
    return made


def one_by_one(session: Any, made: Any, jobs: int) -> list[str]:
    return [session.runJob(made) for _ in range(jobs)]


def in_bulk(session: Any, made: Any, jobs: int) -> list[str]:
    return list(session.runBulkJobs(made, 1, jobs, 1))


def bare_handed(submit: Callable[[Any, Any, int], list[str]]) -> Callable[[Task], Answer]:
    """Hand held jobs over by the library."""

    def measure(task: Task) -> Answer:
        with library() as session:
            made = template(session, "true", jobSubmissionState=HELD)
            began = time.perf_counter()
            assert task.jobs == len(set(submit(session, made, task.jobs)))
            return took(task.jobs, time.perf_counter() - began)

    return measure


def nap(task: Task, number: str) -> str:
    """Sleep for a time of the job's own: Grid Engine looks once a second, and that jobs of one
    length end just before or just after it would be all that is measured.
    """
    return f"sleep {int(task.seconds)}.$(({number} % 10))"


def naps_one_by_one(session: Any, task: Task) -> list[str]:
    return [session.runJob(template(session, nap(task, str(n)))) for n in range(task.jobs)]


def naps_in_bulk(session: Any, task: Task) -> list[str]:
    return in_bulk(session, template(session, nap(task, "SGE_TASK_ID")), task.jobs)


def bare_run(submit: Callable[[Any, Task], list[str]]) -> Callable[[Task], Answer]:
    """Run jobs by the library, and ask how each ended."""

    def measure(task: Task) -> Answer:
        with library() as session:
            began = time.perf_counter()
            ids = submit(session, task)
            infos = [session.wait(one, int(LONG_S)) for one in ids]
            seconds = time.perf_counter() - began
            assert {0} == {info.exitStatus for info in infos}
            return took(task.jobs, seconds)

    return measure


def called(session: drover.Session, specs: list[drover.JobSpec]) -> list[Any]:
    return [session.submit(spec) for spec in specs]


def at_once(session: drover.Session, specs: list[drover.JobSpec]) -> list[Any]:
    return list(session.submit_many(specs))


def handed(
    submit: Callable[[drover.Session, list[drover.JobSpec]], list[Any]],
) -> Callable[[Task], Answer]:
    """Submit held jobs, and see how long it takes until the cluster has all of them."""
    native = {"drmaa": {"jobSubmissionState": HELD}}

    def measure(task: Task) -> Answer:
        with store(task) as session:
            spec = drover.JobSpec(argv=("true",), native=native)
            began = time.perf_counter()
            submit(session, [spec] * task.jobs)
            while session.counts().get(State.QUEUED, 0) < task.jobs:
                assert time.perf_counter() - began < LONG_S
                time.sleep(0.01)
            return took(task.jobs, time.perf_counter() - began)

    return measure


def run(
    submit: Callable[[drover.Session, list[drover.JobSpec]], list[Any]],
) -> Callable[[Task], Answer]:
    """Run jobs, and ask how each ended."""

    def measure(task: Task) -> Answer:
        with store(task) as session:
            naps = [nap(task, str(n)) for n in range(task.jobs)]
            specs = [drover.JobSpec(argv=("/bin/sh", "-c", script)) for script in naps]
            began = time.perf_counter()
            jobs = submit(session, specs)
            session.wait(jobs, LONG_S)
            seconds = time.perf_counter() - began
            assert {0} == {job.outcome.exit_code for job in jobs}
            return took(task.jobs, seconds)

    return measure


# --- where many are -----------------------------------------------------------------------------


def bare_status(task: Task) -> Answer:
    """Ask where each job is, as DRMAA has it: one by one."""
    with library() as session:
        ids = one_by_one(session, template(session, "sleep 600"), task.jobs)
        began = time.perf_counter()
        for one in ids:
            session.jobStatus(one)
        return {"jobs": task.jobs, "ms": (time.perf_counter() - began) * 1e3}


def status(task: Task) -> Answer:
    """Let many be there, each a submission of its own, and count what is asked at a look."""
    log = noted(task.folder / "commands", "qstat", "qacct")
    with store(task) as session:
        specs = [
            drover.JobSpec(argv=("sleep", "600"), native={"drmaa": {"context": {"n": str(n)}}})
            for n in range(task.jobs)
        ]
        session.submit_many(specs)
        there = frozenset({State.QUEUED, State.RUNNING})
        until(lambda: sum(session.counts().get(one, 0) for one in there) == task.jobs)
        time.sleep(task.seconds / 2)  # Those that begin do, and are seen to.
        before = len(log.read_text("ascii").splitlines())
        time.sleep(task.seconds)
        times = [float(line) for line in log.read_text("ascii").splitlines()[before:]]
        took_s: list[float] = []
        told = ""
        for _ in range(5):
            began = time.perf_counter()
            told = listing()
            took_s.append(time.perf_counter() - began)
        assert task.jobs == told.count("<JB_job_number>")
    looks = 1 + sum(1 for earlier, later in pairwise(times) if later - earlier > LOOK_S)
    return {
        "jobs": task.jobs,
        "ms": median(took_s) * 1e3,
        "questions_per_look": len(times) / looks,
        "questions_per_minute": len(times) / task.seconds * 60,
    }


def noted(folder: Path, *names: str) -> Path:
    """Have Drover use commands that note when they are called, and give the notes."""
    folder.mkdir()
    log = folder / "log"
    log.touch()
    for entry in Path(os.environ["SGE_BIN"]).iterdir():
        script = folder / entry.name
        note = f"date +%s.%N >>{log}\n" if entry.name in names else ""
        script.write_text(f'#!/bin/sh\n{note}exec {entry} "$@"\n', "ascii")
        script.chmod(0o755)
    os.environ["DROVER_BACKENDS__DRMAA__COMMANDS"] = str(folder)
    return log


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


# --- memory -------------------------------------------------------------------------------------


def memory(task: Task) -> Answer:
    """Run many jobs, some hundreds at a time, and look at the processes in between."""
    rows: list[dict[str, float]] = []
    workers: set[int] = set()
    with store(task) as session:
        engine = servants(session)["engine"]
        began, done, part = time.perf_counter(), 0, max(1, task.jobs // 20)
        while done < task.jobs:
            jobs = at_once(session, [drover.JobSpec(argv=("true",))] * part)
            session.wait(jobs, LONG_S)
            assert {0} == {job.outcome.exit_code for job in jobs}
            done += part
            found = [child for child in engine.children() if "_worker.py" in str(child.cmdline())]
            workers |= {child.pid for child in found}
            rows.append({
                "jobs": done,
                "engine_mib": engine.memory_info().rss / 2**20,
                "worker_mib": max((mib(child) for child in found), default=0.0),
            })  # fmt: skip
        seconds = time.perf_counter() - began
    return took(done, seconds, rows=rows, workers=len(workers))


def mib(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20


def bare_memory(task: Task) -> Answer:
    """Run as many in one process, one by one."""
    rows: list[dict[str, float]] = []
    own = psutil.Process()
    with library() as session:
        began, done, part = time.perf_counter(), 0, max(1, task.jobs // 20)
        while done < task.jobs:
            made = template(session, "true")
            for one in one_by_one(session, made, part):
                session.wait(one, int(LONG_S))
            session.deleteJobTemplate(made)
            done += part
            rows.append({"jobs": done, "client_mib": mib(own)})
    return took(done, time.perf_counter() - began, rows=rows)


# --- latency ------------------------------------------------------------------------------------


def bare_latency(task: Task) -> Answer:
    """Tell how long after a job's end `wait` of the library returns."""
    late: list[float] = []
    note = task.folder / "ended"
    with library() as session:
        for _ in range(task.jobs):
            one = session.runJob(template(session, f"sleep {task.seconds}; {TOLD}{note}"))
            session.wait(one, int(LONG_S))
            late.append((time.time_ns() - int(note.read_text("ascii"))) / 1e6)
    return {"end_to_wait_ms": late}


def latency(task: Task) -> Answer:
    """Tell how long after a job's end `wait` returns."""
    late: list[float] = []
    note = task.folder / "ended"
    with store(task) as session:
        for _ in range(task.jobs):
            script = f"sleep {task.seconds}; {TOLD}{note}"
            session.wait([session.submit(["/bin/sh", "-c", script])], LONG_S)
            late.append((time.time_ns() - int(note.read_text("ascii"))) / 1e6)
    return {"end_to_wait_ms": late}


if __name__ == "__main__":
    answer(
        version("drover-core"),
        bare_one_handed=bare_handed(one_by_one),
        bare_bulk_handed=bare_handed(in_bulk),
        one_handed=handed(called),
        bulk_handed=handed(at_once),
        bare_one=bare_run(naps_one_by_one),
        bare_bulk=bare_run(naps_in_bulk),
        one=run(called),
        bulk=run(at_once),
        bare_status=bare_status,
        status=status,
        bare_memory=bare_memory,
        memory=memory,
        bare_latency=bare_latency,
        latency=latency,
    )
