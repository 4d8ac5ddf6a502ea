"""Carry out requests with qdel, qhold, qrls and qmod, and by what the wrapper is told by file."""

import json
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from drover.commandline import Command, Known, Listing, Row, Talk
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import USER, Order, OrderAnswer, Phase, Verb, Verdict
from drover_drmaa._qstat import said

MOST_IDS: Final = 500
"""In one command: far below the limits on a command line."""
TELL: Final = "tell-wrapper"
"""By this name talks leave word for wrappers."""

GRACE_S: Final = 10.0
"""Between TERM and KILL of a cancel that does not say."""
LISTENS_S: Final = 6.0
"""A wrapper that was told to kill its command, and is there so much later, hears nothing."""

Answers = dict[str, OrderAnswer]

COMMANDS: Final[Mapping[Verb, tuple[str, ...]]] = {
    Verb.HOLD: ("qhold", "-h", "u"),
    Verb.RELEASE: ("qrls", "-h", "u"),
    Verb.SUSPEND: ("qmod", "-sj"),
    Verb.RESUME: ("qmod", "-usj"),
    Verb.REQUEUE: ("qmod", "-rj"),
}
DELETE: Final = ("qdel",)
_ALREADY: Final = ("already suspended", "already unsuspended", "already in deletion")
_GONE: Final = ("does not exist", "invalid queue or job", "do not exist")
_UNHEARD: Final = ("unable to", "commlib error", "timeout", "Connection", "can't")


class Patience:
    """How long wrappers may take that were told to end their commands."""

    def __init__(self) -> None:
        self._ends_by: dict[str, float] = {}

    def begin(self, orders: Sequence[Order]) -> None:
        """Note what is asked now."""
        now = time.monotonic()
        for order in orders:
            verb, given = order.request.verb, order.request.grace_s
            if verb not in (Verb.CANCEL, Verb.KILL):
                continue
            grace_s = 0.0 if verb is Verb.KILL else GRACE_S if given is None else given
            ends_by = now + LISTENS_S + grace_s
            token = order.attempt.token
            self._ends_by[token] = min(self._ends_by.get(token, ends_by), ends_by)

    def deaf(self, rows: Sequence[Row], known: Sequence[Known]) -> list[str]:
        """Give the native ids of those that should have ended, once each."""
        now = time.monotonic()
        listing = Listing(rows)
        found: list[str] = []
        for entry in known:
            if self._ends_by.get(entry.token, now) >= now:
                continue
            del self._ends_by[entry.token]
            row = listing.find(entry)
            if row is not None and row.phase is not Phase.ENDED and not row.is_leaving:
                found.append(entry.native_id)
        return found


def told(orders: Sequence[tuple[Known, int, str]], timeout_s: float) -> Command:
    """Leave word for wrappers: a signal for each, and why."""
    lines = [
        {"folder": str(known.folder), "restart": known.restart, "signal": number, "why": why}
        for known, number, why in orders
    ]
    return Command(argv=(TELL,), input=json.dumps(lines).encode("ascii"), timeout_s=timeout_s)


def delete_command(ids: Sequence[str], timeout_s: float) -> Command:
    """Kill jobs, or take them from the queue."""
    return Command(argv=(*DELETE, *ids), timeout_s=timeout_s)


def talk(
    orders: Sequence[Order],
    known: Mapping[str, Known],
    rows: Mapping[str, Row | None],
    timeout_s: float,
) -> Talk[Sequence[OrderAnswer]]:
    """Carry out orders whose jobs were just looked up.

    Args:
        orders: What is to be done.
        known: Each job by its token.
        rows: The row of each job by its token, `None` if it is not there, or is another's.
        timeout_s: Of each command.
    """
    answers: Answers = {}
    groups: dict[tuple[str, ...], list[Order]] = {}
    signals: list[tuple[Known, int, str]] = []
    for order in orders:
        row = rows.get(order.attempt.token)
        answer = at_once(order, row)
        if answer is not None:
            answers[order.request.id] = answer
            continue
        assert row is not None
        number = signal_of(order, row)
        if number is not None:
            signals.append((known[order.attempt.token], number, why_of(order)))
            answers[order.request.id] = _done(order)
            if row.phase is Phase.SUSPENDED:
                # Stopped, it hears nothing; its end would be known by accounting alone.
                groups.setdefault(COMMANDS[Verb.RESUME], []).append(order)
            continue
        words = COMMANDS.get(order.request.verb, DELETE)
        groups.setdefault(words, []).append(order)
    if signals:
        yield told(signals, timeout_s)
    for words, group in groups.items():
        for start in range(0, len(group), MOST_IDS):
            part = group[start : start + MOST_IDS]
            yield from _carry_out(words, part, answers, timeout_s)
    return list(answers.values())


def at_once(order: Order, row: Row | None) -> OrderAnswer | None:
    """Answer what needs no command."""
    verb = order.request.verb
    if row is None or row.phase is Phase.ENDED:
        return answer(order, Verdict.TOO_LATE, "Grid Engine knows no such job any more")
    if verb in (Verb.HOLD, Verb.RELEASE) and row.phase is not Phase.QUEUED:
        return answer(order, Verdict.REFUSED, "it runs already; suspend it, or cancel it")
    if verb is Verb.SUSPEND and row.phase is Phase.QUEUED:
        return answer(order, Verdict.REFUSED, "it does not run yet; hold it, or cancel it")
    if verb is Verb.SIGNAL and row.phase is not Phase.RUNNING:
        return answer(order, Verdict.REFUSED, "only what runs can be signalled")
    if verb is Verb.REQUEUE and row.phase is Phase.QUEUED:
        return answer(order, Verdict.REFUSED, "it waits to be run already")
    if verb is Verb.RETRY:
        return answer(order, Verdict.REFUSED, "Grid Engine knows no such request")
    return None


def why_of(order: Order) -> str:
    """Say whether the end of a command that is signalled now is that of a cancel."""
    return "signal" if order.request.verb in (Verb.SIGNAL, Verb.TERMINATE) else "cancel"


def signal_of(order: Order, row: Row) -> int | None:
    """Say which signal the wrapper is to pass on; `None` where Grid Engine itself acts.

    Grid Engine has KILL alone, at once and for all processes; a wrapper that has not begun, or
    that cannot be let go on, hears nothing.
    """
    verb = order.request.verb
    by_user = row.phase is Phase.SUSPENDED and row.suspended_by == frozenset({USER})
    if not (row.phase is Phase.RUNNING or (by_user and verb.ends_job)) or row.is_leaving:
        return None
    if verb in (Verb.CANCEL, Verb.TERMINATE):
        return int(signal.SIGTERM)
    if verb is Verb.KILL:
        return int(signal.SIGKILL)
    if verb is Verb.SIGNAL:
        return int(order.request.signal or signal.SIGTERM)
    return None


def _carry_out(
    words: tuple[str, ...], group: Sequence[Order], answers: Answers, timeout_s: float
) -> Generator[Command, Completed, None]:
    ids = [order.attempt.native_id or "" for order in group]
    try:
        reply = yield Command(argv=(*words, *ids), timeout_s=timeout_s)
    except UnreachableError:
        return  # No answer: they are asked again. Those that came before have theirs.
    output = f"{reply.stdout}\n{reply.stderr}"
    bad = any(text in output for text in (*_GONE, "denied", "can not be applied", *_UNHEARD))
    if not bad and reply.returncode == 0:
        for order in group:
            answers[order.request.id] = _done(order)
    elif any(text in output for text in _UNHEARD):
        return
    elif len(group) > 1:
        # One of them was the reason: asked again one by one, what is done already does no harm.
        middle = len(group) // 2
        yield from _carry_out(words, group[:middle], answers, timeout_s)
        yield from _carry_out(words, group[middle:], answers, timeout_s)
    else:
        (order,) = group
        verdict = _verdict(output)
        if verdict is not None:
            answers[order.request.id] = answer(order, verdict, " ".join(output.split()))
        else:
            why = " ".join(output.split()) or said(reply)
            answers[order.request.id] = answer(order, Verdict.REFUSED, why)


def _verdict(output: str) -> Verdict | None:
    if any(text in output for text in _ALREADY):
        return Verdict.DONE
    if any(text in output for text in _GONE):
        return Verdict.TOO_LATE
    if "denied" in output or "can not be applied" in output:
        return Verdict.REFUSED
    return None


def _done(order: Order) -> OrderAnswer:
    done = order.request.verb not in (Verb.CANCEL, Verb.TERMINATE, Verb.KILL)
    return answer(order, Verdict.DONE if done else Verdict.SIGNALLED, "")


def answer(order: Order, verdict: Verdict, message: str) -> OrderAnswer:
    """Answer an order."""
    return OrderAnswer(
        token=order.attempt.token, request_id=order.request.id, verdict=verdict, message=message
    )
