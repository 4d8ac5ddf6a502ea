"""`drover serve`: servers of other distributions are listed, loaded late, and explained."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest

from drover.cli import _exits

WORKS = """
    import click

    @click.command()
    @click.option("--port", type=int)
    def command(port):
        return port
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one server, for this process; give its module's name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str, *, extra: str = "") -> str:
        module = f"served_{name}"
        (tmp_path / f"{module}.py").write_text(dedent(source))
        info = tmp_path / f"{module}-1.5.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {module}", "Version: 1.5", "Summary: serves"]
        extras = [f"Provides-Extra: {extra}"] if extra else []
        (info / "METADATA").write_text("\n".join([*lines, *extras, ""]))
        (info / "entry_points.txt").write_text(f"[drover.servers]\n{name} = {module}:command\n")
        return module

    yield make
    for module in [word for word in sys.modules if word.startswith("served_")]:
        del sys.modules[module]


def test_servers_are_listed_without_importing_them(install: Install, call: Any) -> None:
    """Who looks for a server must not wait for, or fall over, all others."""
    module = install("mine", "raise RuntimeError")

    text = call("serve", "--help").stdout

    assert "mine" in text
    assert f"{module}: serves" in text
    assert module not in sys.modules


def test_a_server_gets_the_words_after_its_name(install: Install, call: Any) -> None:
    install("mine", WORKS)

    assert 81 == call("serve", "mine", "--port", "81").code


def test_an_unknown_server_is_told_with_those_that_are_there(install: Install, call: Any) -> None:
    install("mine", WORKS)

    error = call("serve", "yours").exception

    assert isinstance(error, click.UsageError)
    assert "no server 'yours'; installed: " in error.message
    assert "mine" in error.message


@pytest.mark.parametrize(
    "source",
    [
        "import no_such_module_",
        WORKS.replace("return port", "import no_such_module_"),
    ],
    ids=["when it is loaded", "when it starts"],
)
def test_a_missing_extra_is_named(install: Install, call: Any, source: str) -> None:
    """A user who has the library alone must be told what makes a server of it."""
    module = install("mine", source, extra="server")

    result = call("serve", "mine", "--port", "81")

    assert _exits.PLUGIN == result.code
    assert f"no_such_module_ is not installed. Try: pip install '{module}[server]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_server_says_why(install: Install, call: Any) -> None:
    """Without an extra to install, a missing module is a fault, shown with its place."""
    install("mine", "import no_such_module_")

    result = call("serve", "mine")

    assert _exits.PLUGIN == result.code
    assert "No module named 'no_such_module_'" in result.stderr
    assert "Traceback" in result.stderr


def test_a_servers_own_bug_is_no_missing_extra(install: Install, call: Any) -> None:
    install("mine", WORKS.replace("return port", "import served_mine.gone"), extra="server")

    with pytest.raises(ModuleNotFoundError):
        call("serve", "mine")
