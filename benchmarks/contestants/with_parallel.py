"""GNU parallel: as typed in a shell, with its log of outcomes."""

import subprocess
import time

from speech import Answer, Task, answer, took


def throughput(task: Task) -> Answer:
    numbers = "".join(f"{n}\n" for n in range(task.jobs))
    log = task.folder / "joblog"
    argv = ["parallel", "-j", str(task.slots), "-n0", "--joblog", str(log), "/bin/true"]
    began = time.perf_counter()
    subprocess.run(argv, input=numbers, text=True, check=True)
    seconds = time.perf_counter() - began
    # A heading and a line per job.
    assert len(log.read_text("utf-8").splitlines()) == task.jobs + 1
    return took(task.jobs, seconds)


def version() -> str:
    done = subprocess.run(["parallel", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].split()[-1]


if __name__ == "__main__":
    answer(version(), throughput=throughput)
