"""`drover config`: the settings, and where each comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreGroup
from drover.cli._options import json_option

if TYPE_CHECKING:
    from drover.config import Setting

_SECRET: Final = re.compile(r"token|secret|passw|credential|api_?key", re.IGNORECASE)


@click.group("config", cls=StoreGroup)
def config_command() -> None:
    """See the configuration.

    Later wins: config.toml in the user's folder, drover.toml of the project, DROVER_* variables.
    """


@config_command.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--show-secrets", is_flag=True, help="Show tokens and passwords, too.")
@json_option
def show_command(*, origin: bool, show_secrets: bool, as_json: bool) -> int:
    """Show every value that is set."""
    from drover import config

    settings = sorted(config.load().settings.values(), key=lambda setting: setting.key)
    rows = [_row(setting, show_secrets=show_secrets) for setting in settings]
    if as_json:
        click.echo(_documents.text_of({"settings": rows}))
        return _exits.OK
    from drover.cli._render import Table

    table = Table("KEY", "VALUE", "ORIGIN") if origin else Table("KEY", "VALUE")
    for row in rows:
        cells = (row["key"], row["value"], row["origin"])
        table.row(*(cells if origin else cells[:2]))
    if rows:
        table.print()
    else:
        click.echo("nothing is set; every value is the default")
    return _exits.OK


def _row(setting: Setting, *, show_secrets: bool) -> dict[str, Any]:
    hidden = bool(_SECRET.search(setting.key)) and not show_secrets
    return {
        "key": setting.key,
        "value": _documents.MASK if hidden else _documents.plain(setting.value),
        "origin": setting.origin,
    }
