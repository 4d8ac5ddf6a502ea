"""The ledger: each promise with the test that proves it, held to the tests that there are."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from drover import drmaa
from drover.models import RESOURCE_FIELDS, SPEC_FIELDS

ROOT = Path(__file__).parents[1]
if not (ROOT / "README.md").exists():
    pytest.skip("half of the tests is out of sight (nox -s wheels)", allow_module_level=True)

LEDGER = tomllib.loads((Path(__file__).parent / "ledger.toml").read_text("utf-8"))
FIELDS = {*SPEC_FIELDS, *(f"resources.{name}" for name in RESOURCE_FIELDS)} - {"resources"}
# Those of strangers bring ledgers of their own.
BACKENDS = {"drmaa", "local", "qarnot", "slurm"}


def rows() -> Iterator[tuple[str, list[str]]]:
    """List every promise with its tests."""
    for backend, fields in LEDGER["fields"].items():
        yield from ((f"{backend}: {field}", tests) for field, tests in fields.items())
    for command, tests in LEDGER["commands"].items():
        yield f"drover {command}", tests
    yield from ((f"drmaa.{name}", tests) for name, tests in LEDGER["drmaa"].items())
    for section in ("promises", "defects"):
        for row in LEDGER[section]:
            yield row["says"], row["tests"]


ROWS = list(rows())


@pytest.fixture(scope="module")
def living() -> set[str]:
    """Collect the files that the ledger names, and list the tests in them."""
    files = sorted({test.split("::")[0] for _, tests in ROWS for test in tests})
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-header"),
            *("-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"),
            *(file for file in files if (ROOT / file).exists()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {re.sub(r"\[.*", "", line) for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.parametrize(("says", "tests"), ROWS, ids=[says for says, _ in ROWS])
def test_a_promise_has_a_living_test(says: str, tests: list[str], living: set[str]) -> None:
    """A promise whose test was renamed, removed or switched off is a promise that nobody keeps."""
    assert tests, f"nothing proves: {says}"
    assert [] == [test for test in tests if test not in living]
    assert [] == [test for test in tests if switched_off(test)]


def switched_off(test: str) -> bool:
    """Tell whether a test carries a mark by which it never runs, or may fail."""
    file, *_, name = test.split("::")
    for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            return any(re.match(r"pytest\.mark\.(skip\b|xfail)", mark) for mark in marks)
    return False  # inherited from the conformance kit, which has no such marks


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_every_field_has_a_row_per_backend(backend: str) -> None:
    """A field that no test sets is a field that may do nothing."""
    assert FIELDS == set(LEDGER["fields"][backend])


def test_every_backend_has_a_table() -> None:
    """A backend that we ship makes the same promises as the others."""
    shipped = {
        entry.name
        for entry in entry_points(group="drover.backends")
        if entry.dist is not None and entry.dist.name == f"drover-{entry.name}"
    }

    # The templates are nobody's backends: what they are copied to is.
    assert BACKENDS == shipped - {"template", "skeleton"}
    assert BACKENDS == set(LEDGER["fields"])


def test_every_command_has_a_row() -> None:
    """A command that no test types is a command that may not start."""
    sections: Any = importlib.import_module("drover.cli._app").SECTIONS
    commands = {name for _, commands in sections for name, _ in commands}

    assert commands == set(LEDGER["commands"])


def test_every_name_of_drmaa_has_a_row() -> None:
    """A program that was written for drmaa-python may use any of them."""
    methods = {f"Session.{name}" for name in vars(drmaa.Session) if name[0] != "_"}
    attributes = {f"JobTemplate.{name}" for name in vars(drmaa.JobTemplate) if name[0] != "_"}
    constants = {name for name in drmaa.__all__ if isinstance(getattr(drmaa, name), str | int)}
    others = {*drmaa.__all__} - constants - {"Session", "JobTemplate"} | {"__version__"}

    assert {*methods, *attributes, *others, "constants"} == set(LEDGER["drmaa"])


def test_no_promise_stands_there_twice() -> None:
    """Two rows of one promise are two places to forget."""
    assert [] == [says for says, count in Counter(says for says, _ in ROWS).items() if count > 1]
