"""What becomes of every field of a specification."""

from typing import Any

import pytest
from slurm_speech import spec

from drover.models import (
    RESOURCE_FIELDS,
    SPEC_FIELDS,
    Array,
    Dependency,
    JobSpec,
    Resources,
    Retry,
    Support,
    Transfer,
)
from drover_slurm._config import SlurmConfig
from drover_slurm._slurm import Slurm

SCRIPT = b"#!/bin/sh\nexec wrapper\n"
VALUES: dict[str, Any] = {
    "argv": ("true",), "name": "n", "cwd": "/w", "env": {"A": "1"}, "inherit_env": False,
    "stdin": "i", "stdout": "o", "stderr": "e", "join_output": True, "launcher": "srun",
    "pre_launch": "p", "post_launch": "q", "after": [Dependency(job="j")],
    "array": Array(indices=3), "retry": Retry(attempts=2), "requeue": True,
    "inputs": [Transfer(source="a", target="b")], "outputs": [Transfer(source="a", target="b")],
    "tags": ["t"], "hold": True, "not_before": 1.0, "deadline": 2.0, "period": 3.0,
    "expires_after": 4.0, "container": "c", "parent": "j", "native": {"slurm": {"qos": "few"}},
    "tasks": 2, "cpus": 2, "gpus": 1, "memory": 2**20, "disk": 2**20, "nodes": 2,
    "wall_time": 60.0, "exclusive": True, "queue": "q", "account": "a", "reservation": "r",
    "priority": 1,
}  # fmt: skip
OTHERWISE = {
    "container": Support.REFUSED,
    "period": Support.REFUSED,
    "inputs": Support.EMULATED,
    "outputs": Support.EMULATED,
    "resources.priority": Support.EMULATED,
    "resources.wall_time": Support.EMULATED,
    "resources.disk": Support.EMULATED,
}
FIELDS = [*(set(SPEC_FIELDS) - {"resources"}), *(f"resources.{name}" for name in RESOURCE_FIELDS)]


@pytest.fixture
def slurm() -> Slurm:
    return Slurm("slurm", SlurmConfig())


def example(field: str) -> JobSpec:
    owner, _, name = field.rpartition(".")
    value = {name: VALUES[name]}
    return spec(resources=Resources(**value)) if owner else spec(**value)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_every_field_is_judged(slurm: Slurm, field: str) -> None:
    """A field without a judgement is one that may do nothing."""
    judged = {entry.field: entry for entry in slurm.plan(example(field), SCRIPT).fields}

    assert OTHERWISE.get(field, Support.HONOURED) == judged[field].support
    assert (judged[field].support is Support.HONOURED) is (judged[field].note == "")


@pytest.mark.parametrize("launcher", ["aprun", "ibrun", "srun --mpi=pmix"])
def test_a_launcher_that_nobody_knows_is_refused(slurm: Slurm, launcher: str) -> None:
    """Without its launcher a parallel job would run once, as one process."""
    (entry,) = slurm.plan(spec(launcher=launcher), SCRIPT).refused()

    assert ("launcher", True) == (entry.field, repr(launcher) in entry.note)


def test_a_bad_native_option_refuses_the_job(slurm: Slurm) -> None:
    """The plan is what refuses: it must not break over what it has to refuse."""
    (entry,) = slurm.plan(spec(native={"slurm": {"signal": "usr1"}}), SCRIPT).refused()

    assert ("native", True) == (entry.field, "usr1" in entry.note)


def test_the_plan_shows_command_script_and_totals(slurm: Slurm) -> None:
    """Who asks what would be typed gets all of it."""
    wanted = Resources(
        tasks=4, cpus=2, gpus=1, nodes=2, memory="2GiB", wall_time="1h", queue="short"
    )

    plan = slurm.plan(
        spec(name="my job", cwd="/w", array=Array(indices=3), resources=wanted), SCRIPT
    )

    assert SCRIPT.decode() == plan.script
    assert plan.command == (
        "sbatch", "--parsable", "--export=ALL", "--open-mode=append", "--job-name=my job@KEY",
        "--comment=KEY", "--output=LOG", "--chdir=/w", "--array=0-2", "--nodes=2", "--ntasks=4",
        "--cpus-per-task=2", "--gpus-per-task=1", "--mem=2097152K", "--time=0-01:00:00",
        "--partition=short", "--no-requeue",
    )  # fmt: skip
    assert plan.totals == {
        "cpus": "8", "nodes": "2", "gpus": "4", "memory": "2048 MiB per node", "wall_time": "3600 s"
    }  # fmt: skip
