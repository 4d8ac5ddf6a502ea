"""submitit: its local executor, which has no slots: as many are handed in as may run."""

import time

import submitit
from speech import Answer, Task, answer, took


def throughput(task: Task) -> Answer:
    executor = submitit.LocalExecutor(task.folder / "jobs")
    call = submitit.helpers.CommandFunction(["/bin/true"], verbose=False)
    began = time.perf_counter()
    running: list[submitit.Job[str]] = []
    ended = 0
    todo = task.jobs
    while ended < task.jobs:
        while todo and len(running) < task.slots:
            running.append(executor.submit(call))
            todo -= 1
        done = [job for job in running if job.done()]
        for job in done:
            assert not job.exception()
        ended += len(done)
        running = [job for job in running if job not in done]
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    return took(task.jobs, seconds)


if __name__ == "__main__":
    answer(submitit.__version__, throughput=throughput)
