"""The page of the command line: the help of every command, as it is printed."""

import importlib
from collections.abc import Iterator
from typing import Any

import click

from from_code.sources import WRITTEN_BY

INTRODUCTION = """\
# The command line

What `drover COMMAND --help` prints. Every command takes `--home DIR` before or after its name;
every listing takes `--json`, see [the schema](json-schema.json) and
[the exit codes](exit-codes.md).
"""
COLUMNS = 96


def page() -> str:
    """Write the page."""
    app = importlib.import_module("drover.cli._app")
    lines = [WRITTEN_BY, "", INTRODUCTION, *_help("drover", app.app, None)]
    context = _context("drover", app.app, None)
    for title, rows in app.SECTIONS:
        lines += [f"## {title}", ""]
        for name, _ in rows:
            command: Any = app.app.get_command(context, name)
            lines += [f"(drover-{name})=", f"### `drover {name}`", ""]
            lines += _help(name, command, context)
            lines += _children(command, _context(name, command, context))
    return "\n".join(lines)


def _children(command: click.Command, context: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None:
            yield f"#### `drover {context.info_name} {name}`"
            yield ""
            yield from _help(name, child, context)


def _help(name: str, command: click.Command, parent: click.Context | None) -> Iterator[str]:
    text = command.get_help(_context(name, command, parent))
    yield "```text"
    yield from (line.rstrip() for line in text.splitlines())
    yield "```"
    yield ""


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=COLUMNS,
        max_content_width=COLUMNS,
        help_option_names=["-h", "--help"],
        resilient_parsing=True,
    )
