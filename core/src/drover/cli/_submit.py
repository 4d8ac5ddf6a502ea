"""`drover submit` and `drover plan`: hand a job in, or see what would become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drover.cli import _documents, _exits
from drover.cli._options import JobCommand, job_options, json_option, spec_of

if TYPE_CHECKING:
    from drover.cli._settings import Settings
    from drover.models import Plan


@click.command("submit", cls=JobCommand, context_settings={"allow_interspersed_args": False})
@job_options
@json_option
@click.pass_obj
def submit_command(settings: Settings, /, **options: Any) -> int:
    """Hand CMD in as a job and print its id, which is durable by then."""
    from drover.cli._interrupts import finishing
    from drover.cli._run import submitted

    with settings.open(backend=options["backend"]) as session:
        spec = spec_of(options, session.default_backend)
        with finishing() as interrupted:
            job = submitted(session, spec, options)
        if not options["as_json"]:
            click.echo(job.id)
        else:
            from drover.cli._views import document_of

            click.echo(_documents.text_of(document_of(job)))
    return _exits.INTERRUPTED if interrupted() else _exits.OK


@click.command("plan", cls=JobCommand, context_settings={"allow_interspersed_args": False})
@job_options
@json_option
@click.pass_obj
def plan_command(settings: Settings, /, **options: Any) -> int:
    """Show what a backend would do with CMD, field by field, and do nothing.

    Exits with 1 where the backend would refuse it.
    """
    with settings.open(engine="none") as session:
        plan = session.plan(spec_of(options, session.default_backend), options["backend"])
    allow = options["allow"]
    if options["as_json"]:
        click.echo(_documents.text_of(_documents.plan_document(plan, allow)))
    else:
        _show(plan, allow)
    return _exits.UNSUCCESSFUL if plan.refused(allow) else _exits.OK


def _show(plan: Plan, allow: tuple[str, ...]) -> None:
    """Write a plan for people."""
    import shlex

    from drover.cli._render import Table, heading, write_lines
    from drover.cli._terminal import shown

    heading(f"Backend {plan.backend}")
    table = Table("FIELD", "SUPPORT", "NOTE")
    for entry in plan.fields:
        table.row(entry.field, entry.support.value, entry.note)
    table.print()
    if plan.totals:
        heading("Totals")
        for name, value in plan.totals.items():
            click.echo(f"  {shown(name)}: {shown(value)}")
    if plan.command:
        heading("Command")
        write_lines(shlex.join(plan.command))
    if plan.script:
        heading("Script")
        write_lines(plan.script)
    refused = plan.refused(allow)
    names = ", ".join(entry.field for entry in refused)
    click.echo(f"\nRefused because of: {shown(names)}" if refused else "\nAccepted")
