"""dask: its distributed scheduler with one process per slot, as `LocalCluster` makes it."""

import subprocess
import time

import distributed
from speech import Answer, Task, answer, latency, took


def call(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def cluster(task: Task) -> distributed.LocalCluster:
    return distributed.LocalCluster(
        n_workers=task.slots,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=str(task.folder),
    )


def throughput(task: Task) -> Answer:
    with cluster(task) as workers, distributed.Client(workers) as client:
        client.gather(client.map(call, [["true"]] * task.slots, pure=False))
        began = time.perf_counter()
        futures = client.map(call, [["/bin/true"]] * task.jobs, pure=False)
        said = client.gather(futures)
        seconds = time.perf_counter() - began
    assert said == [""] * task.jobs
    return took(task.jobs, seconds)


def latencies(task: Task) -> Answer:
    with cluster(task) as workers, distributed.Client(workers) as client:

        def run(argv: list[str]) -> tuple[int, int, str]:
            handed_in = time.time_ns()
            future = client.submit(call, argv, pure=False)
            distributed.wait(future)
            return handed_in, time.time_ns(), future.result()

        return latency(run, task.jobs)


if __name__ == "__main__":
    answer(distributed.__version__, throughput=throughput, latency=latencies)
