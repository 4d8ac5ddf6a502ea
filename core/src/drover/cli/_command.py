"""The classes behind every command: `--home` on each, and groups that load late."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from drover.cli import _exits
from drover.cli._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def _choose_home(context: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Settings).home = value


def home_option() -> click.Option:
    """Make the option that chooses the store; it may stand before or after the command."""
    return click.Option(
        ["--home"],
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        expose_value=False,
        # Before the other options: their completion reads the chosen store.
        is_eager=True,
        callback=_choose_home,
        help="The store to work on. [default: $DROVER_HOME, or the user's data folder]",
    )


class StoreCommand(click.Command):
    """A command that works on a store."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(home_option())


class StoreGroup(click.Group):
    """A command with sub-commands, all of which work on a store."""

    command_class = StoreCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Not as keywords: click passes what it was given itself, too.
        kwargs.update(invoke_without_command=True, no_args_is_help=False)
        super().__init__(*args, **kwargs)
        self.params.append(home_option())

    def invoke(self, ctx: click.Context) -> Any:
        """Show the help where no sub-command was typed."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
            return _exits.OK
        return result


@frozen
class LateCommand:
    """Where a command is defined, and its line in the help: known before it is imported."""

    module: str
    attribute: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        command = getattr(importlib.import_module(self.module), self.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}:{self.attribute} is no click command")
        return command


class LateGroup(StoreGroup):
    """A group whose commands are imported when they are called, not before."""

    def __init__(
        self,
        *args: Any,
        late: Sequence[tuple[str, Sequence[tuple[str, LateCommand]]]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = tuple((title, tuple(rows)) for title, rows in late)
        self._late = {name: command for _, rows in self._sections for name, command in rows}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, ours first, in the order of the help."""
        del ctx
        from drover.cli._strangers import stranger_names

        return [*self._late, *(name for name in stranger_names() if name not in self._late)]

    def get_command(
        self,
        ctx: click.Context,
        cmd_name: str,
    ) -> click.Command | None:
        """Import one command. A plugin's broken one becomes one that says so."""
        del ctx
        if cmd_name in self._late:
            return self._late[cmd_name].load()
        from drover.cli._strangers import load_stranger

        return load_stranger(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; say the nearest where there is none."""
        command = self.get_command(ctx, args[0])
        if command is None:
            from drover.cli._strangers import unknown_command

            raise unknown_command(args[0], self.list_commands(ctx), ctx)
        return args[0], command, args[1:]

    def format_commands(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands of the help without importing ours."""
        del ctx
        for title, rows in self._sections:
            with formatter.section(title):
                formatter.write_dl([(name, late.summary) for name, late in rows])
        from drover.cli._strangers import stranger_rows

        foreign = stranger_rows(known=self._late)
        if foreign:
            with formatter.section("From plugins"):
                formatter.write_dl(foreign)
