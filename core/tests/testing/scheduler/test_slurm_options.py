"""A misspelt option is refused as the real commands refuse it."""

from typing import Any

import pytest

from drover.testing.scheduler._options import Grammar, OptionError
from drover.testing.scheduler.slurm._grammar import GRAMMARS, SBATCH, SQUEUE

# What a backend is likely to use; each is in the manual of 22.05.
USED = (
    "--parsable", "--job-name=x", "--comment=x", "--partition=x", "--account=x", "--qos=x",
    "--reservation=x", "--constraint=x", "--nodes=2", "--ntasks=2", "--cpus-per-task=2",
    "--gres=gpu:1", "--gpus=1", "--gpus-per-node=1", "--gpus-per-task=1", "--mem=1G",
    "--mem-per-cpu=1", "--exclusive", "--exclusive=user", "--time=1", "--hold", "--begin=now",
    "--requeue", "--no-requeue", "--signal=B:USR1@60", "--input=x", "--output=x", "--error=x",
    "--open-mode=append", "--mail-type=END", "--mail-user=x", "--licenses=x", "--dependency=x",
    "--kill-on-invalid-dep=yes", "--array=0-9%2", "--chdir=/", "--export=NONE", "--priority=1",
    "--nice", "--nice=5", "--wckey=x", "--wrap=x", "-J", "x", "-A", "x", "-p", "x", "-q", "x",
    "-C", "x", "-N", "2", "-n", "2", "-c", "2", "-G", "1", "-t", "1", "-H", "-b", "now", "-i", "x",
    "-o", "x", "-e", "x", "-L", "x", "-d", "x", "-a", "1", "-D", "/", "-W", "-Q", "-v",
)  # fmt: skip


def test_the_options_that_backends_use_are_known() -> None:
    """A strict parser that knows too little is worse than none."""
    parsed = SBATCH.parse([*USED, "script.sh", "--its-own"])

    assert ("script.sh", "--its-own") == parsed.rest
    assert {"job-name", "gpus-per-task", "kill-on-invalid-dep", "hold"} <= set(parsed.values)


@pytest.mark.parametrize("command", GRAMMARS)
def test_an_unknown_option_is_an_error(command: str) -> None:
    """A typing error must fail here as it does on the cluster."""
    with pytest.raises(OptionError, match="unrecognized option '--jobname-'"):
        GRAMMARS[command].parse(["--jobname-=x"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--no"], "option '--no' is ambiguous; possibilities: '--no-kill' '--no-requeue'"),
        (["--hold=1"], "option '--hold' doesn't allow an argument"),
        (["--job-name"], "option '--job-name' requires an argument"),
        (["-J"], "option requires an argument -- 'J'"),
        (["-HJ"], "option requires an argument -- 'J'"),
        (["-Hy"], "invalid option -- 'y'"),
    ],
)
def test_a_wrong_use_is_an_error(words: list[str], why: str) -> None:
    """In the words of getopt_long(3)."""
    with pytest.raises(OptionError) as caught:
        SBATCH.parse(words)

    assert str(caught.value).startswith(why)


def test_options_may_be_shortened_and_put_together() -> None:
    """What getopt allows, users write."""
    parsed = SQUEUE.parse(["-haru", "ann", "--jo=3", "--states", "all", "--", "-x"])

    assert {
        "noheader": "",
        "all": "",
        "array": "",
        "user": "ann",
        "jobs": "3",
        "states": "all",
    } == (parsed.values)
    assert ("-x",) == parsed.rest


def test_a_value_may_look_like_an_option() -> None:
    """A job may be called `--hold`."""
    assert {"job-name": "--hold"} == SBATCH.parse(["--job-name", "--hold"]).values
    assert {"job-name": "-H"} == SBATCH.parse(["-J", "-H"]).values


def test_options_end_where_the_script_begins() -> None:
    """What follows the script is the script's own."""
    assert ("job.sh", "-H") == SBATCH.parse(["-Q", "job.sh", "-H"]).rest
    assert ("1", "2") == Grammar("x", "-Q|--quiet").parse(["1", "-Q", "2"]).rest


def test_lists_add_up() -> None:
    """`-j 1,2 -j 3` are three."""
    assert ["1", "2", "3"] == SQUEUE.parse(["-j1,2", "-j3"]).items("jobs")


def test_a_wrong_option_comes_before_an_outage(scheduler: Any, prompt: Any) -> None:
    """A command with a wrong option never asks the controller."""
    scheduler.stop()

    assert 255 == prompt("sbatch --jobname=x").returncode
    assert "unrecognized option '--jobname'" in prompt("sbatch --jobname=x").stderr


def test_what_nobody_can_read_is_refused(prompt: Any) -> None:
    """Values are checked like names."""
    refused = prompt("sbatch --time=soon", input=b"#!/bin/sh\n")

    assert (255, "sbatch: error: Invalid --time specification\n") == (
        refused.returncode,
        refused.stderr,
    )


@pytest.mark.parametrize(
    ("variable", "value", "field", "shown"),
    [
        ("SBATCH_PARTITION", "main", "%P", "main"),
        ("SBATCH_TIMELIMIT", "7", "%l", "7:00"),
        ("SBATCH_JOB_NAME", "habit", "%j", "habit"),
    ],
)
def test_habits_in_the_environment_count(
    scheduler: Any, variable: str, value: str, field: str, shown: str
) -> None:
    """A backend that hands its environment on is told so by what comes out."""
    reply = scheduler.execute(
        ["sbatch", "--parsable"],
        read_input=lambda: b"#!/bin/sh\n",
        environment={variable: value},
    )
    job = reply.output.decode().strip()

    assert f"{shown}\n".encode() == (
        scheduler.execute(["squeue", "-h", "-j", job, "-o", field]).output
    )
