"""PSI/J: its local executor, which has no slots: as many are handed in as may run."""

import threading
import time
from importlib.metadata import version

import psij
from speech import Answer, Task, answer, latency, took


def throughput(task: Task) -> Answer:
    executor = psij.JobExecutor.get_instance("local")
    free = threading.Semaphore(task.slots)

    def changed(_job: psij.Job, status: psij.JobStatus) -> None:
        if status.final:
            free.release()

    executor.set_job_status_callback(changed)
    began = time.perf_counter()
    jobs: list[psij.Job] = []
    for _ in range(task.jobs):
        free.acquire()
        job = psij.Job(psij.JobSpec(executable="/bin/true"))
        executor.submit(job)
        jobs.append(job)
    for job in jobs:
        job.wait()
    seconds = time.perf_counter() - began
    assert {job.status.state for job in jobs} == {psij.JobState.COMPLETED}
    return took(task.jobs, seconds)


def latencies(task: Task) -> Answer:
    executor = psij.JobExecutor.get_instance("local")
    count = 0

    def run(argv: list[str]) -> tuple[int, int, str]:
        nonlocal count
        count += 1
        out = task.folder / f"{count}.out"
        name, *arguments = argv
        spec = psij.JobSpec(executable=f"/bin/{name}", arguments=arguments, stdout_path=out)
        handed_in = time.time_ns()
        job = psij.Job(spec)
        executor.submit(job)
        job.wait()
        return handed_in, time.time_ns(), out.read_text("ascii")

    return latency(run, task.jobs)


if __name__ == "__main__":
    answer(version("psij-python"), throughput=throughput, latency=latencies)
