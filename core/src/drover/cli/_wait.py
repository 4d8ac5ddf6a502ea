"""`drover wait`: until jobs have ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import JobId, seconds_of
from drover.cli._terminal import is_terminal

if TYPE_CHECKING:
    from drover.cli._settings import Settings
    from drover.session import Job, Session

# How often the progress bar moves.
_STEP_S: Final = 0.2


@click.command("wait", cls=StoreCommand)
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, type=JobId())
@click.option("--timeout", metavar="TIME", help="Longest wait, such as 90s. [default: for ever]")
@click.option("--any", "first", is_flag=True, help="Until the first has ended.")
@json_option
@click.pass_obj
def wait_command(
    settings: Settings, job_ids: tuple[str, ...], *, timeout: str | None, first: bool, as_json: bool
) -> int:
    """Wait until jobs have ended, and tell how.

    Exits with 0 if all that were waited for succeeded, 1 if one did not, 124 if the time ran out.
    """
    from drover.cli._views import elements_of, jobs_named
    from drover.states import State

    timeout_s = seconds_of("--timeout", timeout)
    with settings.open() as session:
        jobs = elements_of(jobs_named(session, job_ids))
        done, pending = _wait(session, jobs, timeout_s, when="any" if first else "all")
        _tell(done, pending, as_json=as_json)
        ended_well = all(job.state is State.SUCCEEDED for job in done)
    if pending and not (first and done):
        return _exits.TIMEOUT
    return _exits.OK if ended_well else _exits.UNSUCCESSFUL


def _wait(
    session: Session, jobs: list[Job], timeout_s: float | None, when: Literal["all", "any"]
) -> tuple[list[Job], list[Job]]:
    """Wait, with a bar on a terminal where there is more than one to wait for."""
    if len(jobs) == 1 or not is_terminal(sys.stderr):
        return session.wait(jobs, timeout=timeout_s, when=when)
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    from drover.cli._render import console

    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(jobs))
        while True:
            left = _STEP_S if ends_at is None else min(_STEP_S, ends_at - time.monotonic())
            done, pending = session.wait(jobs, timeout=max(0.0, left), when=when)
            progress.update(task, completed=len(done))
            if not pending or (when == "any" and done) or left <= 0 or _stuck(pending):
                return done, pending


def _stuck(pending: list[Job]) -> bool:
    """Tell whether only jobs are left that wait for a lost one: more waiting brings nothing."""
    from drover.states import State

    return all(
        any(blocker.state is State.LOST for blocker in job.blockers())
        for job in pending
        if job.state is State.WAITING
    ) and all(job.state is State.WAITING for job in pending)


def _tell(done: list[Job], pending: list[Job], *, as_json: bool) -> None:
    if as_json:
        document = _documents.jobs_document([job.record for job in done])
        document["pending"] = [job.id for job in pending]
        click.echo(_documents.text_of(document))
        return
    from drover.cli._terminal import shown
    from drover.cli._views import about

    for job in done:
        click.echo(f"{job.id}  {job.state}  {shown(about(job.record))}")
    for job in pending:
        behind = " ".join(blocker.id for blocker in job.blockers())
        click.echo(f"{job.id}  {job.state}  " + (f"behind {behind}" if behind else "goes on"))
