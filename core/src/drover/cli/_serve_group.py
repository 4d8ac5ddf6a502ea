"""`drover serve`: the servers that other distributions bring, by the group `drover.servers`."""

from __future__ import annotations

from typing import Any

import click

from drover.cli import _exits
from drover.cli._command import StoreGroup
from drover.cli._strangers import (
    SERVERS,
    load_stranger,
    missing_extra,
    server_entry,
    server_rows,
    stranger_names,
)
from drover.cli._terminal import complain


class ServerGroup(StoreGroup):
    """A group whose commands are servers, imported when they are called and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all servers that are installed."""
        del ctx
        return stranger_names(SERVERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one server. A broken one becomes a command that says so."""
        del ctx
        return load_stranger(cmd_name, SERVERS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the server of the first word; say which there are where there is none."""
        command = self.get_command(ctx, args[0])
        if command is None:
            known = ", ".join(self.list_commands(ctx)) or "none"
            raise click.UsageError(f"no server {args[0]!r}; installed: {known}", ctx=ctx)
        return args[0], command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write name and distribution of every server; nothing is imported."""
        del ctx
        rows = server_rows()
        if rows:
            with formatter.section("Servers"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Say what to install where a server finds only when it starts that something is missing.

        Raises:
            ModuleNotFoundError: What is missing is no part of its extra: a bug of the server.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            entry = server_entry(ctx.invoked_subcommand or "")
            advice = missing_extra(entry, error) if entry is not None else None
            if advice is None:
                raise
            complain(f"server {ctx.invoked_subcommand!r}: {advice}")
            return _exits.PLUGIN


@click.group("serve", cls=ServerGroup)
def serve_command() -> None:
    """Start a server that an installed distribution brings; Ctrl-C ends it.

    Servers come from the entry-point group `drover.servers`.
    """
