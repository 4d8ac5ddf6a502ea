"""Sub-commands that other distributions bring, by entry point.

The group `drover.commands` holds commands of their own, `drover.servers` what `serve` can start.
"""

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
SERVERS: Final = "drover.servers"
# The extra that brings what a server needs beside its library, by convention.
_EXTRA: Final = "server"
# One line of an 80 column help, beside the name.
_SUMMARY_WIDTH: Final = 55


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def stranger_names(group: str = GROUP) -> list[str]:
    """Name the commands that plugins bring, sorted; nothing is imported."""
    return sorted(_entries(group))


def load_stranger(name: str, group: str = GROUP) -> click.Command | None:
    """Import one command of a plugin.

    Returns:
        `None` where no plugin brings it; a command that reports the fault where the plugin
        is broken.
    """
    entry = _entries(group).get(name)
    if entry is None:
        return None
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        advice = missing_extra(entry, error)
        why = advice or f"{type(error).__name__}: {error}"
        return _broken(entry, why, "" if advice else traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - whatever a stranger's import raises harms it alone
        return _broken(entry, f"{type(error).__name__}: {error}", traceback.format_exc())
    if not isinstance(command, click.Command):
        return _broken(entry, f"{entry.value} is no click command", "")
    return command


def missing_extra(entry: EntryPoint, error: ModuleNotFoundError) -> str | None:
    """Say what to install where a server's optional packages are not there.

    Returns:
        `None` where what is missing is its own module, or where it has no such extra.
    """
    missing = (error.name or "").partition(".")[0]
    if entry.dist is None or not missing or missing == entry.module.partition(".")[0]:
        return None
    if _EXTRA not in (entry.dist.metadata.get_all("Provides-Extra") or ()):
        return None
    wanted = f"{entry.dist.name}[{_EXTRA}]"
    return f"{missing} is not installed. Try: pip install '{wanted}'"


def server_entry(name: str) -> EntryPoint | None:
    """Find the entry point of a server; nothing is imported."""
    return _entries(SERVERS).get(name)


def server_rows() -> list[tuple[str, str]]:
    """List name and origin of every server; nothing is imported."""
    return [(name, _origin(entry)) for name, entry in sorted(_entries(SERVERS).items())]


def _origin(entry: EntryPoint) -> str:
    if entry.dist is None:
        return entry.value
    told = entry.dist.metadata.get_all("Summary") or [""]
    return shortened(f"{entry.dist.name}: {told[0]}".removesuffix(": "), _SUMMARY_WIDTH)


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
