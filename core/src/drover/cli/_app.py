"""The table of all commands."""

import sys
from typing import Final

import click

from drover.cli._command import LateCommand, LateGroup
from drover.cli._settings import Settings


def _late(name: str, module: str, summary: str) -> tuple[str, LateCommand]:
    attribute = name.replace("-", "_") + "_command"
    return name, LateCommand(f"drover.cli.{module}", attribute, summary)


SECTIONS: Final = (
    (
        "Run",
        (
            _late("run", "_run", "Run a command as a job, stream its output, exit as it does."),
            _late("submit", "_submit", "Hand in a job and print its id."),
            _late("plan", "_submit", "Show what a backend would do with a job, and do nothing."),
            _late("demo", "_demo", "Run a few hundred real jobs and show how each kind ended."),
        ),
    ),
    (
        "Watch",
        (
            _late("ps", "_jobs", "List jobs: the unfinished and the latest."),
            _late("show", "_jobs", "Tell all that is known of one job."),
            _late("history", "_jobs", "Tell the story of one job, fact by fact."),
            _late("logs", "_logs", "Print a job's output, or follow it."),
            _late("wait", "_wait", "Wait until jobs have ended."),
            _late("top", "_top", "Watch all jobs live."),
        ),
    ),
    (
        "Steer",
        (
            _late("cancel", "_verbs", "End jobs: TERM, then KILL after a grace."),
            _late("hold", "_verbs", "Keep jobs from starting."),
            _late("release", "_verbs", "Let held jobs go."),
            _late("suspend", "_verbs", "Stop running jobs for a while."),
            _late("resume", "_verbs", "Let suspended jobs go on."),
            _late("requeue", "_verbs", "Let the scheduler run jobs again."),
            _late("signal", "_verbs", "Send a signal to running jobs."),
            _late("retry", "_settle", "Run jobs that have ended once more."),
            _late("approve", "_settle", "Say yes to jobs that await approval."),
            _late("resolve", "_settle", "Say how a lost job ended."),
            _late("purge", "_settle", "Forget jobs that have ended, with their output."),
        ),
    ),
    (
        "Set up",
        (
            _late("backends", "_backends", "List the backends and what they can do."),
            _late("doctor", "_backends", "Find out what is wrong and how to mend it."),
            _late("check", "_check", "Run the conformance kit on a backend."),
            _late("engine", "_engine_group", "See, stop or restart the engine of the store."),
            _late("config", "_config_group", "See the configuration and where it comes from."),
            _late("serve", "_serve_group", "Start a server that a distribution brings."),
            _late("plugin", "_plugin_group", "Begin a plugin of your own."),
            _late("completion", "_completion", "Print the completion script of your shell."),
        ),
    ),
)
"""Every command by section, in the order of the help."""


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from drover.cli._version import version_line

        sys.stdout.write(version_line() + "\n")
        context.exit()


@click.command(
    cls=LateGroup,
    late=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 well; 1 a job did not succeed or a request was not granted; 2 usage; "
    "3 no such job; 4 backend; 5 store; 6 plugin; 124 timed out; 130 interrupted. "
    "`drover run` exits with the job's own code, 128 + the signal that ended it, or 122 lost, "
    "124 over its time, 125 drover's own failure, 126 never started.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def app(context: click.Context) -> None:
    """Run commands as jobs, here or on any cluster, under one lifecycle.

    Ids may be shortened. Every command takes --home DIR, and --json where it tells something.
    """
    context.ensure_object(Settings)
