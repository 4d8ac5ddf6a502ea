"""The lists that name every distribution, held to the folders that are there."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/[!_]*/pyproject.toml"))
STEMS = [path.name for path in PLUGINS]
LIBRARIES = sorted(path.parent for path in ROOT.glob("libs/*/pyproject.toml"))
LIBRARY_STEMS = [path.name for path in LIBRARIES]
# What `drover plugin new` copies is held to the same rules, but is no plugin of ours.
TEMPLATES = {"_template": "drover_template", "_commandline": "drover_skeleton"}
FOLDERS = (ROOT, CORE, *LIBRARIES, *PLUGINS, *(ROOT / "plugins" / name for name in TEMPLATES))
DEFAULT = "local"
GROUPS = ("drover.backends", "drover.plugins", "drover.commands", "drover.servers")

if not (ROOT / "core/pyproject.toml").exists():
    pytest.skip("the sources are out of sight (nox -s wheels)", allow_module_level=True)


@cache
def read(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def root_tool(name: str) -> dict[str, Any]:
    return dict(read(ROOT)["tool"][name])


def test_all_versions_are_equal() -> None:
    """While the version begins with 0 all distributions are released together."""
    versions = {path.name: read(path)["project"]["version"] for path in FOLDERS}

    assert {read(CORE)["project"]["version"]} == set(versions.values()), versions


def test_all_distributions_ask_for_the_same_python() -> None:
    """A plugin that installs where the core does not helps nobody."""
    wanted = {read(path)["project"]["requires-python"] for path in FOLDERS}

    assert {">=3.11"} == wanted


def test_ranges_admit_this_series_and_not_the_next() -> None:
    """A plugin of 0.1 must not be installed beside a core of 0.2, whose hooks may differ."""
    major, minor, *_ = map(int, read(CORE)["project"]["version"].split("."))
    expected = f">={major}.{minor},<{major}.{minor + 1}"
    ranges = {
        f"{path.name}: {requirement}"
        for path in FOLDERS
        for requirement in _requirements(path)
        if re.match(r"drover-", requirement) and not requirement.endswith(expected)
    }

    assert set() == ranges


def _requirements(path: Path) -> list[str]:
    project = read(path)["project"]
    extras = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(row for rows in extras.values() for row in rows)]


@pytest.mark.parametrize("folder", PLUGINS, ids=STEMS)
def test_one_stem_names_a_plugin_everywhere(folder: Path) -> None:
    """What a user installs, imports and writes in a configuration is one word."""
    project = read(folder)["project"]
    entries = {name for group in GROUPS for name in project.get("entry-points", {}).get(group, {})}

    assert f"drover-{folder.name}" == project["name"]
    assert (folder / "src" / f"drover_{folder.name}" / "__init__.py").exists()
    assert folder.name in entries


@pytest.mark.parametrize("folder", PLUGINS, ids=STEMS)
def test_a_plugin_is_whole(folder: Path) -> None:
    """A plugin's folder is an example for outsiders and can move out of the workspace."""
    package = f"src/drover_{folder.name}"
    wanted = ("README.md", "LICENSE", "tests", f"{package}/py.typed")

    assert [] == [name for name in wanted if not (folder / name).exists()]
    assert f"../../plugins/{folder.name}/README.md" in "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "docs/plugins").glob("*.md")
    )


@pytest.mark.parametrize("folder", LIBRARIES, ids=LIBRARY_STEMS)
def test_a_library_is_whole(folder: Path) -> None:
    """A library is used by people who know nothing of jobs: it explains itself."""
    package = f"src/drover_{folder.name}"
    wanted = ("README.md", "LICENSE", "tests", f"{package}/py.typed", f"{package}/__init__.py")

    assert f"drover-{folder.name}" == read(folder)["project"]["name"]
    assert [] == [name for name in wanted if not (folder / name).exists()]
    assert f"../../libs/{folder.name}/README.md" in "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "docs/libs").glob("*.md")
    )


def test_extras_name_every_plugin() -> None:
    """`pip install drover[NAME]` works for each distribution that does not come by default."""
    extras = read(ROOT)["project"]["optional-dependencies"]
    optional = {stem for stem in (*STEMS, *LIBRARY_STEMS) if stem != DEFAULT}

    assert {*optional, "testing", "all"} == set(extras)
    assert [f"drover[{','.join(sorted([*optional, 'testing']))}]"] == extras["all"]
    assert {"drover-core", f"drover-{DEFAULT}"} == {
        re.split(r"[\[<>=]", row)[0] for row in read(ROOT)["project"]["dependencies"]
    }


def test_every_tool_looks_at_every_package() -> None:
    """A package that a tool does not know of is a package that nobody checks."""
    plugins = [*(f"drover_{stem}" for stem in STEMS), *TEMPLATES.values()]
    libraries = [f"drover_{stem}" for stem in LIBRARY_STEMS]
    packages = ["drover", *plugins, *libraries]
    sources = [
        "core/src",
        *(f"plugins/{stem}/src" for stem in (*STEMS, *TEMPLATES)),
        *(f"libs/{stem}/src" for stem in LIBRARY_STEMS),
    ]
    contracts = {row["id"]: row for row in root_tool("importlinter")["contracts"]}

    assert packages == root_tool("importlinter")["root_packages"]
    assert packages[1:] == contracts["core-alone"]["forbidden_modules"]
    assert plugins == contracts["siblings"]["modules"]
    assert libraries == contracts["libraries-alone"]["source_modules"]
    assert [*plugins, "drover"] == contracts["libraries-alone"]["forbidden_modules"]
    assert packages[1:] == contracts["public-floors"]["source_modules"]
    assert packages == root_tool("coverage")["run"]["source_pkgs"]
    assert sources == [row for row in root_tool("mypy")["files"] if row.endswith("src")]
    assert sources == [row for row in root_tool("pyright")["include"] if row.endswith("src")]


def test_every_rule_that_is_switched_off_says_why() -> None:
    """A list of ignored rules is policy only if it can be read."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-builtins]")]
    bare, reason_above = [], False
    for line in lint.splitlines():
        if re.match(r'\s*"[A-Z]+\d*"', line) and "#" not in line and not reason_above:
            bare.append(line)
        reason_above = line.lstrip().startswith("#")

    assert [] == bare


def test_constraints_are_versions_only() -> None:
    """Where packages come from is each machine's own setting."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if not line.startswith("#")]

    assert [] == [row for row in rows if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", row)]
    assert sorted(rows, key=str.casefold) == rows
