"""`drover completion`: the script that completes commands, options, ids and backends."""

from __future__ import annotations

import click

from drover.cli import _exits
from drover.cli._command import StoreCommand


@click.command("completion", cls=StoreCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    bash: eval "$(drover completion bash)"            in ~/.bashrc
    zsh:  eval "$(drover completion zsh)"             in ~/.zshrc
    fish: drover completion fish | source             in config.fish
    """  # noqa: D301 - click reads the backspace: keep these lines as they are
    from click.shell_completion import get_completion_class

    from drover.cli._app import app

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell!r}")
    click.echo(kind(app, {}, "drover", "_DROVER_COMPLETE").source())
    return _exits.OK
