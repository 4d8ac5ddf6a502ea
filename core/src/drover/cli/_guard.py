"""The outermost ring: every error becomes one line and one exit code."""

import os
import sys
import traceback
from typing import TextIO

import click

from drover.cli import _exits
from drover.cli._terminal import complain


def guarded(words: list[str]) -> int:
    """Run the command line *words*; never show a traceback unless `DROVER_DEBUG` is set."""
    from drover.cli._app import app
    from drover.errors import DroverError

    _tolerate_undecodable()
    own = _exits.OWN_FAILURE if _runs_a_job(words) else None
    try:
        code = _called(app, words)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        code = _usage(error)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\n")
        return _exits.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return _exits.BROKEN_PIPE
    except DroverError as error:
        _debug()
        complain(str(error))
        code = _exits.of_error(error)
    except Exception as error:  # noqa: BLE001 - the outermost ring: a bug becomes one line
        code = _surprise(error)
    else:
        return code
    return code if own is None else own


def _called(app: click.Group, words: list[str]) -> int:
    """Run the command line; what a command returns is its exit code."""
    instruction = os.environ.get("_DROVER_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "drover", "_DROVER_COMPLETE", instruction)
    with app.make_context("drover", words) as context:
        result = app.invoke(context)
    return result if isinstance(result, int) else _exits.OK


def _runs_a_job(words: list[str]) -> bool:
    """Tell whether this is `drover run`, whose exit code is the job's own."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--home":
            skip = True
        elif not word.startswith("-"):
            return word == "run"
    return False


def _usage(error: click.ClickException) -> int:
    """Show what is wrong with the command line, and where to read on."""
    complain(error.format_message())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        sys.stderr.write(f"Try: {context.command_path} --help\n")
    return error.exit_code if isinstance(error, click.UsageError) else _exits.USAGE


def _surprise(error: Exception) -> int:
    """Report what nobody raised on purpose: the system's refusal, or our own bug."""
    _debug()
    if isinstance(error, OSError):
        complain(str(error))
        return _exits.SYSTEM
    complain(
        f"internal error: {type(error).__name__}: {error}. This is a bug in drover; "
        "DROVER_DEBUG=1 shows where"
    )
    return _exits.BUG


def _debug() -> None:
    if os.environ.get("DROVER_DEBUG"):
        traceback.print_exc()


def _tolerate_undecodable() -> None:
    """Let names that are no UTF-8, or do not fit the terminal's charset, be printed somehow."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    """Keep the interpreter from complaining about the same pipe again when it leaves."""
    stream: TextIO | None = sys.stdout
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
