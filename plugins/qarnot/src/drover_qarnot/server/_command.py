"""`drover serve qarnot`: start a server on a home, or add a user to it."""

import json
import sys
from pathlib import Path
from typing import Final

import click

DEFAULT_USER: Final = "drover@localhost"


def _missing_extra(exc: ImportError) -> click.ClickException:
    return click.ClickException(
        f"{exc.name or exc} is not installed; try: pip install 'drover-qarnot[server]'"
    )


@click.group(name="qarnot", invoke_without_command=True, no_args_is_help=False)
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="The folder of the server: its users, tasks and buckets.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8600, show_default=True, help="0: any that is free.")
@click.option("--backend", default=None, help="Drover's backend that runs tasks.")
@click.option("--user", default=DEFAULT_USER, show_default=True, help="First user of a new home.")
@click.option("--url", default=None, help="How clients reach it, where a proxy stands between.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once it listens.")
@click.pass_context
def serve(
    context: click.Context,
    *,
    home: Path,
    host: str,
    port: int,
    backend: str | None,
    user: str,
    url: str | None,
    as_json: bool,
) -> None:
    """Serve Qarnot's API on this machine; tasks run as Drover jobs.

    Settings are read from qarnot.toml in the home. Without a sub-command it runs until it is
    interrupted; tasks go on running then, and the next start finds them.
    """
    context.obj = home
    if context.invoked_subcommand is not None:
        return
    try:
        from drover_qarnot.server._serving import ServeOptions, run
    except ImportError as exc:
        raise _missing_extra(exc) from exc
    options = ServeOptions(
        home=home.resolve(), host=host, port=port, backend=backend, user=user, url=url,
        as_json=as_json,
    )  # fmt: skip
    run(options)


@serve.group(name="user")
def user_group() -> None:
    """See and add users."""


@user_group.command(name="add")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def add_user(home: Path, email: str, as_json: bool) -> None:
    """Add a user and print the token, which is told this once. A server may be running."""
    try:
        from drover_qarnot.server._accounts import BadUserError
        from drover_qarnot.server._opening import open_database
    except ImportError as exc:
        raise _missing_extra(exc) from exc
    database, accounts, _ = open_database(home.resolve())
    try:
        token = accounts.add(email)
    except BadUserError as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        database.close()
    line = json.dumps({"email": email, "token": token}) if as_json else token
    sys.stdout.write(line + "\n")


@user_group.command(name="list")
@click.pass_obj
def list_users(home: Path) -> None:
    """List users by their emails."""
    try:
        from drover_qarnot.server._opening import open_database
    except ImportError as exc:
        raise _missing_extra(exc) from exc
    database, accounts, _ = open_database(home.resolve())
    for name in accounts.names():
        sys.stdout.write(name + "\n")
    database.close()
