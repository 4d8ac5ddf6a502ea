"""The options that describe a job, shared by `run`, `submit` and `plan`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from drover.cli._command import StoreCommand
from drover.cli._params import AfterJob, ArrayIndices, BackendName, Pair, TransferPair

if TYPE_CHECKING:
    from drover.models import JobSpec

Options: TypeAlias = dict[str, Any]
Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

_RETRY_WORDS: Final = ("retry", "retry_backoff", "retry_on", "retry_exit_code")


class SectionOption(click.Option):
    """An option that stands under a title of its own in the help."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class JobCommand(StoreCommand):
    """A command that describes a job: many options, in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            named = isinstance(parameter, click.Option)
            row = parameter.get_help_record(ctx) if named else None
            if row is not None:
                section = getattr(parameter, "section", "Options")
                sections.setdefault(section, []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _option(section: str, *names: str, **kwargs: Any) -> Decorator:
    kwargs.setdefault("default", None)
    return click.option(*names, cls=SectionOption, section=section, **kwargs)


def _many(section: str, *names: str, **kwargs: Any) -> Decorator:
    return click.option(*names, cls=SectionOption, section=section, multiple=True, **kwargs)


def _flag(section: str, *names: str, **kwargs: Any) -> Decorator:
    return click.option(*names, cls=SectionOption, section=section, is_flag=True, **kwargs)


_JOB, _FILES, _RES, _WHEN, _HOW = (
    "The job",
    "Files and environment",
    "Resources",
    "When and how often",
    "Where and how",
)
_OPTIONS: Final[tuple[Decorator, ...]] = (
    _option(_JOB, "--name", help="For people. [default: the command's name]"),
    _many(_JOB, "--tag", metavar="TAG", help="To find it again; may be repeated."),
    _option(_JOB, "--key", help="Unique in the store: the same key gives the same job."),
    _option(_FILES, "--cwd", metavar="DIR", help="Working directory. [default: this one]"),
    _many(_FILES, "--env", metavar="NAME[=VALUE]", help="Set a variable, or pass on this one's."),
    _flag(_FILES, "--no-inherit-env", help="Start from an empty environment."),
    _option(_FILES, "--stdin", metavar="FILE", help="Read standard input from a file."),
    _option(_FILES, "--stdout", metavar="FILE", help="Write stdout to a file; %j id, %a index."),
    _option(_FILES, "--stderr", metavar="FILE", help="Write stderr to a file; %j id, %a index."),
    _flag(_FILES, "--join", help="Send stderr where stdout goes."),
    _many(
        _FILES,
        "--input",
        type=TransferPair(),
        metavar="SOURCE:TARGET",
        help="Bring a file to the job.",
    ),
    _many(
        _FILES,
        "--output",
        type=TransferPair(),
        metavar="SOURCE:TARGET",
        help="Bring a file back.",
    ),
    _option(_RES, "--tasks", type=int, help="Processes that the launcher starts."),
    _option(_RES, "--cpus", type=int, help="CPUs per task."),
    _option(_RES, "--gpus", type=int, help="GPUs per task."),
    _option(_RES, "--memory", metavar="SIZE", help="Memory per node, such as 8GiB."),
    _option(_RES, "--disk", metavar="SIZE", help="Scratch space per node."),
    _option(_RES, "--nodes", type=int, help="Nodes."),
    _option(_RES, "--wall-time", metavar="TIME", help="Longest run, such as 90s or 2h."),
    _flag(_RES, "--exclusive", help="Share the nodes with nobody."),
    _option(_RES, "--queue", help="Queue or partition."),
    _option(_RES, "--account", help="Who pays."),
    _option(_RES, "--reservation", help="A reservation to run in."),
    _option(_RES, "--priority", type=int, help="Higher goes first."),
    _many(
        _WHEN,
        "--after",
        type=AfterJob(),
        metavar="ID[:CONDITION]",
        help="Wait for a job to have succeeded, failed or ended.",
    ),
    _option(
        _WHEN,
        "--array",
        type=ArrayIndices(),
        metavar="INDICES[%N]",
        help="One job per index: 0-9, 0-9:3 or 1,4,7; or a count: 20 is 0-19. At most N at a time.",
    ),
    _option(_WHEN, "--retry", type=click.IntRange(0), help="Runs to add where one fails."),
    _option(_WHEN, "--retry-backoff", metavar="TIME", help="Delay before a retry; it doubles."),
    _many(_WHEN, "--retry-on", metavar="REASON", help="Retry on this reason only."),
    _many(_WHEN, "--retry-exit-code", type=int, help="Retry on this exit code only."),
    _flag(_WHEN, "--requeue", help="The scheduler may run it again; it may then run twice."),
    _flag(_WHEN, "--hold", help="Keep it until `drover release`."),
    _option(_WHEN, "--not-before", metavar="WHEN", help="ISO 8601 with a zone, or +TIME."),
    _option(_WHEN, "--deadline", metavar="WHEN", help="End it then; ISO 8601, or +TIME."),
    _option(_WHEN, "--period", metavar="TIME", help="Run it again and again."),
    _option(_WHEN, "--expires-after", metavar="TIME", help="Forget it so long after its end."),
    _option(_HOW, "--backend", type=BackendName(), help="Where to run it."),
    _option(_HOW, "--launcher", help="What starts the tasks: mpirun, srun..."),
    _option(_HOW, "--pre-launch", metavar="FILE", help="Shell script to source before."),
    _option(_HOW, "--post-launch", metavar="FILE", help="Shell script to source after."),
    _option(_HOW, "--container", metavar="IMAGE", help="Image to run in."),
    _many(
        _HOW,
        "--native",
        type=Pair("=", "[BACKEND:]KEY=VALUE"),
        metavar="[BACKEND:]KEY=VALUE",
        help="An option of the backend's own.",
    ),
    _many(_HOW, "--allow", metavar="FIELD", help="Accept that this field has no effect."),
)


def job_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option that describes a job, and the command itself, to a command."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[--] CMD...")(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json` to a command."""
    decorate = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON; docs/reference/json-schema.json describes it.",
    )
    return decorate(function)


def spec_of(options: Options, default_backend: str) -> JobSpec:
    """Make the specification that the options describe.

    Args:
        options: By name, as click gives them; what was not given is `None` or empty.
        default_backend: Whose `--native` options are where none is named.

    Raises:
        UsageError: No command was given.
        InvalidSpecError: A value cannot be used.
    """
    from drover.models import JobSpec, Resources

    if not options["argv"]:
        raise click.UsageError("no command given; write it after --", click.get_current_context())
    fields: Options = {
        "argv": options["argv"],
        "name": options["name"],
        "cwd": options["cwd"],
        "env": _environment(options["env"]),
        "inherit_env": not options["no_inherit_env"],
        "join_output": options["join"],
        "resources": Resources(**_given(options, _RESOURCES)),
        "inputs": options["input"],
        "outputs": options["output"],
        "tags": options["tag"],
        "not_before": _instant("not_before", options["not_before"]),
        "deadline": _instant("deadline", options["deadline"]),
        "native": _native(options["native"], options["backend"] or default_backend),
        **_given(options, _SAME_NAMES),
        **_retry(options),
    }
    return JobSpec(**fields)


_RESOURCES: Final = (
    "tasks",
    "cpus",
    "gpus",
    "memory",
    "disk",
    "nodes",
    "wall_time",
    "exclusive",
    "queue",
    "account",
    "reservation",
    "priority",
)
_SAME_NAMES: Final = (
    "stdin",
    "stdout",
    "stderr",
    "launcher",
    "pre_launch",
    "post_launch",
    "after",
    "array",
    "requeue",
    "hold",
    "period",
    "expires_after",
    "container",
)


def _given(options: Options, names: tuple[str, ...]) -> Options:
    return {name: options[name] for name in names if options[name] is not None}


def _environment(words: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE`, or `NAME` for the value that it has here."""
    chosen: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign and name not in os.environ:
            raise click.BadParameter(
                f"{name!r} is not set here; write NAME=VALUE", param_hint="--env"
            )
        chosen[name] = value if sign else os.environ[name]
    return chosen


def _instant(field: str, text: str | None) -> float | None:
    """Read an instant, or `+TIME` from now."""
    from drover.models import parse_instant, parse_seconds

    if text is None:
        return None
    if text.startswith("+"):
        return time.time() + parse_seconds(field, text[1:])
    return parse_instant(field, text)


def _retry(options: Options) -> Options:
    """Make the `retry` field from its options; nothing where none was given."""
    from drover.models import Retry, parse_seconds

    if not any(options[word] for word in _RETRY_WORDS):
        return {}
    chosen: Options = {"attempts": 1 + (1 if options["retry"] is None else options["retry"])}
    if options["retry_on"]:
        chosen["on"] = [word.upper() for word in options["retry_on"]]
    if options["retry_exit_code"]:
        chosen["exit_codes"] = options["retry_exit_code"]
    if options["retry_backoff"]:
        chosen["backoff_s"] = parse_seconds("retry.backoff_s", options["retry_backoff"])
    return {"retry": Retry(**chosen)}


def _native(pairs: tuple[tuple[str, str], ...], backend: str) -> dict[str, dict[str, Any]]:
    """Sort `[BACKEND:]KEY=VALUE` by backend; numbers, true and false get their type."""
    chosen: dict[str, dict[str, Any]] = {}
    for name, text in pairs:
        owner, _, key = name.rpartition(":")
        chosen.setdefault(owner or backend, {})[key] = _typed(text)
    return chosen


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
