"""The page's tables of the official package, held to its manual, its code and our tests."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from drover_qarnot._options import JOB, NATIVE

TESTS = Path(__file__).parent
PAGE = TESTS.parents[2] / "docs/plugins/qarnot.md"
if not PAGE.exists():
    pytest.skip("the documentation is out of sight (nox -s wheels)", allow_module_level=True)

# Source: the pages qarnot.task and qarnot.job of the package's manual, in their order.
_TASK = """
run resume submit abort update_resources delete update from_json commit wait snapshot instant
state resources results download_results stdout fresh_stdout stderr fresh_stderr uuid name
shortname tags pool profile instancecount running_core_count running_instance_count
advanced_range snapshot_whitelist snapshot_blacklist results_whitelist results_blacklist status
completed_instances creation_date errors constants constraints
wait_for_pool_resources_synchronization auto_update update_cache_time auto_delete completion_ttl
"""
_JOB = """
auto_update update_cache_time state tasks use_dependencies uuid name shortname creation_date
max_wall_time pool from_json submit update terminate delete auto_delete completion_ttl tags
state_transition_time
"""
MANUAL = {"Task": _TASK.split(), "CompletedInstance": ["results"], "Job": _JOB.split()}
ROW = re.compile(r"^\| `((?:Task|Job|CompletedInstance)\.\w+)[^|]* \| (.+) \| (.+) \|$")
TEST = re.compile(r"`(test_\w+)\.py::(test_\w+)`")
NOBODY = frozenset({"task_of", "job_of", "drover", "session", "job", "Task", "Job", "qarnot", "x"})
"""Words that stand in any test, and tell nothing of what it is about."""


@cache
def rows() -> dict[str, tuple[str, str]]:
    """Give, for each name of the package, how it is reached and what proves it."""
    found: dict[str, tuple[str, str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        row = ROW.match(line)
        if row is not None:
            assert row[1] not in found, f"{row[1]} has two rows"
            found[row[1]] = (row[2], row[3])
    return found


@cache
def functions(file: str) -> dict[str, ast.FunctionDef]:
    """List what a test file defines."""
    tree = ast.parse((TESTS / f"{file}.py").read_bytes())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@cache
def text_of(file: str) -> str:
    return (TESTS / f"{file}.py").read_text(encoding="utf-8")


def public(owner: str) -> set[str]:
    """List what the installed package's class offers."""
    import qarnot.job
    import qarnot.task

    found = {"Task": qarnot.task.Task, "Job": qarnot.job.Job}[owner]
    return {name for name in vars(found) if name[0] != "_"}


@pytest.mark.parametrize("owner", sorted(MANUAL))
def test_every_name_of_the_manual_has_a_row(owner: str) -> None:
    """A method that the table forgets may be out of reach, and nobody would know."""
    assert [] == [name for name in MANUAL[owner] if f"{owner}.{name}" not in rows()]


@pytest.mark.parametrize("owner", ["Job", "Task"])
def test_every_name_of_the_package_has_a_row(owner: str) -> None:
    """The package has grown since its manual was written, and grows on."""
    there = {name.removeprefix(f"{owner}.") for name in rows() if name.startswith(f"{owner}.")}

    assert public(owner) | {*MANUAL[owner]} == there


@pytest.mark.parametrize("name", sorted(rows()))
def test_a_row_names_living_tests(name: str) -> None:
    """What no test reaches, a user may not reach either."""
    told = rows()[name][1]
    tests = TEST.findall(told)

    assert tests
    assert "" == TEST.sub("", told).replace(",", "").strip()
    for file, test in tests:
        node = functions(file).get(test)
        assert node is not None, f"there is no {file}.py::{test}"
        marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
        assert not re.search(r"mark\.(skip\b|xfail)", marks)


@pytest.mark.parametrize("name", sorted(rows()))
def test_a_row_names_tests_that_are_about_it(name: str) -> None:
    """A row whose test never says the thing's name is a row that was copied."""
    how, told = rows()[name]
    spans = " ".join(re.findall(r"`([^`]+)`", how))
    words = {name.partition(".")[2], *re.findall(r"\w+", spans)} - NOBODY
    tests = [functions(file)[test] for file, test in TEST.findall(told)]
    sources = "\n".join(ast.unparse(node) for node in tests)
    # Options of a file's own stand outside of its tests, in capitals.
    for file, _ in TEST.findall(told):
        for node in ast.parse(text_of(file)).body:
            if isinstance(node, ast.AnnAssign | ast.Assign):
                sources += "\n" + ast.unparse(node)

    assert any(re.search(rf"\b{re.escape(word)}\b", sources) for word in words), sorted(words)


def test_a_row_names_options_that_there_are() -> None:
    """An option that was renamed must not live on in the table."""
    spans = {word for how, _ in rows().values() for word in re.findall(r"option `([\w.]+)`", how)}
    known = {*NATIVE, *(f"job.{name}" for name in JOB)}

    assert set() == spans - known
    assert len(spans) > 20
