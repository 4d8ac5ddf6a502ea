"""The backend as the engine sees it."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from drover.commandline.staging import stage
from drover.errors import UnreachableError
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Chunk,
    Claim,
    CloseAnswer,
    Closing,
    Diagnosis,
    Found,
    JobSpec,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Reason,
    StageAnswer,
    Stream,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover_local._command import describe, native_id
from drover_local._config import LocalConfig, read_config
from drover_local._doctor import diagnose
from drover_local._frames import Frame
from drover_local._link import Link
from drover_local._output import forget_output, read_chunk, stream_path
from drover_local._place import Place
from drover_local._plan import make_plan
from drover_local._reports import read_row

# Below the engine's own deadline, so that the answer is ours.
_ASK_S: Final = 45.0
_AGAIN: Final = 500
_MANY_BASES: Final = 32
_VERBS: Final = frozenset(Verb) - {Verb.RETRY, Verb.REQUEUE}


class LocalBackend:
    """Run jobs on this machine through the agent of the store."""

    def __init__(self, context: Context) -> None:
        """Take note of the context; nothing is read, connected or started."""
        self._context = context
        self._place = Place(os.path.join(os.path.abspath(context.home), "backends", context.name))
        self._checked: LocalConfig | None = None
        self._link: Link | None = None
        self._frames: dict[str, Frame] = {}
        """What the agent was given and has not ended, in case it has to be given again."""
        self._placed: set[str] = set()
        """Tokens that an earlier engine has placed."""
        self._bases: dict[str, Mapping[str, str]] = {}
        self._sent: tuple[int, set[str]] = (0, set())
        """Which of them this connection has been given."""
        self._books = threading.Lock()
        self._unanswered: set[str] = set()
        """Tokens that were given to the agent, and of which it has not said that it took them."""
        self._over: set[str] = set()
        """Those of them that have ended. The agent forgets them; they are not given again."""

    @property
    def _config(self) -> LocalConfig:
        if self._checked is None:
            self._checked = read_config(self._context.name, self._context.config)
        return self._checked

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say what this machine can do."""
        config = self._config
        return Capabilities(
            claim=Claim.SERVER_KEY,
            verbs=_VERBS,
            push=True,
            stage_in=True,
            stage_out=True,
            usage=True,
            window=config.window,
            cancel_grace_s=config.grace_s,
        )

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Judge a specification."""
        return make_plan(self._context.name, spec, self._config)

    @hookimpl
    def drover_start(self) -> bool:
        """Connect to the agent; start one if there is none."""
        if self._link is not None:
            self._link.close()
        self._place.make()
        self._link = Link(self._place, self._hello, self._on_rows, self._on_return)
        self._link.open()
        return True

    @hookimpl
    def drover_stop(self) -> bool:
        """Hang up; the agent goes on."""
        if self._link is not None:
            self._link.close()
            self._link = None
        return True

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Give attempts to the agent. Giving one again does nothing but answer."""
        tokens = [attempt.token for attempt in attempts]
        self._note(attempts)
        try:
            reply = self._submit(tokens)
        except UnreachableError as exc:
            self._unanswered.difference_update(tokens)
            for token in tokens:
                self._frames.pop(token, None)
            return [
                SubmitAnswer(token=token, answer=Answer.REFUSED, message=str(exc), retryable=True)
                for token in tokens
            ]
        except TimeoutError as exc:
            return [
                SubmitAnswer(token=token, answer=Answer.UNKNOWN, message=str(exc))
                for token in tokens
            ]
        with self._books:
            self._unanswered.difference_update(tokens)
            # The engine does not give again what it is told to be accepted.
            self._over.difference_update(tokens)
        refused = reply["refused"]
        return [
            SubmitAnswer(
                token=attempt.token,
                answer=Answer.REFUSED,
                message=refused[attempt.token],
                reason=Reason.REFUSED,
            )
            if attempt.token in refused
            else SubmitAnswer(
                token=attempt.token,
                answer=Answer.ACCEPTED,
                native_id=native_id(attempt),
                submitted_at=reply["at"],
            )
            for attempt in attempts
        ]

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> list[Found] | None:
        """Ask the agent which tokens it knows."""
        reply = self._ask({"op": "find", "tokens": list(tokens)})
        return [Found(token=token, native_id=native) for token, native in reply["found"].items()]

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed:
        """Ask the agent about attempts. One that it never spawned it never will."""
        tokens = [attempt.token for attempt in attempts]
        self._placed.update(token for token in tokens if token not in self._frames)
        return self._observe(tokens)

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Pass requests on."""
        reply = self._ask(
            {
                "op": "control",
                "orders": [
                    {
                        "token": order.attempt.token,
                        "request_id": order.request.id,
                        "verb": order.request.verb.value,
                        "grace_s": order.request.grace_s,
                        "signal": order.request.signal,
                    }
                    for order in orders
                ],
            }
        )
        answers = [
            OrderAnswer(
                token=token, request_id=request_id, verdict=Verdict(verdict), message=message
            )
            for token, request_id, verdict, message in reply["verdicts"]
        ]
        self._remember(orders, answers)
        return answers

    @hookimpl
    def drover_close(self, tokens: Sequence[str]) -> list[CloseAnswer]:
        """Shut tokens for good."""
        reply = self._ask({"op": "close", "tokens": list(tokens)})
        taken, why = reply["taken"], reply.get("unknown", "")
        answers: list[CloseAnswer] = []
        for token in tokens:
            if token in taken:
                answer = CloseAnswer(token=token, closing=Closing.TAKEN, native_id=taken[token])
            elif why:
                answer = CloseAnswer(token=token, closing=Closing.UNKNOWN, message=why)
            else:
                answer = CloseAnswer(token=token, closing=Closing.CLOSED)
                self._drop(token)
            answers.append(answer)
        return answers

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read from the stream's file."""
        path = stream_path(self._place.output, attempt, stream)
        return None if path is None else read_chunk(path, offset, size)

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy inputs."""
        return [stage(attempt, attempt.spec.inputs, "inputs") for attempt in attempts]

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy outputs."""
        return [stage(attempt, attempt.spec.outputs, "outputs") for attempt in attempts]

    @hookimpl
    def drover_forget(self, attempts: Sequence[Attempt]) -> bool:
        """Delete kept output and let go of closed tokens."""
        for attempt in attempts:
            forget_output(self._place.output, attempt)
        if self._link is not None:
            self._ask({"op": "forget", "tokens": [attempt.token for attempt in attempts]})
        return True

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Look at agent, disk and system."""
        return diagnose(self._place, self._config)

    def _hello(self) -> Frame:
        config = self._config.for_agent()
        return {"op": "hello", "id": 0, "epoch": self._context.epoch, "config": config}

    def _ask(self, question: Frame | Callable[[], Frame]) -> Frame:
        if self._link is None:
            raise UnreachableError("local agent", "the backend was not started")
        return self._link.ask(question, _ASK_S)

    def _note(self, attempts: Sequence[Attempt]) -> None:
        """Keep what the agent is to be given, save attempts that have ended by now."""
        with self._books:
            for attempt in attempts:
                if attempt.token in self._over:
                    continue
                self._unanswered.add(attempt.token)
                self._frames[attempt.token] = describe(
                    attempt, self._config, self._place.output, self._context.name
                )
                if attempt.base_environment:
                    self._bases[attempt.base_digest] = attempt.base_environment

    def _end(self, tokens: Iterable[str]) -> None:
        """Keep attempts that have ended from being given to an agent that has forgotten them."""
        with self._books:
            for token in tokens:
                if token in self._unanswered:
                    self._over.add(token)
                self._drop(token)

    def _submit(self, tokens: Sequence[str]) -> Frame:
        link = self._link
        if link is None:
            raise UnreachableError("local agent", "the backend was not started")
        reply = self._ask(lambda: self._frame_of(tokens, again=False))
        if "missing" in reply:
            # The connection is another one than a moment ago.
            reply = self._ask(lambda: self._frame_of(tokens, again=True))
        self._end(reply["done"])
        for token in reply["refused"]:
            self._drop(token)
        with self._books:
            if len(self._bases) > _MANY_BASES:
                wanted = {frame["base"] for frame in list(self._frames.values())}
                self._bases = {name: base for name, base in self._bases.items() if name in wanted}
        self._on_rows(reply["rows"])
        return reply

    def _frame_of(self, tokens: Sequence[str], *, again: bool) -> Frame:
        """Make the frame that gives attempts to the agent, as it is sent.

        Args:
            tokens: Of the attempts; what has ended meanwhile is left out.
            again: Whether to send environments that this connection has been given.
        """
        generation = self._link.generation if self._link is not None else 0
        if self._sent[0] != generation:
            self._sent = (generation, set())
        frames = [self._frames.get(token) for token in tokens]
        jobs = [frame for frame in frames if frame is not None]
        bases = {frame["base"] for frame in jobs if frame["base"]}
        if not again:
            bases -= self._sent[1]
        known = {digest: dict(self._bases[digest]) for digest in bases if digest in self._bases}
        self._sent[1].update(known)
        return {"op": "submit", "jobs": jobs, "bases": known}

    def _observe(self, tokens: Sequence[str]) -> Observed:
        reply = self._ask({"op": "observe", "tokens": list(tokens)})
        observations = tuple(read_row(row) for row in reply["rows"])
        for observation in observations:
            if observation.phase is Phase.UNRUN:
                self._drop(observation.token)
        self._end(row.token for row in observations if row.phase is Phase.ENDED)
        return Observed(observations=observations, complete=reply["complete"])

    def _on_rows(self, rows: list[Any]) -> None:
        if not rows:
            return
        observations = [read_row(row) for row in rows]
        ended = [entry.token for entry in observations if entry.phase is Phase.ENDED]
        self._end(ended)
        link = self._link
        if not ended or link is None:
            self._context.report(observations)
        else:
            self._context.report(observations, lambda: link.acknowledge(ended))

    def _on_return(self) -> None:
        """Give a new agent what the one before had not ended, and ask about the rest."""
        tokens = list(self._frames)
        placed = list(self._placed)
        try:
            for begin in range(0, len(tokens), _AGAIN):
                self._submit(tokens[begin : begin + _AGAIN])
            if placed:
                self._context.report(self._observe(placed).observations)
        except (UnreachableError, TimeoutError):
            # Gone again; the next return does it.
            return

    def _remember(self, orders: Sequence[Order], answers: Sequence[OrderAnswer]) -> None:
        done = {answer.request_id for answer in answers if answer.verdict is Verdict.DONE}
        for order in orders:
            if order.request.id not in done:
                continue
            token, verb = order.attempt.token, order.request.verb
            if verb.ends_job:
                self._drop(token)
            elif verb in {Verb.HOLD, Verb.RELEASE} and token in self._frames:
                self._frames[token]["held"] = verb is Verb.HOLD

    def _drop(self, token: str) -> None:
        self._frames.pop(token, None)
        self._placed.discard(token)
