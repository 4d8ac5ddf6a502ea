"""Parsl: its high-throughput executor on this machine, one worker per slot."""

import time

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
from speech import Answer, Task, answer, took


@parsl.python_app
def call(argv: list[str]) -> int:
    # Functions are sent as source: what they need they import.
    import subprocess

    return subprocess.run(argv, check=True).returncode


def throughput(task: Task) -> Answer:
    executor = HighThroughputExecutor(
        label="here",
        address="127.0.0.1",
        max_workers_per_node=task.slots,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    with parsl.load(Config(executors=[executor], run_dir=str(task.folder / "run"))):
        for future in [call(["true"]) for _ in range(task.slots)]:
            future.result()
        began = time.perf_counter()
        futures = [call(["/bin/true"]) for _ in range(task.jobs)]
        codes = [future.result() for future in futures]
        seconds = time.perf_counter() - began
        assert codes == [0] * task.jobs
    return took(task.jobs, seconds)


if __name__ == "__main__":
    answer(parsl.__version__, throughput=throughput)
