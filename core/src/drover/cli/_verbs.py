"""`drover cancel`, `hold`, `release`, `suspend`, `resume`, `requeue`, `signal`: requests."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import JobId, seconds_of

if TYPE_CHECKING:
    from drover.cli._settings import Settings
    from drover.models import CancelVerdict, Verb

_TIMEOUT: Final = "30s"


def ids_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `ID...` to a command."""
    return click.argument("job_ids", metavar="ID...", nargs=-1, required=True, type=JobId())(
        function
    )


def _timeout_option(function: Callable[..., Any]) -> Callable[..., Any]:
    decorate = click.option(
        "--timeout",
        metavar="TIME",
        default=_TIMEOUT,
        show_default=True,
        help="Longest wait for the answer; the request stands all the same.",
    )
    return decorate(function)


@click.command("cancel", cls=StoreCommand)
@ids_argument
@click.option("--grace", metavar="TIME", help="Between TERM and KILL. [default: the backend's]")
@click.option("--kill", is_flag=True, help="KILL at once.")
@click.option("--term", is_flag=True, help="TERM alone, no KILL after it.")
@click.option("--why", default="", help="For the job's story.")
@_timeout_option
@json_option
@click.pass_obj
def cancel_command(settings: Settings, /, **options: Any) -> int:
    """End jobs, with the verdict on each.

    TERM to the whole process tree, then KILL after a grace. Exits with 0 if all are gone,
    1 if one is not (still ending, or refused). A job that had ended by itself is gone.
    """
    from drover.models import Verb

    if options["kill"] and options["term"]:
        raise click.UsageError("--kill and --term exclude each other")
    verb = Verb.KILL if options["kill"] else Verb.TERMINATE if options["term"] else Verb.CANCEL
    return _ask(settings, verb, options, grace_s=seconds_of("--grace", options["grace"]))


def _ask(settings: Settings, verb: Verb, options: dict[str, Any], **details: Any) -> int:
    """Ask something of jobs and tell what came of it."""
    from drover.cli._views import elements_of, jobs_named

    timeout = seconds_of("--timeout", options["timeout"]) or 0.0
    with settings.open() as session:
        # All are looked up before the first is asked: a mistyped id changes nothing.
        jobs = elements_of(jobs_named(session, options["job_ids"]))
        verdicts = session.ask(jobs, verb, timeout=timeout, why=options.get("why", ""), **details)
    from drover.cli._terminal import shown

    if options["as_json"]:
        click.echo(_documents.text_of(_documents.verdicts_document(verb, verdicts)))
    else:
        for verdict in verdicts:
            click.echo(f"{verdict.job}  {shown(str(verdict))}")
    return _exits.OK if all(_granted(verb, entry) for entry in verdicts) else _exits.UNSUCCESSFUL


def _granted(verb: Verb, verdict: CancelVerdict) -> bool:
    from drover.models import Verdict

    return verdict.gone if verb.ends_job else verdict.verdict is Verdict.DONE


def _plain_verb(name: str, help_text: str) -> click.Command:
    """Make the command of a verb that needs nothing but the jobs."""

    @click.command(name, cls=StoreCommand, help=help_text)
    @ids_argument
    @click.option("--why", default="", help="For the job's story.")
    @_timeout_option
    @json_option
    @click.pass_obj
    def command(settings: Settings, /, **options: Any) -> int:
        from drover.models import Verb

        return _ask(settings, Verb(name), options)

    return command


_ENDS: Final = "\n\nExits with 0 if it is so for all, 1 if it was refused or is not so yet."
hold_command = _plain_verb("hold", "Keep jobs from starting until `drover release`." + _ENDS)
release_command = _plain_verb("release", "Let held jobs go." + _ENDS)
suspend_command = _plain_verb("suspend", "Stop running jobs; they keep their memory." + _ENDS)
requeue_command = _plain_verb(
    "requeue", "Let the scheduler run jobs again that were submitted with requeue." + _ENDS
)
resume_command = _plain_verb("resume", "Let suspended jobs go on." + _ENDS)


@click.command("signal", cls=StoreCommand)
@click.argument("signal_name", metavar="SIGNAL")
@ids_argument
@click.option("--why", default="", help="For the job's story.")
@_timeout_option
@json_option
@click.pass_obj
def signal_command(settings: Settings, /, signal_name: str, **options: Any) -> int:
    """Send SIGNAL (USR1, SIGUSR1 or 10) to running jobs.

    Exits with 0 if it was sent to all, 1 if not.
    """
    from drover.models import Verb

    return _ask(settings, Verb.SIGNAL, options, signal=_signal_number(signal_name))


def _signal_number(word: str) -> int:
    """Read a signal's number or name, with or without SIG."""
    if word.isdecimal() and 0 < int(word) < signals.NSIG:
        return int(word)
    name = word.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    known: Sequence[str] = [entry.name for entry in signals.Signals]
    if name not in known:
        raise click.BadParameter(f"{word!r} is no signal of this system", param_hint="SIGNAL")
    return signals.Signals[name].value
