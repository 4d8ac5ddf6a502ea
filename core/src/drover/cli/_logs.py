"""`drover logs`: a job's output, now or as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drover.cli import _exits
from drover.cli._command import StoreCommand
from drover.cli._params import JobId

if TYPE_CHECKING:
    from drover.cli._settings import Settings


@click.command("logs", cls=StoreCommand)
@click.argument("job_id", metavar="ID", type=JobId())
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the job has ended.")
@click.option("--stderr", "of_stderr", is_flag=True, help="Its stderr instead of its stdout.")
@click.option("--both", is_flag=True, help="stdout to stdout and stderr to stderr.")
@click.option("--raw", is_flag=True, help="Let the output drive the terminal.")
@click.pass_obj
def logs_command(
    settings: Settings, job_id: str, *, following: bool, of_stderr: bool, both: bool, raw: bool
) -> int:
    """Print a job's output to stdout, byte by byte unless that is a terminal.

    Reading consumes nothing: any number of readers may look, also while the job runs.
    """
    from drover.cli._stream import Pump, follow
    from drover.cli._views import elements_of

    streams = ("stdout", "stderr") if both else ("stderr",) if of_stderr else ("stdout",)
    with settings.open(engine="auto" if following else "none") as session:
        for job in elements_of([session.job(job_id)]):
            pump = Pump(job, streams, raw=raw)
            if following:
                follow(session, job, pump)
            else:
                pump.finish()
    return _exits.OK
