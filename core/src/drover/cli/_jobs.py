"""`drover ps`, `drover show` and `drover history`: what is known of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import BackendName, JobId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drover.cli._settings import Settings
    from drover.events import Event
    from drover.models import JobRecord
    from drover.session import Job, Session
    from drover.states import State

# By default, of all and of those that have ended: what fits a screen.
_MOST: Final = 30
_RECENT: Final = 10


@click.command("ps", cls=StoreCommand)
@click.option("--state", "states", multiple=True, metavar="STATE", help="In this state only.")
@click.option("--tag", help="With this tag only.")
@click.option("--name", help="With this name only.")
@click.option("--backend", type=BackendName(), help="On this backend only.")
@click.option("--array", metavar="ID", type=JobId(), help="Elements of this array only.")
@click.option("--all", "everything", is_flag=True, help="Every job of the store.")
@click.option("-n", "newest", type=click.IntRange(1), help=f"At most. [default: {_MOST}]")
@click.option("--ids", is_flag=True, help="Ids alone, of all that fit: for other commands.")
@json_option
@click.pass_obj
def ps_command(settings: Settings, /, **options: Any) -> int:
    """List jobs, newest first: the unfinished, and the latest that have ended."""
    from drover.cli._views import warn_if_unwatched

    if options["ids"] and options["as_json"]:
        raise click.UsageError("--ids and --json exclude each other")
    filters = {name: options[name] for name in ("tag", "name", "backend", "array")}
    with settings.open(engine="none") as session:
        if filters["array"] is not None:
            filters["array"] = session.job(filters["array"]).id
        jobs = _chosen(session, options, filters)
        counts = session.counts(**filters)
        records = [job.record for job in jobs]
        warn_if_unwatched(session, records)
    if options["ids"]:
        for record in records:
            click.echo(record.id)
    elif options["as_json"]:
        click.echo(_documents.text_of(_documents.jobs_document(records, counts)))
    else:
        _list(records, counts)
    return _exits.OK


def _list(records: list[JobRecord], counts: Mapping[State, int]) -> None:
    """Write jobs for people, and how many there are in all."""
    from drover.cli._render import count_line
    from drover.cli._views import job_table

    if records:
        job_table(records).print()
    hidden = sum(counts.values()) - len(records)
    more = f"; {hidden} not shown" if hidden > 0 else ""
    click.echo(count_line(counts) + more)


def _chosen(session: Session, options: dict[str, Any], filters: dict[str, Any]) -> list[Job]:
    """Pick the jobs to list, newest first."""
    from drover.cli._views import UNFINISHED
    from drover.states import ENDED

    newest = _limit(options)
    if options["states"]:
        return session.jobs(state=_states(options["states"]), newest=newest, **filters)
    if newest is None or options["array"] is not None:
        return session.jobs(newest=newest, **filters)
    unfinished = session.jobs(state=UNFINISHED, newest=newest, **filters)
    room = min(_RECENT, newest) if not unfinished else min(_RECENT, newest - len(unfinished))
    recent = session.jobs(state=ENDED, newest=room, **filters) if room > 0 else []
    return sorted([*unfinished, *recent], key=lambda job: job.n, reverse=True)


def _limit(options: dict[str, Any]) -> int | None:
    """Tell how many to list at most; `None`: all. Ids go to commands, which are to miss none."""
    if options["everything"]:
        return None
    return options["newest"] or (None if options["ids"] else _MOST)


def _states(words: tuple[str, ...]) -> list[Any]:
    """Read states, several in one word with commas, in any case."""
    from drover.states import State

    chosen: list[State] = []
    for word in ",".join(words).split(","):
        try:
            chosen.append(State(word.strip().upper()))
        except ValueError:
            known = ", ".join(State)
            raise click.BadParameter(
                f"{word!r} is no state; there are {known}", param_hint="--state"
            ) from None
    return chosen


@click.command("show", cls=StoreCommand)
@click.argument("job_id", metavar="ID", type=JobId())
@click.option("--show-env", is_flag=True, help="Show the values of variables, too.")
@json_option
@click.pass_obj
def show_command(settings: Settings, job_id: str, *, show_env: bool, as_json: bool) -> int:
    """Tell all that is known of one job, or of an array."""
    from drover.cli._views import document_of, is_array, warn_if_unwatched

    with settings.open(engine="none") as session:
        job = session.job(job_id)
        if is_array(job):
            records = [element.record for element in job]
            warn_if_unwatched(session, records)
            document = {**document_of(job), "jobs": [_documents.of_job(entry) for entry in records]}
            if as_json:
                click.echo(_documents.text_of(document))
            else:
                _show_array(document, records)
            return _exits.OK
        warn_if_unwatched(session, [job.record])
        blockers = [blocker.id for blocker in job.blockers()]
        if as_json:
            told = _documents.of_job_in_full(job.record, blockers=blockers, show_env=show_env)
            click.echo(_documents.text_of(told))
        else:
            _show(job, blockers, show_env=show_env)
    return _exits.OK


def _show_array(document: _documents.Document, records: list[JobRecord]) -> None:
    from drover.cli._render import pairs
    from drover.cli._views import job_table

    counts = ", ".join(f"{count} {state}" for state, count in document["counts"].items())
    pairs(
        [
            ("array", document["id"]),
            ("name", document["name"]),
            ("backend", document["backend"]),
            ("elements", document["size"]),
            ("states", counts),
        ]
    )
    job_table(records).print()


def _show(job: Job, blockers: list[str], *, show_env: bool) -> None:
    """Write one job for people."""
    import shlex

    from drover.cli._render import moment, pairs, span
    from drover.cli._views import about, run_time

    record = job.record
    pairs(
        [
            ("id", record.id),
            ("name", record.spec.label),
            ("command", shlex.join(record.spec.argv)),
            ("state", record.state.value),
            ("about", about(record)),
            ("backend", record.backend),
            ("native id", record.native_id),
            ("native state", record.native_state),
            ("attempt", _attempt(record)),
            ("array", record.array_id),
            ("submitted", moment(record.submitted_at)),
            ("not before", moment(record.ready_at) if not record.state.ends_wait else ""),
            ("started", moment(record.started_at)),
            ("ended", moment(record.ended_at)),
            ("ran", span(run_time(record, record.observed_at or record.submitted_at))),
            ("behind", " ".join(blockers)),
            ("held by", " ".join(sorted(record.hold))),
            ("tags", " ".join(record.spec.tags)),
            ("directory", record.spec.cwd),
            ("stdout", job.stdout.path),
            ("stderr", job.stderr.path),
        ]
    )
    _show_usage(record)
    _show_spec(record, show_env=show_env)


def _attempt(record: JobRecord) -> str:
    allowed = record.spec.retry.attempts
    of = f" of {allowed}" if allowed > 1 else ""
    restarts = f", restarted {record.restart} times" if record.restart else ""
    counted = f" counted, {record.attempt} in all" if record.uncounted else ""
    return f"{record.counted_attempt}{of}{counted}{restarts}"


def _show_usage(record: JobRecord) -> None:
    from drover.cli._render import heading, pairs, size, span

    if record.outcome is None:
        return
    usage = record.outcome.usage
    heading("Outcome")
    pairs(
        [
            ("how", record.outcome.describe()),
            ("told by", ", ".join(report.source for report in record.outcome.evidence)),
            ("cpu", span(usage.cpu_s)),
            ("wall", span(usage.wall_s)),
            ("peak memory", size(usage.max_rss_bytes)),
            ("host", usage.host),
        ]
    )


def _show_spec(record: JobRecord, *, show_env: bool) -> None:
    from drover.cli._render import heading, pairs
    from drover.models import fields_set

    shown_above = {"argv", "name", "cwd", "tags"}
    spec = _documents.plain(record.spec, show_env=show_env)
    rows: list[tuple[str, object]] = []
    for path in fields_set(record.spec):
        if path in shown_above:
            continue
        value = spec
        for part in path.split("."):
            value = value[part]
        if path == "env":
            rows.extend((f"env {name}", text) for name, text in value.items())
        else:
            rows.append((path.removeprefix("resources."), _brief(value)))
    if rows:
        heading("Asked for")
        pairs(rows)


def _brief(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)


@click.command("history", cls=StoreCommand)
@click.argument("job_id", metavar="ID", type=JobId())
@click.option("--show-env", is_flag=True, help="Show the values of variables, too.")
@json_option
@click.pass_obj
def history_command(settings: Settings, job_id: str, *, show_env: bool, as_json: bool) -> int:
    """Tell the story of one job: every fact in the journal, in order."""
    from drover.cli._views import is_array

    with settings.open(engine="none") as session:
        job = session.job(job_id)
        entries = list(session.events(job=job.id) if is_array(job) else job.history())
    if as_json:
        document = _documents.history_document(job.id, entries, show_env=show_env)
        click.echo(_documents.text_of(document))
        return _exits.OK
    from drover.cli._render import Table

    table = Table("SEQ", "AT", "EVENT", "FACTS", right=frozenset({"SEQ"}))
    for entry in entries:
        table.row(entry.seq, _documents.instant(entry.at), entry.name, _facts(entry.event))
    table.print()
    return _exits.OK


def _facts(event: Event) -> str:
    """Sum up what a fact carries, in one line; the specification is for `show`."""
    from attrs import fields

    told: list[str] = []
    for name in (field.name for field in fields(type(event))):
        text = "" if name in {"at", "spec", "base_digest"} else _fact(name, getattr(event, name))
        if text:
            told.append(f"{name}={text}")
    return " ".join(told)


def _fact(name: str, value: object) -> str:
    from drover.models import EndReport, Outcome, Request

    if isinstance(value, Outcome):
        sources = ", ".join(report.source for report in value.evidence)
        return f"{value.describe()}" + (f" (told by {sources})" if sources else "")
    if isinstance(value, Request):
        return f"{value.verb} by {value.by}" + (f": {value.why}" if value.why else "")
    if isinstance(value, EndReport):
        code = "" if value.exit_code is None else f", exit code {value.exit_code}"
        signal = "" if value.signal is None else f", signal {value.signal}"
        return f"{value.source}{code}{signal}"
    if value is None or (hasattr(value, "__len__") and not value):
        return ""
    return _brief(_documents.of_fact(name, value))
