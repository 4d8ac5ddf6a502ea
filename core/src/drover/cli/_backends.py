"""`drover backends` and `drover doctor`: what is installed, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import BackendName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drover.cli._settings import Settings
    from drover.models import Capabilities, Diagnosis
    from drover.session import BackendInfo


@click.command("backends", cls=StoreCommand)
@json_option
@click.pass_obj
def backends_command(settings: Settings, *, as_json: bool) -> int:
    """List the backends with what each declares that it can do.

    A broken one is listed with its fault, and harms no other. Exits with 0 all the same.
    """
    with settings.open(engine="none") as session:
        infos = session.backends()
        findings = [
            entry
            for info in infos
            if info.ok
            for entry in session.doctor(info.name)
            if _is_of(entry, info.name)
        ]
    if as_json:
        document = {"backends": [_document(info, findings) for info in infos]}
        click.echo(_documents.text_of(document))
        return _exits.OK
    from drover.cli._render import Table, write_lines

    table = Table("NAME", "PLUGIN", "FROM", "STATUS", "CAN")
    for info in infos:
        origin = f"{info.distribution} {info.version}".strip()
        status = "ok" if info.ok else "broken"
        table.row(info.name, info.plugin, origin, status, _can(info.capabilities))
    table.print()
    for info in infos:
        if not info.ok:
            click.echo(f"\n{info.name} is broken:")
            write_lines(info.error)
    for entry in findings:
        write_lines(f"{entry.subject}: {entry.message}")
    if not infos:
        click.echo("no backend is installed. Try: pip install drover-local")
    return _exits.OK


def _document(info: BackendInfo, findings: Sequence[Diagnosis]) -> _documents.Document:
    return {
        "name": info.name,
        "plugin": info.plugin,
        "distribution": info.distribution,
        "version": info.version,
        "ok": info.ok,
        "error": info.error,
        "capabilities": _documents.of_capabilities(info.capabilities),
        "findings": [_documents.plain(entry) for entry in findings if _is_of(entry, info.name)],
    }


def _is_of(entry: Diagnosis, name: str) -> bool:
    """Tell whether a finding is the backend's own: the doctor puts its name in front."""
    return entry.subject.startswith(f"backend {name}, ")


_ABILITIES: Final = (
    "arrays",
    "find",
    "push",
    "restart",
    "stage_in",
    "stage_out",
    "usage",
    "progress",
)


def _can(capabilities: Capabilities | None) -> str:
    """Sum up what is declared in one cell."""
    if capabilities is None:
        return ""
    words = sorted(verb.value for verb in capabilities.verbs)
    words += [word for word in _ABILITIES if getattr(capabilities, word)]
    return " ".join([*words, f"claim={capabilities.claim}"])


@click.command("doctor", cls=StoreCommand)
@click.argument("backend", required=False, type=BackendName())
@json_option
@click.pass_obj
def doctor_command(settings: Settings, backend: str | None, *, as_json: bool) -> int:
    """Look at the store, its engine and the backends, and say how to mend what is wrong.

    Exits with 1 if there is an error; warnings alone give 0.
    """
    with settings.open(engine="none") as session:
        findings = session.doctor(backend)
    document = _documents.doctor_document(findings)
    if as_json:
        click.echo(_documents.text_of(document))
    else:
        from drover.cli._render import Table

        table = Table("HEALTH", "SUBJECT", "FINDING")
        for entry in findings:
            cure = f" -> {entry.cure}" if entry.cure else ""
            table.row(entry.health.value, entry.subject, entry.message + cure)
        table.print()
    return _exits.OK if document["healthy"] else _exits.UNSUCCESSFUL
