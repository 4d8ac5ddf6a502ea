"""Nothing is ignored silently, and what can never run is refused at once."""

from pathlib import Path
from typing import Any

import pytest
from local_bench import Bench, StubContext

from drover.errors import ConfigError
from drover.models import SPEC_FIELDS, JobSpec, Resources, Support, fields_set
from drover_local import LocalBackend
from drover_local._config import read_config
from drover_local._output import expand

_CONFIG = {"cpus": 4, "memory": "1GiB", "gpus": ["a", "b"]}


def _refused(home: Path, **fields: Any) -> dict[str, str]:
    backend = LocalBackend(StubContext(home, 0, _CONFIG, "local"))  # type: ignore[arg-type]
    spec = JobSpec(**{"argv": ("true",), **fields})
    plan = backend.drover_plan(spec)

    assert {entry.field for entry in plan.fields} == set(fields_set(spec))

    return {entry.field: entry.note for entry in plan.refused()}


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"cpus": 5}, "resources.cpus"),
        ({"tasks": 5}, "resources.tasks"),
        ({"gpus": 3}, "resources.gpus"),
        ({"tasks": 2, "gpus": 2}, "resources.gpus"),
        ({"memory": "2GiB"}, "resources.memory"),
        ({"nodes": 2}, "resources.nodes"),
        ({"queue": "q"}, "resources.queue"),
        ({"account": "a"}, "resources.account"),
        ({"reservation": "r"}, "resources.reservation"),
        ({"disk": 2**60}, "resources.disk"),
    ],
)
def test_what_can_never_be_had_is_refused(
    tmp_path: Path, resources: dict[str, Any], field: str
) -> None:
    refused = _refused(tmp_path, resources=Resources(**resources))

    assert [field] == list(refused)
    assert refused[field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"requeue": True}, "requeue"),
        ({"container": "image"}, "container"),
        ({"period": 10}, "period"),
        ({"launcher": "srun"}, "launcher"),
        ({"native": {"local": {"afinity": True}}}, "native"),
        ({"native": {"local": {"affinity": 1}}}, "native"),
    ],
)
def test_what_is_not_done_here_is_refused(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    assert [field] == list(_refused(tmp_path, **fields))


def test_everything_else_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that drover adds later has to be looked at here."""
    monkeypatch.setattr("drover_local._plan.available_cpus", lambda: 4)
    given: dict[str, Any] = {
        "name": "n", "cwd": str(tmp_path), "env": {"A": "1"}, "inherit_env": False, "stdin": "i",
        "stdout": "o", "stderr": "e", "pre_launch": "a", "post_launch": "b", "after": ("x",),
        "array": None, "retry": None, "inputs": (("a", "b"),), "outputs": (("a", "b"),),
        "tags": ("t",), "hold": True, "not_before": 1e9, "deadline": 1e9, "expires_after": 9,
        "parent": "p", "native": {"local": {"affinity": True}, "other": {"x": 1}},
        "resources": Resources(
            tasks=2, cpus=2, gpus=1, memory=1000, disk=1000, wall_time=9, exclusive=True, priority=1
        ),
    }  # fmt: skip
    refused = {"argv", "join_output", "launcher", "requeue", "period", "container"}

    assert set(SPEC_FIELDS) == set(given) | refused

    given = {name: value for name, value in given.items() if value is not None}

    assert {} == _refused(tmp_path, **given)
    assert {} == _refused(tmp_path, join_output=True)


def test_the_plan_shows_totals_and_the_exact_command(tmp_path: Path) -> None:
    backend = LocalBackend(StubContext(tmp_path, 0, _CONFIG, "local"))  # type: ignore[arg-type]
    spec = JobSpec(
        argv=("a b", "$x"), cwd="/w", pre_launch="p q", resources=Resources(tasks=2, cpus=2)
    )
    plan = backend.drover_plan(spec)

    assert ("drover", "/w/p q", "a b", "$x") == plan.command[3:]
    assert "$x" not in plan.command[2]
    assert "4 of 4" == plan.totals["cpus"]
    notes = {entry.field: entry.note for entry in plan.fields}
    assert "runs once" in notes["resources.tasks"]


def test_mpirun_is_taken_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "launcher" in _refused(tmp_path, launcher="mpirun")

    (tmp_path / "mpirun").write_text("#!/bin/sh\n")
    (tmp_path / "mpirun").chmod(0o755)
    backend = LocalBackend(StubContext(tmp_path, 0, _CONFIG, "local"))  # type: ignore[arg-type]
    spec = JobSpec(argv=("x",), launcher="mpirun", resources=Resources(tasks=3))
    plan = backend.drover_plan(spec)

    assert ("mpirun", "-n", "3", "x") == plan.command
    assert () == plan.refused()
    assert Support.HONOURED in {entry.support for entry in plan.fields}


@pytest.mark.parametrize(
    "table",
    [{"cpu": 1}, {"cpus": 0}, {"memory": "x"}, {"gpus": "0"}, {"idle_s": -1}, {"gpus": [1, 1]},
     {"kill_leftovers": 1}, {"window": True}],
)  # fmt: skip
def test_a_bad_configuration_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config("mine", table)

    assert "[backends.mine]" in str(caught.value)


def test_signs_in_paths(bench: Bench) -> None:
    attempt = bench.attempt("true")

    assert f"a{attempt.job_id}b%c%d%" == expand("a%jb%%c%d%", attempt)
    assert "x" == expand("x%a", attempt)
