"""Carry requests out: by files that come to the running instance, else by an abort."""

import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from drover.errors import BackendError
from drover.models import Order, OrderAnswer, Phase, Verb, Verdict
from drover_qarnot._book import Book, Member
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._handing import Handing
from drover_qarnot._names import OURS, bucket_name, native_id_of, run_prefix
from drover_qarnot._observing import Instance, phase_of, read_instance

ABORT_MARGIN_S: Final = 10.0
"""After a grace, for the request to arrive and the command's end to be told, before the abort."""
SIGNALS: Final[Mapping[Verb, tuple[int, str]]] = {
    Verb.CANCEL: (int(signal.SIGTERM), "cancel"),
    Verb.TERMINATE: (int(signal.SIGTERM), "signal"),
    Verb.KILL: (int(signal.SIGKILL), "signal"),
    Verb.SUSPEND: (int(signal.SIGSTOP), "suspend"),
    Verb.RESUME: (int(signal.SIGCONT), "resume"),
}


class Control:
    """Obey orders, and abort what does not end by itself."""

    def __init__(
        self, store_id: str, cloud: Cloud, book: Book, handing: Handing, grace_s: float
    ) -> None:
        self._bucket = bucket_name(store_id, "in")
        self._cloud = cloud
        self._book = book
        self._handing = handing
        self._grace_s = grace_s

    def obey(self, orders: Sequence[Order], at: float) -> list[OrderAnswer]:
        """Carry out requests, those for one task together."""
        members = self._book.members([order.attempt.token for order in orders])
        ending = {o.attempt.token for o in orders if o.request.verb.ends_job}
        for order in orders:
            member = members.get(order.attempt.token)
            if member is not None and order.attempt.token in ending and _is_same(order, member):
                self._book.note_ending(member.token, _ending(order, at, self._grace_s))
        answers: list[OrderAnswer] = []
        tasks: dict[str, Any] = {}
        touched = set[str]()
        for order in orders:
            member = members.get(order.attempt.token)
            try:
                answers.append(self._obey(order, member, tasks, touched))
            except BackendError:
                continue  # Without an answer it is asked again.
            except RefusedError as error:
                answers.append(_answer(order, Verdict.REFUSED, str(error)))
        for name in touched:
            self._deliver(tasks[name])
        return answers

    def _obey(
        self, order: Order, member: Member | None, tasks: dict[str, Any], touched: set[str]
    ) -> OrderAnswer:
        if member is None or not member.posted or not _is_same(order, member):
            return _answer(order, Verdict.TOO_LATE, "the cloud has no such task of ours")
        if member.batch not in tasks:
            tasks[member.batch] = self._cloud.task(member.batch)
        task = tasks[member.batch]
        if task is None:
            return _answer(order, Verdict.TOO_LATE, "the cloud has no such task")
        crew = self._book.crew(member.batch)
        seen = read_instance(task, member.instance, alone=len(crew) == 1)
        if seen.is_over:
            return _answer(order, Verdict.TOO_LATE, seen.native_state)
        if order.request.verb.ends_job and phase_of(seen) is Phase.QUEUED:
            return self._end_queued(order, member, task, crew)
        if phase_of(seen) is Phase.QUEUED:
            return _answer(order, Verdict.REFUSED, "it does not run yet")
        return self._ask(order, member, seen, touched)

    def _end_queued(
        self, order: Order, member: Member, task: Any, crew: Sequence[Member]
    ) -> OrderAnswer:
        """Let an instance that waits run nothing; a task of which nobody wants any is aborted."""
        self._handing.mark_closed(member)
        if all(other.ending is not None or other.ended for other in crew):
            self._abort(task)
        else:
            self._deliver(task)
        return _answer(order, Verdict.SIGNALLED)

    def _ask(self, order: Order, member: Member, seen: Instance, touched: set[str]) -> OrderAnswer:
        """Leave the request where the instance finds it."""
        request = order.request
        number, why = SIGNALS.get(request.verb, (request.signal or 0, "signal"))
        if number not in {int(known) for known in signal.valid_signals()}:
            return _answer(order, Verdict.REFUSED, f"there is no signal {number}")
        entry: dict[str, Any] = {"id": request.id, "signal": number, "why": why}
        if request.verb is Verb.CANCEL:
            entry["grace_s"] = self._grace_s if request.grace_s is None else request.grace_s
        if request.verb.ends_job:
            entry["ends"] = True
            if self._book.body(member.batch).get("retried"):
                # Should the cloud run the instance again, that one runs nothing.
                self._handing.mark_closed(member)
        asked = self._book.add_request(member.token, entry)
        key = f"{run_prefix(member.batch)}{OURS}/requests.{member.instance}"
        self._cloud.put(self._bucket, key, json.dumps(asked).encode("ascii"))
        touched.add(member.batch)
        return _answer(order, Verdict.SIGNALLED, seen.native_state)

    def _abort(self, task: Any) -> None:
        self._cloud.ask(lambda _connection: task.abort())

    def _deliver(self, task: Any) -> None:
        """Have the resources of a running task brought up to date; else the abort is due soon."""
        try:
            self._cloud.ask(lambda _connection: task.update_resources())
        except (BackendError, RefusedError):
            return

    def abort_if_due(self, members: Sequence[Member], tasks: Mapping[str, Any], at: float) -> None:
        """Abort tasks whose instances were all asked to end and did not in time."""
        for name in dict.fromkeys(member.batch for member in members):
            task = tasks.get(name)
            due = [m.ending["abort_at"] for m in members if m.batch == name and m.ending]
            due = [instant for instant in due if instant is not None]
            if task is None or not due or at < min(due):
                continue
            crew = self._book.crew(name)
            if all(other.ending is not None or other.ended for other in crew):
                self._abort(task)


def _is_same(order: Order, member: Member) -> bool:
    """Tell whether the order's native id is that of its token: ids alone are no identity."""
    native_id = order.attempt.native_id
    return (
        native_id is None
        or member.uuid is None
        or native_id == native_id_of(member.uuid, member.instance)
    )


def _ending(order: Order, at: float, grace_s: float) -> dict[str, Any]:
    request = order.request
    given = grace_s if request.grace_s is None else request.grace_s
    grace = {Verb.CANCEL: given, Verb.KILL: 0.0}.get(request.verb)
    return {
        "verb": request.verb.value,
        # TERM alone may be heeded at leisure.
        "abort_at": None if grace is None else at + grace + ABORT_MARGIN_S,
    }


def _answer(order: Order, verdict: Verdict, message: str = "") -> OrderAnswer:
    return OrderAnswer(
        token=order.attempt.token,
        request_id=order.request.id,
        verdict=verdict,
        message=message,
    )
