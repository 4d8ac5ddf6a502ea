"""Drive a backend's hooks directly, without an engine."""

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import evolve

from drover._plugins import Backend, BackendContext, assemble, load_backend, scrubbed
from drover.config import Config, Setting
from drover.hookspecs import Clock
from drover.models import (
    Attempt,
    Capabilities,
    CloseAnswer,
    Found,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Request,
    SubmitAnswer,
    Verb,
)
from drover.testing._clock import SystemClock

POLL_S: Final = 0.05


class BackendHarness:
    """One backend object with a context of its own, called as the engine would.

    What it reports is collected in `reported` and acknowledged at once.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        config: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        factory: Callable[[BackendContext], object] | None = None,
    ) -> None:
        """Load the backend.

        Args:
            name: The backend's name, as installed.
            home: A store's folder of its own; made if it is not there.
            config: The table `[backends.NAME]`.
            clock: `None` is the real one.
            factory: Makes the backend object where it is not installed.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.reported: Final[list[Observation]] = []
        self.context: Final = BackendContext(
            name=name,
            home=home,
            store_id=f"harness-{secrets.token_hex(4)}",
            clock=clock or SystemClock(),
            epoch=1,
            config=dict(config or {}),
            reporter=self._collect,
        )
        self.backend: Final[Backend] = (
            assemble(name, factory(self.context), {})
            if factory
            else load_backend(name, self.context, settings(name, config or {}))
        )
        self._placed: Final[dict[str, Attempt]] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Say what the backend declares."""
        return self.backend.capabilities

    def _collect(
        self, observations: Sequence[Observation], on_durable: Callable[[], None] | None
    ) -> None:
        self.reported.extend(observations)
        if on_durable is not None:
            on_durable()

    def start(self) -> None:
        """Call `drover_start`."""
        self.backend.call("drover_start")

    def stop(self) -> None:
        """Call `drover_stop`."""
        self.backend.call("drover_stop")

    def attempt(self, argv: Sequence[str | bytes], **fields: Any) -> Attempt:
        """Make an attempt with a fresh token, as the engine makes them."""
        given: dict[str, Any] = {"argv": argv, "cwd": self.context.home, **fields}
        spec = JobSpec(**given)
        job_id = secrets.token_hex(6)
        token = f"{self.context.store_id}.{job_id}.1"
        base = scrubbed(os.environ) if spec.inherit_env else {}
        own = {"DROVER_JOB_ID": job_id, "DROVER_ATTEMPT": "1", "DROVER_TOKEN": token}
        return Attempt(
            job_id=job_id,
            number=1,
            token=token,
            spec=spec,
            base_environment=base,
            base_digest=f"{hash(tuple(sorted(base.items()))):x}",
            variables={**spec.env, **own},
        )

    def placed(self, attempt: Attempt) -> Attempt:
        """Give the attempt with the native id under which it was accepted."""
        return self._placed.get(attempt.token, attempt)

    def submit(self, *attempts: Attempt) -> list[SubmitAnswer]:
        """Call `drover_submit`. Gives an answer per attempt that got one."""
        answers: list[SubmitAnswer] = list(
            self.backend.call("drover_submit", attempts=list(attempts)) or ()
        )
        by_token = {attempt.token: attempt for attempt in attempts}
        for answer in answers:
            if answer.native_id is not None and answer.token not in self._placed:
                self._placed[answer.token] = evolve(
                    by_token[answer.token],
                    native_id=answer.native_id,
                    submitted_at=answer.submitted_at,
                )
        return answers

    def find(self, *tokens: str) -> list[Found]:
        """Call `drover_find`."""
        return list(self.backend.call("drover_find", tokens=list(tokens)) or ())

    def observe(self, *attempts: Attempt) -> Observed | None:
        """Call `drover_observe` for attempts with their native ids."""
        placed = [self.placed(attempt) for attempt in attempts]
        answer: Observed | None = self.backend.call("drover_observe", attempts=placed)
        return answer

    def seen(self, attempt: Attempt) -> list[Observation]:
        """List all that was told of an attempt so far; a polled backend is asked first."""
        if not self.capabilities.push:
            answer = self.observe(attempt)
            self.reported.extend(answer.observations if answer else ())
        return [row for row in list(self.reported) if row.token == attempt.token]

    def until(self, attempt: Attempt, phase: Phase, timeout_s: float = 60.0) -> Observation:
        """Wait until the attempt is seen in *phase*; the test fails if it is not in time."""
        end = time.monotonic() + timeout_s
        while True:
            rows = self.seen(attempt)
            for row in rows:
                if row.phase is phase:
                    return row
            if time.monotonic() > end:
                told = "\n".join(map(str, rows)) or "nothing"
                pytest.fail(f"not seen {phase} within {timeout_s:g} s; was told:\n{told}")
            time.sleep(POLL_S)

    def control(self, attempt: Attempt, verb: Verb, **fields: Any) -> OrderAnswer | None:
        """Call `drover_control` with one order."""
        request = Request(
            id=secrets.token_hex(4), verb=verb, by="harness", at=self.context.clock.time(), **fields
        )
        order = Order(attempt=self.placed(attempt), request=request)
        answers = self.backend.call("drover_control", orders=[order]) or ()
        return next((a for a in answers if a.request_id == request.id), None)

    def close(self, *tokens: str) -> list[CloseAnswer]:
        """Call `drover_close`."""
        return list(self.backend.call("drover_close", tokens=list(tokens)) or ())


def settings(name: str, table: Mapping[str, Any]) -> Config:
    """Make settings that hold nothing but `[backends.NAME]`."""
    return Config(
        settings={
            key: Setting(key=key, value=value, origin="harness")
            for key, value in ((f"backends.{name}.{word}", table[word]) for word in table)
        }
    )
