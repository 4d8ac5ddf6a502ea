"""The documents, held to the code: what they promise is there, and what they show runs."""

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

import drover
from drover import errors, hookspecs
from drover.states import ENDED, State

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
README = ROOT / "README.md"
QUESTIONS = ["When", "How often", "Thread", "Block", "Answers", "None", "Exception"]

if not README.exists():
    pytest.skip("the documents are out of sight (nox -s wheels)", allow_module_level=True)

PAGES = sorted(
    [README, ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"), *ROOT.glob("[lp]*s/*/README.md")]
)


def blocks(page: Path, language: str) -> list[str]:
    """List the fenced blocks of one language, in the order of the page."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text("utf-8"))


def set_up_commands() -> list[str]:
    lines = "\n".join(blocks(README, "sh")).splitlines()
    return [line for line in lines if line.startswith("python3 -m venv")]


def test_the_readme_is_short() -> None:
    """A page that takes more than two minutes is not read."""
    assert len(README.read_text("utf-8").splitlines()) <= 120


def test_the_readme_has_two_set_up_commands() -> None:
    """One sets up and shows it at work, one sets up and passes the tests."""
    show, check = set_up_commands()

    assert show.endswith(".venv/bin/drover demo")
    assert check.endswith(".venv/bin/nox")


def test_ci_runs_what_the_readme_says() -> None:
    """A command that only a person runs is a command that rots."""
    assert set_up_commands()[1] in (ROOT / ".ci/run").read_text("utf-8").splitlines()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a store of its own; what works on it is stopped when the test is over."""
    yield tmp_path / "home"
    with drover.open(tmp_path / "home", engine="none") as session:
        session.cancel(session.jobs(state=set(State) - ENDED, newest=None))
        session.engine_stop()


@contextmanager
def cloud_of(page: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Start what a page takes for granted; give the variables that tell where it is."""
    if "import qarnot" not in page.read_text("utf-8"):
        yield {}
        return
    argv = [sys.executable, "-m", "drover", "serve", "qarnot", "--home", str(folder / "cloud")]
    more = ["--port", "0", "--user", "me@example.org", "--json"]
    with subprocess.Popen([*argv, *more], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        try:
            yield {"QARNOT_CLUSTER_URL": told["url"], "QARNOT_CLIENT_TOKEN": told["token"]}
        finally:
            server.terminate()
    with drover.open(folder / "cloud" / "drover", engine="none") as session:
        session.engine_stop()


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_python_on_a_page_runs(page: Path, home: Path, tmp_path: Path) -> None:
    """What a newcomer copies first must work as it stands."""
    environment = {**os.environ, "DROVER_HOME": str(home)}
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks(page, "python")), "utf-8")

    with cloud_of(page, tmp_path) as where:
        done = subprocess.run(
            # What the packages of others warn of is not ours to mend.
            [sys.executable, *(() if where else ("-W", "error")), str(program)],
            cwd=tmp_path,
            env={**environment, **where},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert (0, "") == (done.returncode, done.stderr), done.stdout


def test_pytest_on_a_page_passes(tmp_path: Path) -> None:
    """Who tests a pipeline copies these tests, and changes the jobs in them."""
    page = DOCS / "howto/test-a-pipeline.md"
    (tmp_path / "test_page.py").write_text("\n".join(blocks(page, "python")), "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def typed_commands() -> list[str]:
    """List every line of a shell block on any page that calls drover."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    found = [re.search(r"(?:^|\$\(|&& )drover ((?:[^)']|'[^']*')*)", line) for line in lines]
    return sorted({match[1].partition("||")[0].strip() for match in found if match})


@pytest.mark.parametrize("words", typed_commands())
def test_a_command_on_a_page_can_be_typed(words: str) -> None:
    """An option that was renamed must not live on in the documents."""
    app: Any = importlib.import_module("drover.cli._app").app
    name, *arguments = shlex.split(words, comments=True)
    command = app.get_command(click.Context(app), name)

    assert command is not None
    command.make_context(name, arguments, parent=click.Context(app))


def test_the_first_tutorial_runs_as_it_stands(home: Path, tmp_path: Path) -> None:
    """What a newcomer types first must do what the page says."""
    page = DOCS / "tutorial/first-job.md"
    program = "\n".join(block for block in blocks(page, "sh") if "activate" not in block)
    program = f"set -eu\n{program}"
    environment = {
        **os.environ,
        "DROVER_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    done = subprocess.run(
        ["sh", "-c", program],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "hello" in done.stdout
    assert "it did not succeed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A dead link tells the reader that nobody has walked this way."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)

    assert [] == [link for link in links if not (page.parent / link).exists()]


def test_generated_pages_say_what_the_code_says() -> None:
    """The table, the hooks and the help are written once, in the code."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def hooks() -> list[tuple[str, list[str]]]:
    """List every hook with its arguments, as the code has them."""
    return [
        (name, [word for word in inspect.signature(method).parameters if word != "self"])
        for owner in (hookspecs.BackendHooks, hookspecs.LifecycleHooks)
        for name, method in vars(owner).items()
        if name.startswith("drover_")
    ]


@pytest.mark.parametrize(("name", "arguments"), hooks(), ids=[name for name, _ in hooks()])
def test_a_hook_answers_the_seven_questions(name: str, arguments: list[str]) -> None:
    """Who writes a plugin must not have to read the engine to learn when a hook is called."""
    page = (REFERENCE / "hooks.md").read_text("utf-8")
    heading = f"### `{name}({', '.join(arguments)})`"

    assert 1 == page.count(heading), heading
    section = page.split(heading)[1].split("\n### ")[0].split("\n## ")[0]
    rows = re.findall(r"^\| (\w[\w ]*) \| (.+) \|$", section, re.MULTILINE)
    assert QUESTIONS == [question for question, _ in rows if question != "question"]
    assert all(answer.strip() for _, answer in rows)


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.DroverError)
    ],
    ids=lambda kind: kind.__name__,
)
def test_an_error_has_a_page(kind: type[errors.DroverError]) -> None:
    """Who meets an error looks for its name, and wants to know what to do."""
    text = (REFERENCE / "errors" / f"{kind.__name__}.md").read_text("utf-8")
    sections = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", text))
    wanted = ["Raised when", "Left behind", "What to do", "Exit code of the command line"]
    facts = [
        word for word in inspect.signature(kind.__init__).parameters if word not in {"self", "args"}
    ]
    if "__init__" in vars(kind):
        wanted += ["Facts", "Message", "Try it"]
        rows = re.findall(r"(?m)^\| `(\w+)` \| (.+) \|$", sections["Facts"])
        assert facts == [name for name, meaning in rows if meaning.strip()]

    assert f"({kind.__name__})=\n" in text
    assert set(wanted) == set(sections)
    assert all(section.strip() for section in sections.values())
    tree = (REFERENCE / "errors.md").read_text("utf-8")
    assert 1 == tree.count(f"(errors/{kind.__name__}.md)")
    assert 1 == tree.splitlines().count(f"errors/{kind.__name__}")
