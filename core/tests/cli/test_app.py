"""The outer shape: help, version, home, errors, strangers' commands, completion."""

import os
import resource
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest

from drover.cli import _app, _exits, _guard, _strangers, main
from drover.cli._command import LateGroup
from drover.cli._plugin_group import copy_template
from drover.errors import (
    AmbiguousJobError,
    BrokenPluginError,
    DroverError,
    EngineUnavailableError,
    InvalidSpecError,
    JobFailed,
    PluginError,
    UnknownJobError,
    UnreachableError,
    WaitTimeoutError,
)
from drover.states import State

NAMES = [name for _, rows in _app.SECTIONS for name, _ in rows]


def drover(*words: Any, **variables: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "drover", *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_version_is_told_at_once() -> None:
    """A shell prompt or a script that asks for the version must not wait.

    It is CPU time that is measured, so that a busy machine does not make it fail.
    """

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = drover("--version")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert told.stdout.startswith("drover ")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    best = min(once() for _ in range(5))

    assert best < 0.15


def test_neither_version_nor_help_import_what_is_heavy() -> None:
    """What makes the start slow creeps in by one import."""
    heavy = ("rich", "sqlite3", "asyncio", "cryptography", "drover.session", "drover._engine")
    code = (
        "import sys, drover.cli; code = drover.cli.main(sys.argv[1:]);"
        f"print([name for name in {heavy} if name in sys.modules]); sys.exit(code)"
    )
    for word in ("--version", "--help"):
        told = subprocess.run(
            [sys.executable, "-c", code, word], capture_output=True, text=True, check=True
        )

        assert "[]" == told.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_loads_and_takes_home(name: str) -> None:
    """`--home` chooses the store on every command."""
    command = _app.app.get_command(click.Context(_app.app), name)

    assert name == command.name
    assert "home" in [parameter.name for parameter in command.params]
    assert (command.help or "").strip()


@pytest.mark.parametrize("words", [("--home", "/h", "ps"), ("ps", "--home", "/h")])
def test_home_stands_before_or_after_the_command(call: Any, words: tuple[str, ...]) -> None:
    assert ["/h"] == [str(home) for home in call(*words).opened]


def test_the_later_home_wins(call: Any) -> None:
    assert ["/b"] == [str(home) for home in call("--home", "/a", "ps", "--home", "/b").opened]


def test_the_summaries_in_the_help_are_the_commands_own() -> None:
    """The table of the help is written by hand, so that nothing is imported; it must not lie."""
    text = click.Context(_app.app, info_name="drover").get_help()

    assert [] == [name for name in NAMES if f"\n  {name} " not in text]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidSpecError("cpus", 0, "no"), 2),
        (UnknownJobError("x"), 3),
        (AmbiguousJobError("x", ["xa", "xb"]), 3),
        (UnreachableError("slurm", "timeout"), 4),
        (EngineUnavailableError("/h", "no"), 5),
        (PluginError("p", "h"), 6),
        (BrokenPluginError("p", "x"), 6),
        (WaitTimeoutError("x", State.RUNNING, 1.0), 124),
        (JobFailed("x", State.FAILED, "no"), 1),
    ],
)
def test_errors_become_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Any, code: int
) -> None:
    """A user sees what happened and what to do, never a traceback."""

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(_guard, "_called", fail)

    assert code == main(["ps"])
    assert f"drover: {error}\n" == capsys.readouterr().err


def test_run_has_one_code_for_drovers_own_failures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script must be able to tell drover's failure from the job's."""

    def fail(*_: Any) -> Any:
        raise UnknownJobError("x")

    monkeypatch.setattr(_guard, "_called", fail)

    assert 125 == main(["--home", "/tmp", "run", "x"])
    assert 3 == main(["--home", "run", "ps"])
    assert 125 == main(["run", "--no-such-option"])


def test_a_bug_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("x\x1b[2J")

    monkeypatch.setattr(_guard, "_called", fail)

    assert _exits.BUG == main(["ps"])
    told = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: x\\x1b[2J" in told
    assert 1 == told.count("\n")


def test_debug_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise DroverError("x")

    monkeypatch.setattr(_guard, "_called", fail)
    monkeypatch.setenv("DROVER_DEBUG", "1")
    main(["ps"])

    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_command_names_the_nearest() -> None:
    told = drover("cancle")

    assert 2 == told.returncode
    assert "did you mean 'cancel'?" in told.stderr


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Any:
    entries = {
        name: EntryPoint(name=name, value=value, group=_strangers.GROUP)
        for name, value in (
            ("works", "drover.cli._completion:completion_command"),
            ("missing", "no_such_module_:command"),
            ("wrong", "drover.cli:main"),
            ("ps", "no_such_module_:command"),
        )
    }
    monkeypatch.setattr(_strangers, "_entries", lambda _: entries)


def test_a_broken_command_is_shown_and_harms_no_other(strangers: Any, call: Any) -> None:
    """A plugin that cannot be imported must not take the command line with it."""
    text = call("--help").stdout

    assert "BROKEN: ModuleNotFoundError" in text
    assert "BROKEN: drover.cli:main is no click command" in text
    assert "works" in text
    assert 0 == call("ps").code


def test_a_broken_command_says_why(strangers: Any, call: Any) -> None:
    result = call("missing", "--anything", "x")

    assert _exits.PLUGIN == result.code
    assert "No module named 'no_such_module_'" in result.stderr
    assert "Traceback" in result.stderr


def test_a_stranger_cannot_replace_a_command_of_ours(strangers: Any) -> None:
    group = _app.app
    assert isinstance(group, LateGroup)

    assert "drover.cli._jobs" == group.get_command(click.Context(group), "ps").callback.__module__


def test_an_interrupt_is_no_traceback_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second is spent importing: who mistypes and stops it is shown no stack."""

    def interrupted(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_guard, "guarded", interrupted)

    assert _exits.INTERRUPTED == main(["ps"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(call: Any, shell: Any) -> None:
    result = call("completion", shell)

    assert 0 == result.code
    assert "_DROVER_COMPLETE" in result.stdout


def test_commands_complete() -> None:
    told = drover(_DROVER_COMPLETE="bash_complete", COMP_WORDS="drover su", COMP_CWORD="1")

    assert ["plain,submit", "plain,suspend"] == told.stdout.splitlines()


@pytest.mark.parametrize("name", ["Mine", "1x", "a-b", "../x", "core", "template", "class", ""])
def test_a_plugin_needs_a_name_that_python_and_pip_take(
    call: Any, tmp_path: Path, name: str
) -> None:
    result = call("plugin", "new", name, "--into", str(tmp_path))

    assert isinstance(result.exception, click.BadParameter)
    assert [] == list(tmp_path.iterdir())


def test_no_plugin_takes_the_place_of_one_that_is_installed(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plugin new local` would make pip replace the backend that everything runs on."""
    facts = tmp_path / "drover_mine-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: drover-mine\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    refused = call("plugin", "new", "mine", "--into", str(tmp_path)).exception

    assert isinstance(refused, click.BadParameter)
    assert "drover-mine is installed already" in refused.message
    assert not (tmp_path / "drover-mine").exists()


def test_what_to_type_next_is_one_word_to_every_shell(call: Any, tmp_path: Path) -> None:
    """Brackets are a pattern to zsh, and a folder may have blanks in its name."""
    folder = tmp_path / "my plugins"
    folder.mkdir()

    told = call("plugin", "new", "mine", "--into", str(folder)).stdout.splitlines()[-1]

    words = ["Next:", "pip", "install", "-e", f"{folder}/drover-mine[test]", "&&"]
    assert [*words, "drover", "check", "mine"] == shlex.split(told)
    assert "'" in told


def test_nothing_is_overwritten(call: Any, tmp_path: Path) -> None:
    (tmp_path / "drover-mine").mkdir()

    assert isinstance(
        call("plugin", "new", "mine", "--into", str(tmp_path)).exception, click.UsageError
    )


def test_the_template_is_renamed_everywhere(tmp_path: Path) -> None:
    """A name left behind would make two plugins fight for one entry point."""
    source = tmp_path / "_template"
    package = source / "src" / "drover_template"
    package.mkdir(parents=True)
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "x.pyc").write_bytes(b"\xff")
    (source / "pyproject.toml").write_text(
        'name = "drover-template"\ntemplate = "drover_template:TemplateBackend"\n'
    )
    (package / "__init__.py").write_text("class TemplateBackend: ...\n")
    target = tmp_path / "drover-mine"

    assert 2 == copy_template(source, target, "mine")
    assert (
        'name = "drover-mine"\nmine = "drover_mine:MineBackend"\n'
        == (target / "pyproject.toml").read_text()
    )
    assert "class MineBackend: ...\n" == (target / "src/drover_mine/__init__.py").read_text()


def test_each_kind_of_plugin_is_begun_under_its_own_name(call: Any, tmp_path: Path) -> None:
    """What is left of the template's name would be found by the wrong backend."""
    for kind, stem in (("process", "template"), ("commandline", "skeleton")):
        folder = tmp_path / kind
        folder.mkdir()
        assert 0 == call("plugin", "new", "mine", "--kind", kind, "--into", str(folder)).exit_code
        made = folder / "drover-mine"
        text = (made / "pyproject.toml").read_text()
        assert 'mine = "drover_mine:MineBackend"' in text
        assert [] == [p for p in made.rglob("*.py") if f"drover_{stem}" in p.read_text()]
    programs = tmp_path / "commandline/drover-mine/tests/bin"
    assert ["fq", "fsub"] == sorted(p.name for p in programs.iterdir() if os.access(p, os.X_OK))


def test_secrets_of_the_configuration_are_masked(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screenshot of the configuration must not give a token away."""
    (tmp_path / "drover.toml").write_text('[backends.cloud]\nplugin = "q"\napi_token = "hunter2"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    output = call("config", "show", "--origin").stdout

    assert "hunter2" not in output
    assert str(tmp_path / "drover.toml") in output
    assert "hunter2" in call("config", "show", "--show-secrets").stdout
