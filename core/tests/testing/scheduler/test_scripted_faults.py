"""Each fault does what its name says to the command that it stands around."""

from typing import Any

import pytest

from drover.errors import UnreachableError
from drover.testing.scheduler import Call, Reply, SlurmScheduler, faults

LIST = "squeue -h -t all -o %i"


def test_faults_come_as_often_as_they_are_planned(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A script of faults must be exact, or the test tests something else."""
    planned = scheduler.faults.add("squeue", faults.refuse("no\n"), times=2, after=1)
    codes = [prompt(LIST).returncode for _ in range(5)]

    assert [0, 1, 1, 0, 0] == codes
    assert 2 == planned.struck


def test_faults_strike_the_calls_that_are_meant(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A fault of one question must not be met by another."""

    def of_nobody(call: Call) -> bool:
        return "nobody" in call.argv

    scheduler.faults.add("*", faults.refuse("no\n"), times=None, when=of_nobody)

    assert [0, 1, 0] == [prompt(line).returncode for line in (LIST, "squeue -u nobody", "sinfo -h")]


def test_a_fault_can_be_ended(scheduler: SlurmScheduler, prompt: Any) -> None:
    """What goes wrong for ever must be able to go right again."""
    planned = scheduler.faults.add("squeue", faults.refuse("no\n"), times=None)
    assert 1 == prompt(LIST).returncode
    planned.end()
    assert 0 == prompt(LIST).returncode
    scheduler.faults.add("squeue", faults.refuse("no\n"), times=None)
    scheduler.faults.clear()
    assert 0 == prompt(LIST).returncode


def test_faults_meet(scheduler: SlurmScheduler, prompt: Any) -> None:
    """Two things can go wrong at once; the first that was added is the outermost."""
    prompt.submit()
    scheduler.faults.add("squeue", faults.add_noise(b"motd\n"))
    scheduler.faults.add("squeue", faults.repeat_rows())

    assert "motd\n1\n1\n" == prompt(LIST).stdout


def test_a_lost_request_leaves_nothing(scheduler: SlurmScheduler, prompt: Any) -> None:
    """The caller loses its patience after the time that it has."""
    scheduler.faults.add("sbatch", faults.lose_request())
    begun = scheduler.clock.monotonic()
    with pytest.raises(UnreachableError, match="no answer within 7 s"):
        prompt("sbatch", input=b"#!/bin/sh\n", timeout_s=7.0)

    assert 7.0 == scheduler.clock.monotonic() - begun
    assert [] == scheduler.jobs


@pytest.mark.parametrize(
    "fault", [faults.lose_answer(), faults.be_slow(60.0), faults.be_killed(), faults.deny("no\n")]
)
def test_a_lost_answer_leaves_a_job(
    scheduler: SlurmScheduler, prompt: Any, fault: faults.Fault
) -> None:
    """What the caller takes for a failure has happened."""
    scheduler.faults.add("sbatch", fault)
    try:
        ended = prompt("sbatch", input=b"#!/bin/sh\n").returncode
    except UnreachableError:
        ended = None

    assert 0 != ended
    assert 1 == len(scheduler.jobs)


def test_a_late_acceptance_comes_late(scheduler: SlurmScheduler, prompt: Any) -> None:
    """It is carried out with the script that was handed over then."""
    scheduler.faults.add("sbatch", faults.accept_late(60.0, Reply(errors=b"no\n", code=1)))
    assert 1 == prompt("sbatch -J late", input=b"#!/bin/sh\nexit 5\n").returncode
    scheduler.advance(59.0)
    assert [] == scheduler.jobs
    scheduler.advance(1.0)
    (job,) = scheduler.jobs

    assert ("late", b"#!/bin/sh\nexit 5\n") == (job.name, job.script)
    assert scheduler.clock.time() == job.submit_at


def test_a_missing_command_is_missing(scheduler: SlurmScheduler, prompt: Any) -> None:
    """As where nobody has loaded the module."""
    scheduler.faults.add("squeue", faults.be_missing())
    with pytest.raises(UnreachableError, match="No such file"):
        prompt(LIST)
    with pytest.raises(UnreachableError, match="No such file"):
        prompt("qstat")


def test_a_lag_shows_the_past(scheduler: SlurmScheduler, prompt: Any) -> None:
    """Of a job that was not there yet, and of one that is gone already."""
    job = prompt.submit()
    scheduler.advance(10.0)
    scheduler.start(job)
    scheduler.advance(10.0)
    seen = []
    for seconds in (0.0, 5.0, 15.0, 25.0):
        scheduler.faults.add("squeue", faults.lag(seconds))
        seen.append(prompt("squeue -h -t all -o %T").stdout.strip())

    assert ["RUNNING", "RUNNING", "PENDING", ""] == seen


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (faults.say_nothing(), ""),
        (faults.cut(3), "1\n2"),
        (faults.cut(-1), "1\n2"),
        (faults.add_noise(b"a\n", b"z\n"), "a\n1\n2\nz\n"),
        (faults.add_noise(between=b"--\n"), "--\n1\n--\n2\n"),
        (faults.replace(b"2", b"two"), "1\ntwo\n"),
        (faults.drop_rows("2"), "1\n"),
        (faults.drop_rows(), ""),
        (faults.repeat_rows("1"), "1\n1\n2\n"),
        (faults.add_rows(b"99\n"), "1\n2\n99\n"),
        (faults.replace(b"2", b"\xff"), "1\n\\xff\n"),
    ],
)
def test_output_is_changed(
    scheduler: SlurmScheduler, prompt: Any, fault: faults.Fault, shown: str
) -> None:
    """What is printed is not what is so."""
    for _ in range(2):
        prompt.submit()
    scheduler.faults.add("squeue", fault)

    assert shown == prompt(LIST).stdout


def test_rows_are_shuffled_the_same_way_each_time(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A seed replays."""
    twin = SlurmScheduler(user="ann", uid=1000)
    orders = []
    for one in (scheduler, twin):
        for _ in range(8):
            one.execute(["sbatch"], read_input=lambda: b"#!/bin/sh\n")
        one.faults.add("squeue", faults.shuffle_rows())
        orders.append(one.execute(LIST.split()).output)

    assert orders[0] == orders[1]
    assert orders[0] != scheduler.execute(LIST.split()).output


def test_a_row_of_many_lines_is_dropped_as_a_whole(scheduler: SlurmScheduler, prompt: Any) -> None:
    """A name with a newline makes two lines of one job."""
    scheduler.add("a\nb")
    prompt.submit("-J c")
    scheduler.faults.add("squeue", faults.drop_rows("1"))

    assert "2 c\n" == prompt("squeue -h -o", "%i %j").stdout


def test_every_call_is_written_down(scheduler: SlurmScheduler, prompt: Any) -> None:
    """How much a backend asks of the controller must be countable."""
    prompt.submit("-J x")
    prompt(LIST)
    prompt(LIST)

    assert {"sbatch": 1, "squeue": 2} == scheduler.load
    assert [("sbatch", "--parsable", "-J", "x")] == [c.argv for c in scheduler.heard("sbatch")]
