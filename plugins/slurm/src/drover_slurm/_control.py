"""Carry out requests with scancel and scontrol, many with one command."""

import math
import signal
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from drover.commandline import FORWARDED, KILLER, Command, Known, Row, Talk
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import Order, OrderAnswer, Phase, Verb, Verdict
from drover_slurm._queue import said

MOST_IDS: Final = 1000
"""In one command: far below the limits on a command line."""
SHARED: Final = (signal.SIGTERM,)
"""It goes to all processes of a job that is to end, where Slurm does not use control groups."""
_TO_ALL: Final = frozenset({
    signal.SIGSTOP, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH,
})  # fmt: skip
"""Whoever does not wait for them is stopped or takes no notice: so does the wrapper, which is
stopped by STOP alone, as its process group is nobody's job."""

Answers = dict[str, OrderAnswer]
Target = tuple[str, Sequence[Order]]
"""An id, and the orders that are carried out by naming it."""


def talk(
    orders: Sequence[Order],
    known: Mapping[str, Known],
    rows: Mapping[str, Row | None],
    timeout_s: float,
    shared: Sequence[int] = SHARED,
    *,
    kill_wait_s: float = math.inf,
) -> Talk[Sequence[OrderAnswer]]:
    """Carry out orders whose jobs were just looked up.

    Args:
        orders: What is to be done.
        known: Each job by its token.
        rows: The row of each job by its token, `None` if it is not there, or is another's.
        timeout_s: Of each command.
        shared: Signals that the wrapper does not pass on.
        kill_wait_s: How long Slurm itself waits between TERM and KILL.
    """
    answers: Answers = {}
    groups: dict[tuple[str, ...], list[Order]] = {}
    for order in orders:
        row = rows.get(order.attempt.token)
        answer = _at_once(order, row)
        if answer is not None:
            answers[order.request.id] = answer
        elif row is not None:
            words = _words(order, row, shared, kill_wait_s)
            groups.setdefault(words, []).append(order)
    for words, group in groups.items():
        targets = _targets(group, known)
        for start in range(0, len(targets), MOST_IDS):
            part = targets[start : start + MOST_IDS]
            yield from _carry_out(words, part, answers, timeout_s)
    return list(answers.values())


def _targets(group: Sequence[Order], known: Mapping[str, Known]) -> list[Target]:
    """Name what a command is about: a whole array by its own id, if all of it is meant."""
    arrays: dict[str, list[Order]] = {}
    for order in group:
        arrays.setdefault(known[order.attempt.token].submission, []).append(order)
    targets: list[Target] = []
    for array_id, orders in arrays.items():
        entry = known[orders[0].attempt.token]
        # One that is asked for twice stands for no other.
        if entry.size > 1 and len({o.attempt.token for o in orders}) == entry.size:
            targets.append((array_id, orders))
        else:
            targets += [(known[o.attempt.token].native_id, [o]) for o in orders]
    return targets


def _at_once(order: Order, row: Row | None) -> OrderAnswer | None:
    """Answer what needs no command."""
    verb = order.request.verb
    if row is None or row.phase is Phase.ENDED:
        return _answer(order, Verdict.TOO_LATE, "Slurm knows no such job any more")
    if verb in (Verb.HOLD, Verb.RELEASE) and row.phase is not Phase.QUEUED:
        return _answer(order, Verdict.REFUSED, "it runs already; suspend it, or cancel it")
    number = order.request.signal or signal.SIGTERM
    if verb is Verb.SIGNAL and number not in FORWARDED | _TO_ALL | {signal.SIGKILL}:
        why = f"the wrapper of a job cannot pass signal {int(number)} on"
        return _answer(order, Verdict.REFUSED, why)
    if verb is Verb.RETRY:
        return _answer(order, Verdict.REFUSED, "Slurm knows no such request")
    return None


_COMMANDS: Final[Mapping[Verb, tuple[str, ...]]] = {
    Verb.CANCEL: ("scancel",),
    Verb.HOLD: ("scontrol", "uhold"),
    Verb.RELEASE: ("scontrol", "release"),
    Verb.SUSPEND: ("scontrol", "suspend"),
    Verb.REQUEUE: ("scontrol", "requeue"),
    Verb.RESUME: ("scontrol", "resume"),
}


def _words(order: Order, row: Row, shared: Sequence[int], kill_wait_s: float) -> tuple[str, ...]:
    """Say by which command an order is carried out, without the ids."""
    verb, runs = order.request.verb, row.phase is Phase.RUNNING and not row.is_leaving
    if verb is Verb.CANCEL and runs and (order.request.grace_s or 0.0) > kill_wait_s:
        # Slurm's own cancel would kill too early; the wrapper does when that grace is over.
        return _signal(signal.SIGTERM, shared)
    if verb is Verb.RESUME and row.word.startswith("STOPPED"):
        return _signal(signal.SIGCONT)
    if verb in _COMMANDS:
        return _COMMANDS[verb]
    if verb is Verb.SIGNAL:
        return _signal(order.request.signal or signal.SIGTERM, shared)
    if not runs:
        return _COMMANDS[Verb.CANCEL]
    # Asked for KILL, Slurm sends TERM and waits; the wrapper kills at once.
    return _signal(signal.SIGKILL if verb is Verb.KILL else signal.SIGTERM, shared)


def _signal(number: int, shared: Sequence[int] = ()) -> tuple[str, ...]:
    """Signal a job: our wrapper, which passes it on, or all its processes."""
    if number == signal.SIGKILL:
        number = KILLER  # It ends the command, whose end the wrapper lives to tell.
    reach = "--full" if number in _TO_ALL.union(shared) else "--batch"
    return ("scancel", f"--signal={int(number)}", reach)


def _carry_out(
    words: tuple[str, ...], targets: Sequence[Target], answers: Answers, timeout_s: float
) -> Generator[Command, Completed, None]:
    ids = [native_id for native_id, _ in targets]
    group = [order for _, orders in targets for order in orders]
    argv = (*words, *ids) if words[0] == "scancel" else (*words, ",".join(ids))
    try:
        reply = yield Command(argv=argv, timeout_s=timeout_s)
    except UnreachableError:
        return  # No answer: they are asked again. Those that came before have theirs.
    if reply.returncode == 0:
        for order in group:
            answers[order.request.id] = _done(order)
    elif _is_unheard(reply):
        return
    elif words == _COMMANDS[Verb.SUSPEND] and "ermission" in reply.stderr:
        # Operators alone may do that; anybody may stop his own processes.
        yield from _carry_out(_signal(signal.SIGSTOP), targets, answers, timeout_s)
    elif len(group) > 1:
        # One of them was the reason; which one, the exit code does not say.
        if len(targets) == 1:
            targets = [(order.attempt.native_id or "", [order]) for order in group]
        half = len(targets) // 2
        yield from _carry_out(words, targets[:half], answers, timeout_s)
        yield from _carry_out(words, targets[half:], answers, timeout_s)
    else:
        (order,) = group
        why = said(reply)
        late = "Invalid job id" in why or "already" in why.lower()
        verdict = Verdict.TOO_LATE if late else Verdict.REFUSED
        answers[order.request.id] = _answer(order, verdict, why)


def _is_unheard(reply: Completed) -> bool:
    # "Unexpected message" is all that scontrol says of a controller that is away.
    words = (
        "Unable to contact", "Socket timed out", "authentication error", "Connection",
        "Unexpected message",
    )  # fmt: skip
    return any(text in reply.stderr for text in words)


def _done(order: Order) -> OrderAnswer:
    done = order.request.verb not in (Verb.CANCEL, Verb.TERMINATE, Verb.KILL)
    return _answer(order, Verdict.DONE if done else Verdict.SIGNALLED, "")


def _answer(order: Order, verdict: Verdict, message: str) -> OrderAnswer:
    return OrderAnswer(
        token=order.attempt.token, request_id=order.request.id, verdict=verdict, message=message
    )
