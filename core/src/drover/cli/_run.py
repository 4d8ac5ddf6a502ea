"""`drover run`: a command as a job, streamed, with the job's exit code."""

from __future__ import annotations

import sys
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import click

from drover.cli import _exits
from drover.cli._interrupts import finishing
from drover.cli._options import (
    Decorator,
    JobCommand,
    SectionOption,
    job_options,
    json_option,
    spec_of,
)
from drover.cli._terminal import can_ask, complain, is_terminal

if TYPE_CHECKING:
    from drover.cli._settings import Settings
    from drover.cli._stream import Pump
    from drover.models import JobSpec
    from drover.session import Job, JobArray, Session

_STREAMS: Final[tuple[str, ...]] = ("stdout", "stderr")


def _terminal_option(*names: str, **kwargs: Any) -> Decorator:
    return click.option(*names, cls=SectionOption, section="Terminal", **kwargs)


@click.command(
    "run",
    cls=JobCommand,
    context_settings={"allow_interspersed_args": False},
    epilog="Exit code: the job's own; 128 + the signal that ended it; 122 lost; 124 over its wall "
    "time or deadline; 125 drover itself failed; 126 the command was never started; 130 detached. "
    "An array gives the code of its first element that did not succeed.",
)
@job_options
@_terminal_option(
    "--on-interrupt",
    type=click.Choice(["ask", "detach", "cancel"]),
    default="ask",
    show_default=True,
    help="What Ctrl-C does. Where nobody can be asked, `ask` detaches. Twice always cancels.",
)
@_terminal_option(
    "--raw",
    is_flag=True,
    help="Let the output drive the terminal (colours, cursor); else its controls are shown.",
)
@_terminal_option("--quiet", "-q", is_flag=True, help="Say nothing of our own on stderr.")
@json_option
@click.pass_obj
def run_command(settings: Settings, /, **options: Any) -> int:
    """Run CMD as a job, stream its output, and exit with its exit code.

    stdout goes to stdout and stderr to stderr, byte by byte unless they are a terminal. Several
    elements of an array are printed one after the other, in order. With --json the output is
    not streamed; the job's document is printed when it has ended. CMD's own stdin is empty, as
    the job may outlive this terminal: give --stdin FILE.
    """
    with settings.open(backend=options["backend"]) as session:
        spec = spec_of(options, session.default_backend)
        with finishing() as interrupted:
            job = submitted(session, spec, options)
        return _Watch(session, job, spec, options).to_the_end(was_interrupted=interrupted())


def submitted(session: Session, spec: JobSpec, options: dict[str, Any]) -> Job | JobArray:
    """Hand *spec* in as the options say."""
    return session.submit(
        spec, backend=options["backend"], key=options["key"], allow=options["allow"]
    )


class _Answer(Enum):
    """What to do about Ctrl-C."""

    DETACH = auto()
    CANCEL = auto()
    GO_ON = auto()


class _Watch:
    """One run from the submission to its exit code."""

    def __init__(
        self, session: Session, job: Job | JobArray, spec: JobSpec, options: dict[str, Any]
    ) -> None:
        from drover.cli._views import elements_of

        self._session, self._options, self._id = session, options, job.id
        self._elements = elements_of([job])
        self._streams = _STREAMS[:1] if spec.join_output else _STREAMS
        if options["as_json"]:
            self._streams = ()
        self._job = job
        self._shown = 0
        self._pump: Pump | None = None
        self._cancelled = False
        self._told: set[str] = set()

    def to_the_end(self, *, was_interrupted: bool = False) -> int:
        """Stream until all has ended, or the user detaches.

        Args:
            was_interrupted: Whether Ctrl-C was typed while the job was being submitted.
        """
        if was_interrupted and self._leaves():
            return _exits.INTERRUPTED
        while True:
            try:
                self._stream()
                return self._close()
            except BrokenPipeError:
                if not all(element.state.ends_wait for element in self._elements):
                    self._say(
                        f"nobody reads the output any more; job {self._id} goes on. "
                        f"To end it: drover cancel {self._id}"
                    )
                raise
            except KeyboardInterrupt:
                if self._leaves():
                    return _exits.INTERRUPTED

    def _leaves(self) -> bool:
        """Do what Ctrl-C means, and tell whether that is to leave the job alone."""
        answer = self._ask()
        if answer is _Answer.DETACH:
            self._say(f"detached; job {self._id} goes on. See: drover logs -f {self._id}")
        elif answer is _Answer.CANCEL:
            self._cancel()
        return answer is _Answer.DETACH

    def _stream(self) -> None:
        """Copy the output of one element after the other, from where an interrupt left it."""
        from drover.cli._stream import Pump, follow

        while self._shown < len(self._elements):
            element = self._elements[self._shown]
            if self._pump is None:
                self._pump = Pump(element, self._streams, raw=self._options["raw"], from_attempt=1)
            follow(self._session, element, self._pump, self._tell)
            self._pump = None
            self._shown += 1

    def _tell(self, job: Job) -> None:
        """Name what keeps a job from starting, once."""
        from drover.cli._views import trouble_with
        from drover.states import UNPLACED, State

        record = job.record
        is_placed = record.state not in UNPLACED
        messages = [] if is_placed else list(trouble_with(self._session, [record]))
        waits = record.hold or not (is_placed or record.state is State.NEW)
        if waits and is_terminal(sys.stderr):
            held = f", held by {' and '.join(sorted(record.hold))}" if record.hold else ""
            messages.append(f"job {job.id} is {record.state}{held}")
        for message in messages:
            if message not in self._told:
                self._told.add(message)
                self._say(message)

    def _ask(self) -> _Answer:
        """Decide what Ctrl-C means."""
        chosen = self._options["on_interrupt"]
        if self._cancelled or chosen == "detach":
            return _Answer.DETACH
        if chosen == "cancel":
            return _Answer.CANCEL
        if not can_ask():
            return _Answer.DETACH
        sys.stderr.write(f"\ndrover: job {self._id}: [d]etach, [c]ancel, or Enter to go on? ")
        sys.stderr.flush()
        try:
            word = sys.stdin.readline()
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            return _Answer.CANCEL
        if not word or word.strip().lower() in ("d", "detach"):
            return _Answer.DETACH
        cancel = word.strip().lower() in ("c", "cancel")
        return _Answer.CANCEL if cancel else _Answer.GO_ON

    def _cancel(self) -> None:
        """Ask for the end and go on streaming: the last output and the true end still come."""
        self._cancelled = True
        self._say(f"cancelling job {self._id}; Ctrl-C again leaves it to the engine")
        self._session.cancel([self._job], timeout=0.0)

    def _close(self) -> int:
        """Say what is not plain from the exit code, and give that code."""
        from drover.cli import _documents

        codes = [_exits.of_job(element.state, element.outcome) for element in self._elements]
        if self._options["as_json"]:
            records = [element.record for element in self._elements]
            single = _documents.of_job(records[0])
            document = single if len(records) == 1 else _documents.jobs_document(records)
            click.echo(_documents.text_of(document))
        for element in self._elements:
            self._explain(element)
        return next((code for code in codes if code), _exits.OK)

    def _explain(self, job: Job) -> None:
        from drover.models import Reason

        outcome = job.outcome
        if outcome is None or outcome.reason is not Reason.EXITED or outcome.message:
            how = outcome.describe() if outcome else "nobody can say how it ended"
            self._say(f"job {job.id} is {job.state}: {how}")

    def _say(self, message: str) -> None:
        if not self._options["quiet"]:
            complain(message)
