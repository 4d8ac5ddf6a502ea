"""All that is known of the batch system: commands are built and replies are read, none executed."""

import re
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from drover.commandline import (
    KILLER,
    Batch,
    Command,
    Known,
    Left,
    Listing,
    Recalled,
    Row,
    Submission,
    Talk,
    TaskSettings,
)
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import (
    Answer,
    Capabilities,
    Claim,
    Diagnosis,
    EndReport,
    Health,
    JobSpec,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Reason,
    Source,
    Verb,
    Verdict,
)
from drover_skeleton import _plan

CAPABILITIES: Final = Capabilities(
    claim=Claim.DIRECTORY,
    verbs=frozenset({Verb.CANCEL, Verb.TERMINATE, Verb.KILL, Verb.SIGNAL}),
    stage_in=True,
    stage_out=True,
    usage=True,
    exit_record=True,
    poll_s=0.2,
    idle_poll_s=1.0,
    missing_grace_s=10.0,
    settle_s=5.0,
    unknown_after_s=5.0,
    environment=("FQ_",),
)
_LINE: Final = re.compile(
    r"(?P<id>\d+) (?P<key>\S+) (?P<word>[A-Z]+) (?P<code>\d+) (?P<at>\d+)", re.ASCII
)
"""ID KEY WORD CODE ENDED-AT. What does not look so is noise."""
_PHASES: Final = {
    "QUEUED": Phase.QUEUED,
    "RUNNING": Phase.RUNNING,
    "ENDED": Phase.ENDED,
    "CANCELLED": Phase.ENDED,
}
"""All words that it has; a word that is not here ends no job."""


class Speech:
    """The batch system, seen through its commands. `drover.commandline.Scheduler` says more."""

    settings = TaskSettings(
        pass_env=("FQ_*",),
        # It goes to every process of a job when the job is to end.
        shared_signals=(signal.SIGTERM,),
    )
    capabilities = CAPABILITIES
    most_elements = 1
    # How a job knows itself on its node.
    native_id = "{FQ_ID}"
    restart = ""
    # There are no arrays here.
    element_id = "{FQ_ID}"
    element_index = "0"
    element_pattern = "{id}"

    def __init__(self, name: str) -> None:
        self._name = name

    def start(self) -> Talk[None]:
        """Learn nothing: there are no limits that one would have to know."""
        yield from ()

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        """Judge a specification."""
        return _plan.plan(self._name, spec, ("fsub", "KEY", spec.label), script.decode())

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        """Ask for nothing: there is nothing to be had but a start."""
        del spec
        return ()

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        """Hand a job over. The three answers are what has to be told apart."""
        words = ("fsub", batch.key, batch.label, *self.options(batch.spec))
        reply = yield Command(argv=words, input=script)
        native_id = reply.stdout.strip()
        if native_id.isdecimal():
            return Submission(answer=Answer.ACCEPTED, native_id=native_id)
        if reply.returncode > 0 and "refused:" in reply.stderr:
            return Submission(answer=Answer.REFUSED, message=reply.stderr.strip())
        # It may have been taken: drover searches for it, and sees to it that it runs once.
        return Submission(answer=Answer.UNKNOWN, message=reply.stderr.strip())

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        """List all jobs with one command, however many are asked for."""
        del known
        return read_list((yield Command(argv=("fq",))))

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        """Ask nobody: what has ended stays in the list, with its code."""
        del left
        yield from ()
        return Recalled()

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        """Search nowhere else than in the list."""
        del keys
        yield from ()
        return {}

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        """Send signals, to many jobs with one command; to none that is not what it was."""
        listing = Listing(read_list((yield Command(argv=("fq",)))))
        answers: list[OrderAnswer] = []
        groups: dict[tuple[str, ...], list[Order]] = {}
        for order in orders:
            row = listing.find(known[order.attempt.token])
            if row is None or row.phase is Phase.ENDED:
                answers.append(_answer(order, Verdict.TOO_LATE))
            else:
                groups.setdefault(_words(order), []).append(order)
        for words, group in groups.items():
            ids = [known[order.attempt.token].native_id for order in group]
            reply = yield Command(argv=(*words, *ids))
            if reply.returncode == 0:
                answers += [_answer(order, Verdict.SIGNALLED) for order in group]
        return answers  # Those without an answer are asked again.

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        """Say in words what is wrong."""
        try:
            rows = read_list((yield Command(argv=("fq",))))
        except UnreachableError as exc:
            cure = "put fsub and fq on PATH, see the README"
            return [
                Diagnosis(subject="fq", health=Health.WARNING, message=exc.why, cure=cure),
            ]
        return [Diagnosis(subject="fq", health=Health.OK, message=f"it lists {len(rows)} jobs")]


def _words(order: Order) -> tuple[str, ...]:
    request = order.request
    if request.verb is Verb.CANCEL:
        return ("fq", "--cancel")
    if request.verb is Verb.SIGNAL and request.signal is not None:
        return ("fq", "--signal", str(int(request.signal)))
    # What would kill the wrapper as well leaves nobody to tell the end: it kills on request.
    number = KILLER if request.verb is Verb.KILL else signal.SIGTERM
    return ("fq", "--signal", str(int(number)))


def _answer(order: Order, verdict: Verdict) -> OrderAnswer:
    done = verdict is Verdict.SIGNALLED and order.request.verb is Verb.SIGNAL
    return OrderAnswer(
        token=order.attempt.token,
        request_id=order.request.id,
        verdict=Verdict.DONE if done else verdict,
    )


def read_list(reply: Completed) -> list[Row]:
    """Read what `fq` printed.

    Raises:
        UnreachableError: It failed, which says nothing about any job.
    """
    if reply.returncode != 0:
        raise UnreachableError("fq", reply.stderr.strip() or f"it ended with {reply.returncode}")
    found = (_LINE.fullmatch(line) for line in reply.stdout.splitlines())
    return [_row(match) for match in found if match is not None]


def _row(match: re.Match[str]) -> Row:
    native_id, word = match["id"], match["word"]
    phase = _PHASES.get(word, Phase.UNKNOWN)
    end = None
    if phase is Phase.ENDED:
        end = EndReport(
            source=Source.QUEUE,
            at=float(match["at"]),
            exit_code=int(match["code"]),
            reason=Reason.CANCELLED if word == "CANCELLED" else None,
            native_id=native_id,
        )
    return Row(
        native_id=native_id,
        submission=native_id,
        key=match["key"],
        phase=phase,
        source=Source.QUEUE,
        word=word,
        end=end,
    )
