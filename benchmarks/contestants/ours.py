"""Drover: a real engine process, the real local backend, outputs kept, every outcome durable."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from servants import HERE, Meter, cpu_s, peak_mib, servants, switches, warm
from speech import Answer, Task, answer, latency, took

import drover

LONG_S = 3600.0
PAGE = 100


def throughput(task: Task) -> Answer:
    """Run many, from before the first submission to the knowledge of the last end."""
    with warm(task.folder, task.slots) as session:
        meter = Meter(session)
        began = time.perf_counter()
        jobs = session.submit_many(_true() for _ in range(task.jobs))
        done, pending = session.wait(jobs, LONG_S)
        seconds = time.perf_counter() - began
        used = meter.cpu_s()
        assert (task.jobs, 0) == (len(done), len(pending))
        check(session, [job.id for job in done])
        return took(task.jobs, seconds, cpu_s=used, peak_mib=meter.peaks_mib())


def check(session: drover.Session, ids: Sequence[str]) -> None:
    """See that every job has ended with 0, and that its output is there to be read."""
    records = {job.id: job for job in session.jobs(newest=None)}
    for job_id in ids:
        job = records[job_id]
        outcome = job.outcome
        assert outcome is not None
        assert outcome.exit_code == 0, outcome
        assert job.stdout.path is not None, f"the output of {job_id} is not kept"
        assert job.stdout.read_bytes() == b""


def submission(task: Task) -> Answer:
    """Store many by one call. No engine works meanwhile: it would take its part of the machine."""
    with drover.open(task.folder / "store", engine="none") as session:
        before = cpu_s(os.getpid())
        specs = [drover.JobSpec(argv=("echo", str(n))) for n in range(task.jobs)]
        began = time.perf_counter()
        jobs = session.submit_many(specs)
        seconds = time.perf_counter() - began
        used = cpu_s(os.getpid()) - before
        peak = peak_mib(os.getpid())
        assert len(jobs) == task.jobs
        assert sum(session.counts().values()) == task.jobs
    return took(task.jobs, seconds, cpu_s={HERE: used}, peak_mib={HERE: peak})


WAITER = """
import sys, time, drover
with drover.open(sys.argv[1]) as session:
    for line in sys.stdin:
        session.wait([line.strip()], 3600)
        print(time.time_ns(), flush=True)
"""


def latencies(task: Task) -> Answer:
    """Measure both ways; another process than the one that submits waits for the end."""
    with warm(task.folder, task.slots) as session:
        with subprocess.Popen(
            [sys.executable, "-c", WAITER, str(session.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as waiter:
            assert waiter.stdin is not None
            assert waiter.stdout is not None
            tell, hear = waiter.stdin, waiter.stdout

            def run(argv: list[str]) -> tuple[int, int, str]:
                handed_in = time.time_ns()
                job = session.submit(argv)
                assert isinstance(job, drover.Job)
                tell.write(f"{job.id}\n")
                tell.flush()
                return handed_in, int(hear.readline()), job.stdout.read()

            said = latency(run, task.jobs)
            tell.close()
        return said


def idle(task: Task) -> Answer:
    """Look at processes that have nothing to do, and at them while somebody waits for a job."""
    with warm(task.folder, task.slots) as session:
        nothing = _at_rest(session, task.seconds)
        job = session.submit(["sleep", str(int(LONG_S))])
        assert isinstance(job, drover.Job)
        argv = [sys.executable, "-c", WAITER, str(session.home)]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as waiter:
            assert waiter.stdin is not None
            waiter.stdin.write(f"{job.id}\n")
            waiter.stdin.flush()
            waiting = _at_rest(session, task.seconds, waiter=waiter.pid)
            job.cancel(grace_s=1)
            waiter.stdin.close()
        return {"nothing": nothing, "waiting": waiting}


def _at_rest(session: drover.Session, seconds: float, **more: int) -> dict[str, Answer]:
    pids = {name: one.pid for name, one in servants(session).items()} | more
    time.sleep(min(2.0, seconds))  # What the last job left to be done is no rest.
    before = {name: (cpu_s(pid), switches(pid)) for name, pid in pids.items()}
    began = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return {
        name: {
            "cpu_ms_per_s": (cpu_s(pid) - before[name][0]) * 1000 / passed,
            "wakes_per_s": (switches(pid) - before[name][1]) / passed,
        }
        for name, pid in pids.items()
    }


def growth(task: Task) -> Answer:
    """Submit and run many, then look at the store from a process of its own."""
    with warm(task.folder, task.slots) as session:
        meter = Meter(session)
        began = time.perf_counter()
        jobs = session.submit_many(_true() for _ in range(task.jobs))
        submitted = time.perf_counter()
        done, pending = session.wait(jobs, LONG_S)
        ended = time.perf_counter()
        used, peaks = meter.cpu_s(), meter.peaks_mib()
        assert (task.jobs, 0) == (len(done), len(pending))
        assert session.counts() == {drover.State.SUCCEEDED: task.jobs + 1}
    return {
        **took(task.jobs, ended - began, cpu_s=used, peak_mib=peaks),
        "submit_s": submitted - began,
        "store_bytes": sum(path.stat().st_size for path in session.home.glob("store.db*")),
        "output_bytes": _on_disk(session.home / "backends"),
    }


def reading(task: Task) -> Answer:
    """List a page, count, and wait for all jobs of a store that `growth` has left."""
    with drover.open(task.folder / "store", engine="none") as session:
        began = time.perf_counter()
        page = session.jobs(newest=PAGE)
        listed = time.perf_counter()
        counts = session.counts()
        counted = time.perf_counter()
        assert len(page) == min(PAGE, task.jobs + 1)
        ids = [job.id for job in session.jobs(newest=None)]
        before_wait = time.perf_counter()
        done, pending = session.wait(ids, LONG_S)
        waited = time.perf_counter()
        assert (len(ids), 0) == (len(done), len(pending))
        assert sum(counts.values()) == len(ids)
    return {
        "list_s": listed - began,
        "count_s": counted - listed,
        "wait_s": waited - before_wait,
        "peak_mib": {HERE: peak_mib(os.getpid())},
    }


def _true() -> drover.JobSpec:
    return drover.JobSpec(argv=("/bin/true",))


def _on_disk(folder: Path) -> int:
    """Count the bytes that a folder takes, as blocks."""
    return sum(512 * path.lstat().st_blocks for path in folder.rglob("*"))


if __name__ == "__main__":
    answer(
        version("drover-core"),
        throughput=throughput,
        submission=submission,
        latency=latencies,
        idle=idle,
        growth=growth,
        reading=reading,
    )
