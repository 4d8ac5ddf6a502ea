"""HyperQueue: its server and one worker, as its Python package has them, outputs in files."""

import time
from importlib.metadata import version
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from speech import Answer, Task, answer, latency, took


def cluster(task: Task) -> LocalCluster:
    return LocalCluster(str(task.folder), worker_config=WorkerConfig(cores=task.slots))


def throughput(task: Task) -> Answer:
    (task.folder / "output").mkdir()
    with cluster(task) as workers:
        client = workers.client()
        first = Job(default_workdir=task.folder / "output")
        first.program(["true"])
        client.wait_for_jobs([client.submit(first)])
        began = time.perf_counter()
        job = Job(default_workdir=task.folder / "output")
        for _ in range(task.jobs):
            job.program(["/bin/true"])
        assert client.wait_for_jobs([client.submit(job)])
        seconds = time.perf_counter() - began
    return took(task.jobs, seconds)


def latencies(task: Task) -> Answer:
    with cluster(task) as workers:
        client = workers.client()
        count = 0

        def run(argv: list[str]) -> tuple[int, int, str]:
            nonlocal count
            count += 1
            out = Path(task.folder / f"{count}.out")
            job = Job()
            handed_in = time.time_ns()
            job.program(argv, stdout=str(out))
            client.wait_for_jobs([client.submit(job)])
            return handed_in, time.time_ns(), out.read_text("ascii")

        return latency(run, task.jobs)


if __name__ == "__main__":
    answer(version("hyperqueue"), throughput=throughput, latency=latencies)
