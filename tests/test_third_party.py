"""Plugins of strangers: one that works and two that do not, in an environment of their own."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Place

pytestmark = pytest.mark.venv

STRANGERS = Path(__file__).parent / "thirdparty"
PUBLIC = {
    "drover",
    "drover.commandline",
    "drover.drmaa.vocabulary",
    "drover.errors",
    "drover.events",
    "drover.hookspecs",
    "drover.models",
    "drover.states",
    "drover.testing",
}


@pytest.fixture(scope="module")
def place(
    shipped: list[Path],
    build: Callable[[Path, Sequence[Path]], list[Path]],
    make_place: Callable[[Sequence[str]], Place],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Install the core as shipped, no backend of ours, and three strangers."""
    (core,) = (wheel for wheel in shipped if wheel.name.startswith("drover_core-"))
    strangers = build(tmp_path_factory.mktemp("strangers"), sorted(STRANGERS.iterdir()))
    made = make_place([f"{core}[cli]", *map(str, strangers)])
    yield made
    made.run("drover", "engine", "stop")


def backends(place: Place) -> dict[str, dict[str, Any]]:
    done = place.run("drover", "backends", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["backends"]}


@pytest.mark.parametrize("name", ["drover-echo", "drover-misspelt"])
def test_a_stranger_imports_public_floors_only(name: str) -> None:
    """The proof is worth nothing if it uses what strangers may not."""
    for path in (STRANGERS / name).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("drover"):
                assert node.module in PUBLIC


def test_a_strangers_backend_runs_a_job_from_the_shell(place: Place) -> None:
    """A backend that nobody here has seen is as good as ours."""
    done = place.run("drover", "run", "--backend", "echo", "--", "sh", "-c", "echo hi; exit 3")

    assert (3, "hi\n") == (done.returncode, done.stdout), done.stderr


def test_a_strangers_backend_runs_a_job_from_python(place: Place) -> None:
    """The library finds it by the same entry point."""
    program = (
        "import drover\n"
        "with drover.open() as session:\n"
        "    job = session.submit(['sh', '-c', 'echo ho; exit 4'], backend='echo')\n"
        "    outcome = job.wait(timeout=30)\n"
        "    print(job.state, outcome.exit_code, job.native_id[:1], job.stdout.read().strip())\n"
    )

    done = place.run("python", "-W", "error", "-c", program)

    assert "FAILED 4 e ho\n" == done.stdout, done.stderr


def test_a_field_that_a_stranger_refuses_is_refused(place: Place) -> None:
    """What a backend cannot honour is never ignored in silence."""
    done = place.run("drover", "submit", "--backend", "echo", "--memory", "1GiB", "--", "true")

    assert done.returncode != 0
    assert "resources.memory" in done.stderr
    assert "echo is simple" in done.stderr


def test_broken_backends_are_listed_with_their_fault(place: Place) -> None:
    """Who installed three plugins wants to know which of them is broken, and why."""
    rows = backends(place)

    assert {"echo": True, "broken": False, "misspelt": False} == {
        name: row["ok"] for name, row in rows.items()
    }
    assert "no_such_library" in rows["broken"]["error"]
    assert "drover_sumbit" in rows["misspelt"]["error"]
    assert "did you mean 'drover_submit'?" in rows["misspelt"]["error"]


@pytest.mark.parametrize(
    ("backend", "fault"), [("broken", "no_such_library"), ("misspelt", "drover_sumbit")]
)
def test_a_job_for_a_broken_backend_is_refused(place: Place, backend: str, fault: str) -> None:
    """A job that can never be placed must not wait for ever; no traceback, but the reason."""
    done = place.run("drover", "submit", "--backend", backend, "--", "true")

    assert done.returncode != 0
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_else_goes_on_beside_broken_plugins(place: Place) -> None:
    """One bad install must not take the others down."""
    assert 0 == place.run("drover", "--version").returncode
    assert 0 == place.run("drover", "ps").returncode
    assert 0 == place.run("drover", "run", "--backend", "echo", "--", "true").returncode


def test_a_plugin_that_was_just_begun_runs_a_job(
    place: Place,
    build: Callable[[Path, Sequence[Path]], list[Path]],
    tmp_path: Path,
) -> None:
    """The template comes with the core as shipped, and is a whole backend before its first edit."""
    begun = place.run("drover", "plugin", "new", "mine", "--into", str(tmp_path))
    assert begun.returncode == 0, begun.stderr
    (wheel,) = build(tmp_path / "dist", [tmp_path / "drover-mine"])
    installed = place.run("python", "-m", "pip", "install", "--no-deps", str(wheel))
    assert installed.returncode == 0, installed.stderr
    place.run("drover", "engine", "stop")  # it knows the backends that were there when it began

    done = place.run("drover", "run", "--backend", "mine", "--", "sh", "-c", "echo new; exit 5")

    assert (5, "new\n") == (done.returncode, done.stdout), done.stderr


def test_a_batch_system_that_was_just_begun_runs_a_job(
    place: Place,
    build: Callable[[Path, Sequence[Path]], list[Path]],
    tmp_path: Path,
) -> None:
    """The other template, too: its made-up commands are beside its tests."""
    begun = place.run(
        "drover", "plugin", "new", "spoken", "--kind", "commandline", "--into", str(tmp_path)
    )
    assert begun.returncode == 0, begun.stderr
    (wheel,) = build(tmp_path / "dist", [tmp_path / "drover-spoken"])
    installed = place.run("python", "-m", "pip", "install", "--no-deps", str(wheel))
    assert installed.returncode == 0, installed.stderr
    place.run("drover", "engine", "stop")
    programs = tmp_path / "drover-spoken/tests/bin"
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "FQ_HOME": str(tmp_path / "fq")
    }  # fmt: skip

    done = place.run(
        "drover", "run", "--backend", "spoken", "--", "sh", "-c", "echo new; exit 5", **variables
    )

    assert (5, "new\n") == (done.returncode, done.stdout), done.stderr


def test_a_backend_that_is_not_installed_says_what_to_install(place: Place) -> None:
    """The shortest way out of an error is a command to type."""
    done = place.run("drover", "submit", "--backend", "slurm", "--", "true")

    assert done.returncode != 0
    assert "pip install drover-slurm" in done.stderr


def test_the_doctor_shows_the_traceback_of_a_broken_plugin(place: Place) -> None:
    """The author of the plugin needs the line; everybody else needs the sentence."""
    done = place.run("drover", "doctor", "broken")

    assert "no_such_library" in done.stdout + done.stderr
