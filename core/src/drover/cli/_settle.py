"""`drover retry`, `approve`, `resolve`, `purge`: what only a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import JobId
from drover.cli._verbs import ids_argument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drover.cli._settings import Settings
    from drover.session import Job


def _tell(jobs: Iterable[Job], *, as_json: bool) -> None:
    """Write the jobs as they are now."""
    records = [job.record for job in jobs]
    if as_json:
        click.echo(_documents.text_of(_documents.jobs_document(records)))
        return
    for record in records:
        click.echo(f"{record.id}  {record.state}  attempt {record.attempt}")


@click.command("retry", cls=StoreCommand)
@ids_argument
@click.option(
    "--may-run-twice",
    is_flag=True,
    help="Also where a lost attempt may still be running: accept that both run.",
)
@json_option
@click.pass_obj
def retry_command(
    settings: Settings, job_ids: tuple[str, ...], *, may_run_twice: bool, as_json: bool
) -> int:
    """Run jobs that have ended once more, as a new attempt."""
    from drover.cli._views import elements_of, jobs_named

    with settings.open() as session:
        jobs = elements_of(jobs_named(session, job_ids))
        _tell(session.retry(jobs, may_run_twice=may_run_twice), as_json=as_json)
    return _exits.OK


@click.command("approve", cls=StoreCommand)
@ids_argument
@json_option
@click.pass_obj
def approve_command(settings: Settings, job_ids: tuple[str, ...], *, as_json: bool) -> int:
    """Say yes to jobs that await approval."""
    from drover.cli._views import elements_of, jobs_named

    with settings.open() as session:
        jobs = elements_of(jobs_named(session, job_ids))
        session.approve(jobs)
        _tell(elements_of(jobs_named(session, [job.id for job in jobs])), as_json=as_json)
    return _exits.OK


@click.command("resolve", cls=StoreCommand)
@ids_argument
@click.option(
    "--as",
    "state",
    required=True,
    type=click.Choice(["succeeded", "failed", "cancelled"], case_sensitive=False),
    help="How it ended, as you know from elsewhere.",
)
@click.option("--why", default="", help="How you know; kept in the job's story.")
@json_option
@click.pass_obj
def resolve_command(
    settings: Settings, job_ids: tuple[str, ...], *, state: str, why: str, as_json: bool
) -> int:
    """Say how LOST jobs ended, where drover cannot know."""
    from drover.cli._views import elements_of, jobs_named
    from drover.states import State

    with settings.open() as session:
        jobs = elements_of(jobs_named(session, job_ids))
        session.resolve(jobs, State(state.upper()), why)
        _tell(elements_of(jobs_named(session, [job.id for job in jobs])), as_json=as_json)
    return _exits.OK


@click.command("purge", cls=StoreCommand)
@click.argument("job_ids", metavar="[ID...]", nargs=-1, type=JobId())
@click.option("--older-than", metavar="TIME", help="All that ended longer ago, such as 7d.")
@click.option("--all", "everything", is_flag=True, help="All that have ended.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def purge_command(
    settings: Settings,
    job_ids: tuple[str, ...],
    *,
    older_than: str | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Forget jobs that have ended, with their output. Unfinished and LOST jobs stay."""
    import time

    from drover.cli._terminal import can_ask
    from drover.cli._views import elements_of, jobs_named
    from drover.models import parse_seconds

    if sum((bool(job_ids), older_than is not None, everything)) != 1:
        raise click.UsageError("say which jobs: ID..., --older-than TIME or --all")
    if not yes and not job_ids and can_ask():
        click.confirm("Forget these jobs and delete their output?", abort=True, err=True)
    with settings.open() as session:
        if job_ids:
            count = session.purge(jobs=elements_of(jobs_named(session, job_ids)))
        else:
            age = 0.0 if older_than is None else parse_seconds("--older-than", older_than)
            count = session.purge(ended_before=time.time() - age)
    if as_json:
        click.echo(_documents.text_of({"purged": count}))
    else:
        click.echo(f"{count} {'job' if count == 1 else 'jobs'} forgotten")
    return _exits.OK
