"""`drover logs`: a job's output, now or as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
@click.option("--attempt", type=click.IntRange(1), help="From this one on. [default: the last]")
@click.option("--raw", is_flag=True, help="Let the output drive the terminal.")
@click.pass_obj
def logs_command(settings: Settings, /, job_id: str, **options: Any) -> int:
    """Print a job's output to stdout, byte by byte unless that is a terminal.

    Reading consumes nothing: any number of readers may look, also while the job runs.
    """
    from drover.cli._stream import Pump, follow
    from drover.cli._views import elements_of

    one = ("stderr",) if options["of_stderr"] else ("stdout",)
    streams = ("stdout", "stderr") if options["both"] else one
    with settings.open(engine="auto" if options["following"] else "none") as session:
        jobs = elements_of([session.job(job_id)])
        _refuse_unknown(options["attempt"], max(job.attempt for job in jobs))
        for job in jobs:
            pump = Pump(job, streams, raw=options["raw"], from_attempt=options["attempt"])
            if options["following"]:
                follow(session, job, pump)
            else:
                pump.look()
                pump.finish()
    return _exits.OK


def _refuse_unknown(attempt: int | None, last: int) -> None:
    if attempt is not None and attempt > last:
        text = f"there is no attempt {attempt} yet; the last is {last}"
        raise click.BadParameter(text, param_hint="--attempt")
