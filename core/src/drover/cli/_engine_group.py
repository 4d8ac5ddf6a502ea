"""`drover engine`: who works on the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreGroup
from drover.cli._options import json_option

if TYPE_CHECKING:
    from drover.cli._settings import Settings
    from drover.session import EngineStatus


@click.group("engine", cls=StoreGroup)
def engine_command() -> None:
    """See, stop or restart the engine of the store.

    It starts by itself when work is handed in, and leaves when there is none. Jobs that run go
    on without it.
    """


@engine_command.command("status")
@json_option
@click.pass_obj
def status_command(settings: Settings, *, as_json: bool) -> int:
    """Tell who works on the store, since when, and with which backends.

    Exits with 1 if no engine works.
    """
    with settings.open(engine="none") as session:
        status, home = session.engine_status(), str(session.home)
    _tell(status, home, as_json=as_json)
    return _exits.OK if status.running else _exits.UNSUCCESSFUL


def _tell(status: EngineStatus, home: str, *, as_json: bool) -> None:
    """Write a status."""
    if as_json:
        click.echo(_documents.text_of({"engine": _document(status, home)}))
        return
    from drover.cli._render import Table, count_line, moment, pairs

    pairs(
        [
            ("store", home),
            ("engine", f"running, process {status.pid}" if status.running else "none"),
            ("host", status.host),
            ("since", moment(status.started_at) if status.running else ""),
            ("epoch", status.epoch),
            ("version", status.version),
            ("unfinished", count_line(status.jobs)),
            ("log", status.log),
        ]
    )
    if status.backends:
        table = Table("BACKEND", "PLUGIN", "STATUS", "ERROR")
        for entry in status.backends:
            away = "broken" if entry.broken else "unreachable"
            table.row(entry.name, entry.plugin, "ok" if entry.ok else away, entry.error)
        table.print()


def _document(status: EngineStatus, home: str) -> _documents.Document:
    return {
        "home": home,
        "running": status.running,
        "pid": status.pid or None,
        "host": status.host or None,
        "started_at": _documents.instant(status.started_at),
        "epoch": status.epoch,
        "version": status.version or None,
        "backends": [
            {"name": entry.name, "plugin": entry.plugin, "ok": entry.ok, "error": entry.error}
            for entry in status.backends
        ],
        "jobs": _documents.of_counts(status.jobs),
        "log": _documents.printable_path(status.log),
    }


@engine_command.command("stop")
@click.option("--timeout", metavar="TIME", default="10s", show_default=True, help="Longest wait.")
@click.pass_obj
def stop_command(settings: Settings, timeout: str) -> int:
    """Let the engine leave. Jobs that run go on; waiting ones wait for the next engine."""
    from drover.models import parse_seconds

    with settings.open(engine="none") as session:
        was_there = session.engine_status().running
        gone = session.engine_stop(timeout=parse_seconds("--timeout", timeout))
    if not was_there:
        click.echo("no engine was running")
        return _exits.OK
    click.echo("engine stopped" if gone else "the engine has not left in time")
    return _exits.OK if gone else _exits.TIMEOUT


@engine_command.command("restart")
@click.option("--timeout", metavar="TIME", default="10s", show_default=True, help="Longest wait.")
@json_option
@click.pass_obj
def restart_command(settings: Settings, timeout: str, *, as_json: bool) -> int:
    """Let the engine leave and start another, which reads the configuration anew."""
    from drover.models import parse_seconds

    with settings.open() as session:
        if not session.engine_stop(timeout=parse_seconds("--timeout", timeout)):
            click.echo("the engine has not left in time", err=True)
            return _exits.TIMEOUT
        status, home = session.engine_start(), str(session.home)
    _tell(status, home, as_json=as_json)
    return _exits.OK
