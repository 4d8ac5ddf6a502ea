"""`drover check`: the conformance kit, run on a backend from the shell."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from drover.cli import _exits
from drover.cli._command import StoreCommand
from drover.cli._params import BackendName
from drover.cli._terminal import complain

if TYPE_CHECKING:
    from drover.cli._settings import Settings


@click.command(
    "check",
    cls=StoreCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("backend", type=BackendName())
@click.argument("pytest_words", metavar="[PYTEST OPTIONS]", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def check_command(settings: Settings, backend: str, pytest_words: tuple[str, ...]) -> int:
    """Run the conformance kit on BACKEND: real jobs, in a store of their own.

    Words after BACKEND go to pytest. Exits with 0 if all checks pass, 1 if one fails.
    """
    if find_spec("pytest") is None:
        complain("the conformance kit needs pytest. Try: pip install 'drover-core[testing]'")
        return _exits.USAGE
    with settings.open(engine="none") as session:
        known = [info.name for info in session.backends()]
    if backend not in known:
        from drover.errors import UnknownBackendError

        raise UnknownBackendError(backend, known)
    return _ended([*kit_argv(backend), *pytest_words])


def _ended(argv: list[str]) -> int:
    """Run the kit to its end. Ctrl-C reaches it as well, and it ends its jobs before it leaves."""
    was_interrupted = False
    with subprocess.Popen(argv) as kit:
        while True:
            try:
                code = kit.wait()
            except KeyboardInterrupt:
                was_interrupted = True
            else:
                break
    if code == 0:
        return _exits.OK
    return _exits.INTERRUPTED if was_interrupted else _exits.UNSUCCESSFUL


def kit_argv(backend: str) -> list[str]:
    """Give the command that runs the kit on *backend*."""
    return [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "drover.testing.plugin",
        "-p",
        "no:cacheprovider",
        "--pyargs",
        "drover.testing.suite",
        "--drover-backend",
        backend,
    ]
