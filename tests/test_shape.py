"""The size and the names of modules and functions, held to CONTRIBUTING.md."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = [*ROOT.glob("core/src"), *ROOT.glob("plugins/*/src"), *ROOT.glob("libs/*/src")]
OURS = ("benchmarks", "clusters", "core", "docs", "libs", "plugins", "tests")
MAX_MODULE = 600
# What must be one file, wherever it goes, and how long that may get.
ONE_FILE = {"core/src/drover/commandline/wrapper.py": 1000}
LOOK_TWICE = 400
MAX_FUNCTION = 60

# Modules over LOOK_TWICE lines that somebody has looked at twice, and why they are one thing.
LOOKED_AT = {
    "core/src/drover/_engine/_calls.py": "each hook that the engine calls, beside what follows",
    "core/src/drover/_engine/_engine.py": "one round of the engine, from looking to acting",
    "core/src/drover/_store/_reader.py": "every question to a store is one short query",
    "core/src/drover/commandline/backend.py": "the hooks, one after the other, and who is who",
    "core/src/drover/commandline/wrapper.py": "copied to compute nodes as one file of its own",
    "core/src/drover/hookspecs.py": "each of 18 hooks answers seven questions",
    "core/src/drover/models/_spec.py": "a specification and the checks of its fields",
    "core/src/drover/session/_session.py": "the public face: a short method per verb",
    "core/src/drover/testing/_simulated.py": "one world with every fault of the real ones",
    "plugins/qarnot/src/drover_qarnot/server/_creating.py": "all that is checked before one commit",
}

if not SHIPPED:
    pytest.skip("the sources are out of sight (nox -s wheels)", allow_module_level=True)


def modules() -> list[Path]:
    return sorted(path for source in SHIPPED for path in source.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_ours(path: Path) -> bool:
    """Leave out what is installed in hidden folders, such as the environments of peers."""
    return not any(part.startswith(".") for part in path.relative_to(ROOT).parts)


@cache
def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions() -> Iterator[tuple[str, int]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield (
                    f"{name_of(path)}:{node.lineno} {node.name}",
                    node.end_lineno - node.lineno + 1,
                )


def test_no_file_is_too_long() -> None:
    """Every admired project has one swollen file, and it is the one that people complain about."""
    files = [path for folder in OURS for path in (ROOT / folder).rglob("*.py") if is_ours(path)]

    long = [
        f"{name_of(path)}: {length(path)}"
        for path in files
        if length(path) > ONE_FILE.get(name_of(path), MAX_MODULE)
    ]
    assert [] == long


def test_long_modules_were_looked_at_twice() -> None:
    """A module grows over its limit one good reason at a time."""
    lengths = {name_of(path): length(path) for path in modules()}

    assert [] == [name for name, n in lengths.items() if n > LOOK_TWICE and name not in LOOKED_AT]
    # With some room, so that one that goes to and fro need not leave the list each time.
    assert [] == [name for name in LOOKED_AT if lengths.get(name, 0) <= LOOK_TWICE - 50]


def test_most_modules_are_short() -> None:
    """One noun fits into about 150 lines."""
    lengths = [length(path) for path in modules()]

    assert median(lengths) <= 150
    assert quantiles(lengths, n=10)[-1] <= LOOK_TWICE


def test_no_function_is_too_long() -> None:
    """What does not fit on a screen is not read as a whole."""
    assert [] == [f"{where}: {lines}" for where, lines in functions() if lines > MAX_FUNCTION]


def test_most_functions_are_short() -> None:
    """It is the long tail that tells good code from tired code."""
    assert quantiles([lines for _, lines in functions()], n=10)[-1] <= 30


def test_files_are_named_after_what_is_in_them() -> None:
    """A drawer called `utils` fills up."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert [] == [name_of(path) for path in modules() if path.stem.strip("_") in drawers]


def test_the_core_does_not_import_its_own_front_door() -> None:
    """`import drover` inside a lower floor would hide an upward import from the floors check."""
    package = ROOT / "core/src/drover"
    floors = {path.stem for path in package.iterdir()}
    found = []
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] in ("cli", "testing"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Import(names=names) if "drover" in {name.name for name in names}:
                    found.append(f"{name_of(path)}:{node.lineno}")
                case ast.ImportFrom(module="drover", level=0, names=names):
                    if not floors.issuperset(name.name for name in names):
                        found.append(f"{name_of(path)}:{node.lineno}")

    assert [] == found
