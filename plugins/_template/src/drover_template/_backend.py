"""The hooks: what drover calls, and when. `drover.hookspecs` says what each may do."""

import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from drover.commandline import Owner, claims, output_path, read_chunk, read_json, wrapper_argv
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Chunk,
    Claim,
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
    Reason,
    Stream,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover_template import _observing, _plan
from drover_template._folder import Folder

CAPABILITIES: Final = Capabilities(
    claim=Claim.DIRECTORY,
    verbs=frozenset(
        {Verb.CANCEL, Verb.TERMINATE, Verb.KILL, Verb.SIGNAL, Verb.SUSPEND, Verb.RESUME}
    ),
    usage=True,
    exit_record=True,
    poll_s=0.1,
    idle_poll_s=1.0,
    missing_grace_s=10.0,
    settle_s=5.0,
    unknown_after_s=5.0,
)


class TemplateBackend:
    """Run each job as a detached process on this machine."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._children: set[int] = set()

    def _folder(self, attempt: Attempt) -> Folder:
        return Folder(path=self._context.attempt_dir(attempt), token=attempt.token)

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say what the backend can do."""
        return CAPABILITIES

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Say what becomes of each field."""
        command = wrapper_argv(Path("ATTEMPT_FOLDER"), "NATIVE_ID")
        return _plan.plan(spec, command)

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Start a wrapper for each attempt; one that has a wrapper gets no second."""
        self._reap()
        return [self._submit(attempt, self._folder(attempt)) for attempt in attempts]

    def _submit(self, attempt: Attempt, folder: Folder) -> SubmitAnswer:
        token = attempt.token
        try:
            spawned = folder.spawned() or folder.spawn(attempt, self._context.clock.time())
        except OSError as error:
            # The claim is closed, so that a wrapper that did start after all runs nothing.
            closed = claims.close(folder.path, "it could not be started")
            if closed.closing is not Closing.CLOSED:
                return SubmitAnswer(token=token, answer=Answer.UNKNOWN, message=str(error))
            return SubmitAnswer(
                token=token,
                answer=Answer.REFUSED,
                message=str(error),
                reason=Reason.LAUNCH_FAILED,
            )
        if spawned.process is not None:
            self._children.add(spawned.process.pid)
        return SubmitAnswer(
            token=token,
            answer=Answer.ACCEPTED,
            native_id=spawned.native_id,
            submitted_at=spawned.at,
        )

    def _reap(self) -> None:
        """Let go of wrappers that have ended; those of an earlier engine are not ours to reap."""
        for pid in list(self._children):
            gone = 0
            with suppress(ChildProcessError):
                gone, _ = os.waitpid(pid, os.WNOHANG)
                if gone == 0:
                    continue
            self._children.discard(pid)

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> list[Found]:
        """Look into every attempt's folder for the tokens."""
        found: list[Found] = []
        for task in (self._context.home / "jobs").glob("*/*/task.json"):
            token = str(read_json(task).get("token"))
            if token in tokens:
                spawned = Folder(path=task.parent, token=token).spawned()
                if spawned is not None:
                    native_id, at = spawned.native_id, spawned.at
                    found.append(Found(token=token, native_id=native_id, submitted_at=at))
        return found

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed:
        """Look at each attempt, and send the KILLs that are due."""
        self._reap()
        at = self._context.clock.time()
        rows: list[Observation] = []
        for attempt in attempts:
            folder = self._folder(attempt)
            folder.kill_if_due(at)
            rows.extend(_observing.observe(folder, attempt.native_id, at))
        return Observed(observations=tuple(rows))

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Carry out requests."""
        self._reap()
        return [
            OrderAnswer(
                token=order.attempt.token,
                request_id=order.request.id,
                verdict=self._obey(order, self._folder(order.attempt)),
            )
            for order in orders
        ]

    def _obey(self, order: Order, folder: Folder) -> Verdict:
        spawned, request = folder.spawned(), order.request
        if spawned is None or order.attempt.native_id not in (None, spawned.native_id):
            return Verdict.TOO_LATE
        match request.verb:
            case Verb.CANCEL | Verb.TERMINATE | Verb.KILL:
                return self._end(order, folder)
            case Verb.SUSPEND:
                number = signal.SIGSTOP
            case Verb.RESUME:
                number = signal.SIGCONT
            case Verb.SIGNAL if request.signal is not None:
                number = signal.Signals(request.signal)
            case _:
                return Verdict.REFUSED
        return Verdict.DONE if folder.send(number) else Verdict.TOO_LATE

    def _end(self, order: Order, folder: Folder) -> Verdict:
        """End a job: by its claim if it has not begun, else by signals."""
        request = order.request
        if folder.start() is None:
            closed = claims.close(folder.path, f"{request.verb} by {request.by}")
            if closed.closing is Closing.CLOSED:
                return Verdict.DONE
        kill_at = None
        if request.verb is Verb.CANCEL:
            default = CAPABILITIES.cancel_grace_s
            grace_s = default if request.grace_s is None else request.grace_s
            kill_at = self._context.clock.time() + grace_s
        number = signal.SIGKILL if request.verb is Verb.KILL else signal.SIGTERM
        folder.note_ending(kill_at)
        if not folder.send(number):
            folder.forget_ending()
            return Verdict.TOO_LATE
        # A stopped process takes TERM when it goes on.
        folder.send(signal.SIGCONT)
        return Verdict.SIGNALLED

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read a piece of a file."""
        return read_chunk(output_path(self._folder(attempt).path, attempt, stream), offset, size)

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Try what everything rests on: a claim in the store's folder."""
        try:
            with tempfile.TemporaryDirectory(dir=self._context.home) as name:
                taking = claims.take(Path(name), Owner(native_id="doctor"))
            won, why = taking.won, taking.why
        except OSError as exc:
            won, why = False, str(exc)
        if won:
            return [Diagnosis(subject="claims", health=Health.OK, message="hard links work")]
        return [
            Diagnosis(
                subject="claims",
                health=Health.ERROR,
                message=f"no attempt can be claimed in the store's folder: {why}",
                cure="put the store on a file system with hard links, with --home",
            )
        ]
