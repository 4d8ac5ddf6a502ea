"""`drover serve s3`: a store of one's own, with users of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drover_objectstore.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOPBACK = "127.0.0.1"


class _Bytes(click.ParamType[int]):
    """A number of bytes, such as 500MiB or 2GiB."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        from drover_objectstore.models import GIB, KIB, MIB, TIB

        units = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
        text = str(value)
        digits = text.rstrip("KMGTiB")
        unit = text[len(digits) :]
        if not (digits.isascii() and digits.isdigit()) or unit not in units:
            self.fail(f"{text!r} is no size such as 500MiB or 2GiB", param, ctx)
        return int(digits) * units[unit]


def _homed(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--home",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The folder of the server: buckets, users, and the key that seals their secrets.",
    )(command)


@click.group("s3", invoke_without_command=True)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of the server: buckets, users, and the key that seals their secrets.",
)
@click.option("--host", default=_LOOPBACK, show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=9000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0: any free one.",
)
@click.option("--share", type=_Bytes(), metavar="SIZE", help="What a user may use. [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens in one line of JSON.")
@click.option("--quiet", is_flag=True, help="Write no line per request to standard error.")
@click.pass_context
def serve_command(
    context: click.Context,
    *,
    home: Path | None,
    host: str,
    port: int,
    share: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Serve an S3 store that lies in a folder; Ctrl-C ends it.

    \b
    drover serve s3 user add ann --home DIR     makes a user, prints the key and the secret once
    drover serve s3 --home DIR --port 9000      serves, on loopback unless --host says otherwise
    """  # noqa: D301 - click reads the backspace: keep these lines as they are
    if context.invoked_subcommand is not None:
        return
    if home is None:
        raise click.UsageError("missing option '--home'")
    from drover_objectstore import server
    from drover_objectstore.models import Limits

    if not quiet:
        server.log_to(sys.stderr)
    try:
        with server.listen(host, port) as listener:
            url = server.url_of(listener)
            line = json.dumps({"url": url}) if as_json else f"listening on {url}"
            server.serve(
                home, listener, limits=Limits(owner_bytes=share), ready=lambda: server.say(line)
            )
    except (S3Error, OSError) as error:
        raise click.ClickException(str(error)) from error


@serve_command.group("user")
def user_group() -> None:
    """See and add the users of a server; one that runs knows them at once."""


@user_group.command("add")
@click.argument("name")
@_homed
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def add_command(name: str, home: Path, as_json: bool) -> None:
    """Add a user, or one more key of one; the secret is shown this once."""
    from drover_objectstore.users import Users

    try:
        made = Users(home).add(name)
    except (S3Error, OSError) as error:
        raise click.ClickException(str(error)) from error
    row = {"user": made.name, "access_key": made.access_key, "secret_key": made.secret}
    if as_json:
        click.echo(json.dumps(row))
        return
    click.echo(f"export AWS_ACCESS_KEY_ID={made.access_key}")
    click.echo(f"export AWS_SECRET_ACCESS_KEY={made.secret}")


@user_group.command("list")
@_homed
def list_command(home: Path) -> None:
    """List the users."""
    from drover_objectstore.users import Users

    try:
        for name in Users(home).names():
            click.echo(name)
    except (S3Error, OSError) as error:
        raise click.ClickException(str(error)) from error
