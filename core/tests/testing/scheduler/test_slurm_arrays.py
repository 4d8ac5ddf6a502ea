"""Arrays are one record until their tasks part, as on the real thing."""

from typing import Any

import pytest

from drover.testing.scheduler import SlurmScheduler
from drover.testing.scheduler.slurm._job import ranges


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((3,), "3"), ((0, 1, 2), "0-2"), ((0, 2, 3, 7), "0,2-3,7"), ((), "")],
)
def test_indices_are_written_in_ranges(numbers: tuple[int, ...], text: str) -> None:
    assert text == ranges(numbers)


def test_tasks_get_ids_when_they_part(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A native id of a task is known by the array's id and its index alone."""
    prompt.submit("--array=0-3%2")
    scheduler.start("1_2")
    scheduler.start("1")

    assert "1_[1,3%2]|1|1|1,3%2\n1_2|2|1|2\n1_0|3|1|0\n" == prompt.says(
        "squeue -h -o", "%i|%A|%F|%K"
    )


def test_the_last_task_keeps_the_id(scheduler: SlurmScheduler, prompt: Any) -> None:
    """Whoever counts ids would miss one."""
    prompt.submit("--array=0-1")
    scheduler.start("1_0")
    scheduler.start("1_1")

    assert "1_1|1\n1_0|2\n" == prompt.says("squeue -h -o", "%i|%A")


def test_tasks_that_are_cancelled_while_they_wait_vanish(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """They are in no listing and in no account."""
    prompt.submit("--array=0-9")
    prompt.says("scancel", "1_[2-4]", "1_9")
    scheduler.advance(5.0)

    assert "1_[0-1,5-8]\n" == prompt.says("squeue -h -t all -o %i")
    assert "1_[0-1,5-8]|PENDING\n" == prompt.says("sacct -n -P -D -j 1 -o JobID,State")


def test_an_array_that_is_cancelled_as_a_whole_stays(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """As one record, which `-r` does not take apart any more."""
    prompt.submit("--array=0-3")
    prompt.says("scancel 1")

    assert "1_[0-3] CANCELLED\n" == prompt.says("squeue -h -r -t all -o", "%i %T")


def test_no_more_tasks_run_than_the_throttle_allows() -> None:
    """`%2` is kept, and told as the reason."""
    scheduler = SlurmScheduler(user="ann", uid=1000, auto=True)
    scheduler.execute(["sbatch", "--array=0-4%2"], read_input=lambda: b"#!/bin/sh\n")
    scheduler.advance(5.0)
    shown = scheduler.execute(["squeue", "-h", "-o", "%i|%T|%r"]).output.decode().splitlines()

    assert ["1_[2-4%2]|PENDING|JobArrayTaskLimit", "1_0|RUNNING|None", "1_1|RUNNING|None"] == shown


def test_a_large_array_is_taken_at_once() -> None:
    """A thousand tasks are one record until they start."""
    scheduler = SlurmScheduler(user="ann", uid=1000, auto=True)
    scheduler.change_site(max_array_size=10_001, nodes=tuple(f"n{i}" for i in range(500)))
    scheduler.execute(["sbatch", "--array=0-3999"], read_input=lambda: b"#!/bin/sh\n")
    assert 1 == len(scheduler.jobs)
    scheduler.advance(1.0)

    assert 4000 == len(scheduler.jobs)
    assert {"1_0", "1_3999"} < {job.native_id for job in scheduler.jobs}


def test_the_field_of_indices_is_cut_short(scheduler: SlurmScheduler, prompt: Any) -> None:
    """At 64 characters, unless SLURM_BITSTR_LEN says otherwise."""
    indices = ",".join(str(number) for number in range(0, 200, 2))
    prompt.submit(f"--array={indices}")
    query = ["squeue", "-h", "-o", "%K"]
    whole = scheduler.execute(query, environment={"SLURM_BITSTR_LEN": "0"}).output.decode()
    short = scheduler.execute(query).output.decode()

    assert indices == whole.strip()
    assert short.strip().endswith("...")
    assert 64 > len(short.strip())
