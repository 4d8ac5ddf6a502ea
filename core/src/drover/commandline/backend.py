"""Make a backend of what is known about a batch system's commands."""

import logging
import shlex
import sys
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from drover.commandline import claims
from drover.commandline.batches import Batches
from drover.commandline.claims import Owner
from drover.commandline.files import see_afresh, write_json
from drover.commandline.listings import Listing
from drover.commandline.looking import Look, Memory, end_by_record, unreadable
from drover.commandline.news import NewsReader
from drover.commandline.places import Place
from drover.commandline.scheduler import Known, Scheduler, Submission
from drover.commandline.staging import stage
from drover.commandline.talking import converse
from drover.commandline.tasks import (
    WRAPPER,
    install_wrapper,
    output_path,
    read_chunk,
    wrapper_start,
)
from drover.commandline.tokens import attempt_path, attempt_paths
from drover.commandline.wrapper import CANCEL
from drover.errors import DroverError, UnreachableError
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Chunk,
    Closing,
    Diagnosis,
    Found,
    Health,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Plan,
    StageAnswer,
    Stream,
    SubmitAnswer,
    Verb,
    Verdict,
)

_log: Final = logging.getLogger(__name__)

SUBMITTERS: Final = 3
"""Submissions under way at the same time: most of one is waiting for the scheduler."""
REST: Final = 20.0
"""A listing that took a second is followed by so many seconds of rest."""


class CommandLineBackend:
    """The hooks of a backend whose system is spoken to by commands.

    A plugin subclasses it, and gives the scheduler in its `__init__`.
    """

    def __init__(self, context: Context, scheduler: Scheduler) -> None:
        self.context = context
        self.scheduler = scheduler
        self.folder = context.home / "backends" / context.name
        self.batches = Batches(self.folder, scheduler.settings, context.home)
        self.places = self.batches.places
        self._memory = Memory()
        self._news = NewsReader(self.batches.news, self._hear)

    # Hooks

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say what the backend can do."""
        return self.scheduler.capabilities

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Say what becomes of each field, and show what would be handed over."""
        is_array = spec.array is not None
        script = self._script(Path("TASKS"), is_array=is_array)
        return self.scheduler.plan(spec, script)

    @hookimpl
    def drover_start(self) -> bool:
        """Learn what is special about the site, and listen to what wrappers tell."""
        converse(self.context, self.scheduler.start())
        self.batches.settings = self.scheduler.settings
        self._news.start()
        return True

    @hookimpl
    def drover_stop(self) -> bool:
        """Listen no more."""
        self._news.stop()
        return True

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Hand attempts over, those that ask for the same as one array."""
        self._news.want(True)
        groups: dict[Hashable, list[Attempt]] = {}
        for attempt in attempts:
            # An array stays by itself: others can wait for it, and for nothing else.
            like = (
                self.scheduler.options(attempt.spec),
                attempt.spec.cwd,
                attempt.predecessors,
                attempt.array_id,
            )
            groups.setdefault(like, []).append(attempt)
        size = self.scheduler.most_elements if self.scheduler.capabilities.arrays else 1
        parts = [
            group[start : start + size]
            for group in groups.values()
            for start in range(0, len(group), size)
        ]
        if len(parts) == 1:
            return self._submit(parts[0])
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=SUBMITTERS) as pool:
            return [answer for answers in pool.map(self._submit, parts) for answer in answers]

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> list[Found]:
        """Search claims, the queue and what the scheduler remembers."""
        places = self.places.find(tokens)
        found = {token: owner for token, place in places.items() if (owner := _owner(place.folder))}
        rest = {token: place for token, place in places.items() if token not in found}
        if rest:
            known = [self._known_by(token, place) for token, place in rest.items()]
            listed = Listing(converse(self.context, self.scheduler.queue(known))).submissions()
            keys = {place.key: place.label for place in rest.values() if place.key not in listed}
            if keys:
                talk = self.scheduler.search(keys)
                listed.update(converse(self.context, talk))
            pattern = self.scheduler.element_pattern
            for token, place in rest.items():
                if place.key in listed:
                    found[token] = place.native_id(listed[place.key], pattern)
        return [Found(token=token, native_id=native_id) for token, native_id in found.items()]

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed:
        """Look at all attempts with one listing, then ask for those that left it."""
        self._news.want(bool(attempts))
        known = self._known(attempts)
        look = Look(self.context, self.scheduler, known, self._memory)
        self.places.let_go()
        rows, complete = look.rows()
        rows += self._in_doubt(attempts, known)
        self._memory.keep_only({attempt.token for attempt in attempts})
        return Observed(observations=tuple(rows), complete=complete, rest_s=look.listing_s * REST)

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Carry out requests; a job that has not begun is ended by its claim."""
        closed = {
            order.request.id
            for order in orders
            if order.request.verb.ends_job and self._close(order)
        }
        return [self._settle(row, closed) for row in self._control(orders)]

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read a piece of a file."""
        # Also asked of a client's backend, which has not seen what the engine's handed over.
        folder = attempt_path(self.context.home, attempt.job_id, attempt.number)
        return read_chunk(output_path(folder, attempt, stream), offset, size)

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy what jobs need into their working directories, which the nodes see as well."""
        return [stage(attempt, attempt.spec.inputs, "inputs") for attempt in attempts]

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy what jobs have made to where it was asked for."""
        return [stage(attempt, attempt.spec.outputs, "outputs") for attempt in attempts]

    @hookimpl
    def drover_forget(self, attempts: Sequence[Attempt]) -> bool:
        """Delete what wrappers wrote, and the lists of which no task is left."""
        self._news.forget({attempt.token for attempt in attempts})
        self.places.forget([attempt.token for attempt in attempts])
        for attempt in attempts:
            path = attempt_path(self.context.home, attempt.job_id, attempt.number)
            try:
                if path.is_dir():
                    _clear(path)
            except OSError as exc:
                # On NFS a file that somebody reads stays, under another name.
                _log.warning("%s was not deleted whole: %s", path, exc)
            # It stays where claims do, or other attempts.
            with suppress(OSError):
                path.parent.rmdir()
        return True

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Try what everything rests on, then ask the scheduler."""
        findings = [self._diagnose_claims()]
        try:
            findings += converse(self.context, self.scheduler.diagnose())
        except DroverError as exc:
            findings.append(Diagnosis(subject="scheduler", health=Health.ERROR, message=str(exc)))
        return findings

    # Who is who

    def _known(self, attempts: Sequence[Attempt]) -> list[Known]:
        """Give those that were handed over here; of others, after damage to the store, nothing."""
        places = self.places.find([attempt.token for attempt in attempts])
        pairs = ((attempt, places.get(attempt.token)) for attempt in attempts)
        return [
            self._known_at(attempt, place, attempt.native_id)
            for attempt, place in pairs
            if place is not None and attempt.native_id is not None
        ]

    def _in_doubt(self, attempts: Sequence[Attempt], known: Sequence[Known]) -> list[Observation]:
        """Tell of attempts that may be in a list which cannot be read: they are not missing."""
        if not self.places.in_doubt:
            return []
        told = {entry.token for entry in known}
        at = self.context.clock.time()
        why = "the list that it was handed over with"
        return [
            unreadable(attempt.token, attempt.native_id, at, why)
            for attempt in attempts
            if attempt.token not in told
        ]

    def _known_at(self, attempt: Attempt, place: Place, native_id: str) -> Known:
        is_element = place.size > 1
        suffix = place.native_id("", self.scheduler.element_pattern)
        return Known(
            token=attempt.token,
            submission=native_id.removesuffix(suffix) if is_element else native_id,
            folder=place.folder,
            key=place.key,
            index=place.index,
            size=place.size,
            label=attempt.spec.label,
            native_id=native_id,
            submitted_at=attempt.submitted_at,
            restart=attempt.restart,
            requeue=attempt.spec.requeue,
        )

    def _known_by(self, token: str, place: Place) -> Known:
        return Known(
            token=token,
            folder=place.folder,
            key=place.key,
            index=place.index,
            size=place.size,
            label=place.label,
            native_id="",
        )

    # Submission

    def _submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        try:
            mine = [(attempt.job_id, attempt.number) for attempt in attempts]
            folders = attempt_paths(self.context.home, mine)
            wrapper = install_wrapper(self.folder)
            batch = self.batches.make(attempts, folders)
        except OSError as exc:
            told = Submission(answer=Answer.REFUSED, message=str(exc), retryable=True)
            return [self._answer(attempt, told, None) for attempt in attempts]
        script = self._script(batch.tasks, is_array=batch.is_array, wrapper=wrapper)
        try:
            told = converse(self.context, self.scheduler.submit(batch, script))
        except UnreachableError as exc:
            answer = Answer.UNKNOWN if exc.sent else Answer.REFUSED
            told = Submission(answer=answer, message=str(exc), retryable=True)
        except DroverError as exc:
            told = Submission(answer=Answer.UNKNOWN, message=str(exc))
        places = self.places.find(batch.tokens)
        return [self._answer(attempt, told, places.get(attempt.token)) for attempt in attempts]

    def _answer(self, attempt: Attempt, told: Submission, place: Place | None) -> SubmitAnswer:
        native_id = told.native_id
        if native_id is not None and place is not None:
            native_id = place.native_id(native_id, self.scheduler.element_pattern)
        return SubmitAnswer(
            token=attempt.token,
            answer=told.answer,
            native_id=native_id,
            message=told.message,
            reason=told.reason,
            retryable=told.retryable,
        )

    def _script(self, tasks: Path, *, is_array: bool, wrapper: Path | None = None) -> bytes:
        """Write the script that the scheduler runs: no word of the user's is in it."""
        speech = self.scheduler
        python = str(self.context.config.get("python", sys.executable))
        argv = [
            *wrapper_start(wrapper or self.folder / WRAPPER.name, python), "--of", str(tasks),
            speech.element_index if is_array else "0",
            speech.element_id if is_array else speech.native_id,
            speech.restart,
        ]  # fmt: skip
        # `exec`: what the scheduler signals as its shell is the wrapper.
        return f"#!/bin/sh\nexec {shlex.join(argv)}\n".encode("utf-8", "surrogateescape")

    # Requests

    def _close(self, order: Order) -> bool:
        """Shut an attempt, and tell whether it had not begun."""
        place = self.places.get(order.attempt.token)
        if place is None:
            return False
        request = order.request
        why = f"{request.verb} by {request.by}"
        closed = claims.close(place.folder, why, durable=False)
        if closed.closing is Closing.CLOSED:
            return True
        if request.grace_s is not None and request.verb is Verb.CANCEL:
            # The wrapper keeps to it. Without it the scheduler's own grace counts.
            with suppress(OSError):
                told = {"grace_s": request.grace_s}
                write_json(place.folder, CANCEL, told, durable=False)
        return False

    def _control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Pass on what concerns jobs that were handed over here, under the ids they have now."""
        entries = self._known([order.attempt for order in orders])
        known = {entry.token: entry for entry in entries}
        late = [
            OrderAnswer(
                token=order.attempt.token,
                request_id=order.request.id,
                verdict=Verdict.TOO_LATE,
                message="it is not there",
            )
            for order in orders
            if order.attempt.token not in known and not self.places.in_doubt
        ]
        mine = [order for order in orders if order.attempt.token in known]
        return late + list(converse(self.context, self.scheduler.control(mine, known)))

    @staticmethod
    def _settle(row: OrderAnswer, closed: Iterable[str]) -> OrderAnswer:
        if row.request_id not in closed:
            return row
        return OrderAnswer(
            token=row.token,
            request_id=row.request_id,
            verdict=Verdict.DONE,
            message="it had not started",
        )

    # News

    def _hear(self, tokens: Sequence[str]) -> None:
        """Report what wrappers have left in the folders of these attempts."""
        at = self.context.clock.time()
        seen: list[Observation] = []
        for token, place in self.places.find(tokens).items():
            see_afresh(place.folder)
            # One that cannot be read is looked at with the queue.
            with suppress(OSError):
                seen += end_by_record(place.folder, token, at)
        if seen:
            self.context.report(seen)

    # The doctor

    def _diagnose_claims(self) -> Diagnosis:
        import tempfile

        subject = "claims"
        try:
            with tempfile.TemporaryDirectory(dir=self.context.home) as name:
                taking = claims.take(Path(name), Owner(native_id="doctor"))
            won, why = taking.won, taking.why
        except OSError as exc:
            won, why = False, str(exc)
        if won:
            return Diagnosis(subject=subject, health=Health.OK, message="hard links work")
        return Diagnosis(
            subject=subject,
            health=Health.ERROR,
            message=f"no attempt can be claimed in the store's folder: {why}",
            cure="put the store on a file system with hard links, with --home",
        )


def _owner(folder: Path) -> str | None:
    """Give the native id that has begun, or came to begin, the attempt."""
    starts: list[Owner] = []
    # One that cannot be read may be found by other ways.
    with suppress(OSError):
        starts = [entry.owner for entry in claims.read(folder) if entry.owner is not None]
    return starts[-1].native_id if starts else None


def _clear(folder: Path) -> None:
    """Delete what an attempt left behind, save the claims of one that was closed: they last."""
    entries = claims.read(folder)
    is_closed = any(entry.kind is claims.EntryKind.CLOSED for entry in entries)
    for path in folder.iterdir():
        if not (is_closed and path.name.startswith("claim.")):
            path.unlink(missing_ok=True)
    if not is_closed:
        folder.rmdir()
