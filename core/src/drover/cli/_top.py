"""`drover top`: a live view of a store."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import ConsoleDimensions, RenderableType

    from drover.cli._settings import Settings
    from drover.models import JobRecord
    from drover.session import Session

# Lines of the view that are not jobs: header, headings, counts, hint.
_FRAME: Final = 8
_PLAIN_ROWS: Final = 30


@click.command("top", cls=StoreCommand)
@click.option("--tag", help="With this tag only.")
@click.option("--backend", help="On this backend only.")
@click.option(
    "--every", metavar="TIME", default="1s", show_default=True, help="Time between looks."
)
@click.option("--once", is_flag=True, help="One look; what happens where there is no terminal.")
@json_option
@click.pass_obj
def top_command(
    settings: Settings, /, *, as_json: bool, once: bool, every: str, **filters: Any
) -> int:
    """Watch all jobs live: the running first. `q` or Ctrl-C leaves; jobs go on."""
    from drover.models import parse_seconds

    pause_s = parse_seconds("--every", every)
    with settings.open(engine="none") as session:
        if as_json:
            records = _records(session, filters, None)
            counts = session.counts(**filters)
            click.echo(_documents.text_of(_documents.jobs_document(records, counts)))
        elif once or not is_terminal():
            _print_once(session, filters)
        else:
            _watch(session, filters, pause_s)
    return _exits.OK


def _records(session: Session, filters: dict[str, Any], rows: int | None) -> list[JobRecord]:
    """Pick what to show: running first, then what waits, then what ended last."""
    from drover.cli._views import UNFINISHED
    from drover.states import ENDED, State

    first = (State.RUNNING, State.SUSPENDED, State.COMPLETING)
    records = [job.record for job in session.jobs(state=first, newest=rows, **filters)]
    others = UNFINISHED - set(first)
    for states in (others, ENDED):
        room = _PLAIN_ROWS if rows is None else rows - len(records)
        if room > 0:
            records += [job.record for job in session.jobs(state=states, newest=room, **filters)]
    return records


def _engine_line(session: Session) -> str:
    status = session.engine_status()
    return f"engine {status.pid}, epoch {status.epoch}" if status.running else "no engine"


def _print_once(session: Session, filters: dict[str, Any]) -> None:
    from drover.cli._render import count_line
    from drover.cli._views import job_table

    click.echo(f"{session.home}  {_engine_line(session)}")
    records = _records(session, filters, _PLAIN_ROWS)
    if records:
        job_table(records).print()
    click.echo(count_line(session.counts(**filters)))


def _watch(session: Session, filters: dict[str, Any], pause_s: float) -> None:
    """Draw again and again until `q` or Ctrl-C."""
    from rich.live import Live

    from drover.cli._render import console

    screen = console()
    with _keys() as pressed, Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_view(session, filters, screen.size), refresh=True)
            try:
                if pressed(pause_s) in ("q", "Q", "\x1b"):
                    return
            except KeyboardInterrupt:
                return


def _view(session: Session, filters: dict[str, Any], size: ConsoleDimensions) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from drover.cli._render import count_line
    from drover.cli._terminal import shown
    from drover.cli._views import job_table

    records = _records(session, filters, max(1, size.height - _FRAME))
    return Group(
        Text(f"drover top  {shown(str(session.home))}  {_engine_line(session)}", style="bold"),
        job_table(records).rich(size.width),
        Text(count_line(session.counts(**filters))),
        Text("q leaves; jobs go on", style="dim"),
    )


@contextmanager
def _keys() -> Generator[Any]:
    """Read single keys from the terminal; put it back as it was at the end.

    Yields:
        A function that waits so many seconds and gives the key, or an empty string.
    """
    import select
    import time

    if not sys.stdin.isatty():

        def rest(pause_s: float) -> str:
            time.sleep(pause_s)
            return ""

        yield rest
        return
    import os
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(pause_s: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], pause_s)
        return os.read(descriptor, 1).decode("ascii", "replace") if ready else ""

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
