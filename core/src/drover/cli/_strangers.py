"""Sub-commands that other distributions bring, by the entry-point group `drover.commands`."""

from __future__ import annotations

import traceback
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

import click

from drover.cli import _exits
from drover.cli._terminal import shortened

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

GROUP: Final = "drover.commands"
# One line of an 80 column help, beside the name.
_SUMMARY_WIDTH: Final = 55


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def stranger_names() -> list[str]:
    """Name the commands that plugins bring, sorted; nothing is imported."""
    return sorted(_entries())


def load_stranger(name: str) -> click.Command | None:
    """Import one command of a plugin.

    Returns:
        `None` where no plugin brings it; a command that reports the fault where the plugin
        is broken.
    """
    entry = _entries().get(name)
    if entry is None:
        return None
    try:
        command = entry.load()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's import raises harms it alone
        return _broken(entry, f"{type(error).__name__}: {error}", traceback.format_exc())
    if not isinstance(command, click.Command):
        return _broken(entry, f"{entry.value} is no click command", "")
    return command


def _broken(entry: EntryPoint, why: str, trace: str) -> click.Command:
    """Make the command that stands in for one that cannot be loaded."""

    @click.command(
        entry.name,
        help=f"BROKEN: {why}",
        short_help=f"BROKEN: {shortened(why, _SUMMARY_WIDTH)}",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def report(words: tuple[str, ...]) -> int:
        del words
        from drover.errors import BrokenPluginError

        owner = entry.dist.name if entry.dist is not None else entry.value
        error = BrokenPluginError(owner, f"command {entry.name!r} cannot be loaded: {why}", trace)
        if trace:
            click.echo(trace, err=True, nl=False)
        click.echo(f"drover: {error}", err=True)
        return _exits.PLUGIN

    return report


def stranger_rows(known: Container[str]) -> list[tuple[str, str]]:
    """List name and summary of every plugin's command, the broken ones said to be so."""
    rows: list[tuple[str, str]] = []
    for name in stranger_names():
        command = None if name in known else load_stranger(name)
        if command is not None:
            rows.append((name, command.get_short_help_str(_SUMMARY_WIDTH)))
    return rows


def unknown_command(name: str, known: Sequence[str], context: click.Context) -> click.UsageError:
    """Say that there is no such command, with the nearest that there is."""
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return click.UsageError(f"no command {name!r}{hint} See: drover --help", ctx=context)
