"""A stranger's backend: it runs each command while it is being submitted.

Its folder is its server: one file per token is the unique key, so a token never runs twice.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Chunk,
    Claim,
    CloseAnswer,
    Closing,
    EndReport,
    FieldPlan,
    Found,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    Stream,
    SubmitAnswer,
    Support,
    Verdict,
    fields_set,
)

# What it does itself, and what the engine does for every backend.
HONOURED = frozenset(
    {
        *("argv", "cwd", "env", "inherit_env"),
        *("after", "array", "deadline", "hold", "name", "not_before", "retry", "tags"),
    }
)


class EchoBackend:
    """Run commands one after the other, and remember how each ended."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._folder = context.home / "backends" / context.name

    def _record(self, token: str) -> Path:
        return self._folder / hashlib.sha256(token.encode()).hexdigest()

    def _read(self, token: str) -> dict[str, Any] | None:
        try:
            row: dict[str, Any] = json.loads(self._record(token).read_text())
        except FileNotFoundError:
            return None
        return row

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say that the token is a key."""
        return Capabilities(claim=Claim.SERVER_KEY, poll_s=0.1, idle_poll_s=0.5)

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Refuse all but the simplest."""
        return Plan(
            backend=self._context.name,
            command=spec.argv,
            fields=tuple(
                FieldPlan(field=name, support=Support.HONOURED)
                if name in HONOURED
                else FieldPlan(field=name, support=Support.REFUSED, note="echo is simple")
                for name in fields_set(spec)
            ),
        )

    @hookimpl
    def drover_start(self) -> bool:
        """Make the folder."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return True

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> Sequence[SubmitAnswer]:
        """Run what is not known yet."""
        return [self._submit(attempt) for attempt in attempts]

    def _submit(self, attempt: Attempt) -> SubmitAnswer:
        row = self._read(attempt.token)
        if row is None:
            row = self._run(attempt)
        if row["closed"]:
            return SubmitAnswer(token=attempt.token, answer=Answer.REFUSED, message="closed")
        return SubmitAnswer(token=attempt.token, answer=Answer.ACCEPTED, native_id=row["native_id"])

    def _run(self, attempt: Attempt) -> dict[str, Any]:
        folder = self._context.attempt_dir(attempt)
        try:
            done = subprocess.run(
                attempt.spec.argv,
                cwd=attempt.spec.cwd,
                env=attempt.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        except OSError as exc:
            code, out, err = 127, b"", str(exc).encode()
        (folder / Stream.STDOUT).write_bytes(out)
        (folder / Stream.STDERR).write_bytes(err)
        row = {"native_id": f"e{self._record(attempt.token).name[:8]}", "code": code}
        return self._write(attempt.token, {**row, "closed": False})

    def _write(self, token: str, row: dict[str, Any]) -> dict[str, Any]:
        self._record(token).write_text(json.dumps(row))
        return row

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> Sequence[Found]:
        """Look into the folder."""
        rows = ((token, self._read(token)) for token in tokens)
        return [
            Found(token=token, native_id=row["native_id"])
            for token, row in rows
            if row is not None and not row["closed"]
        ]

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed:
        """Tell the end of each attempt that is known."""
        return Observed(observations=tuple(self._observations(attempts)))

    def _observations(self, attempts: Sequence[Attempt]) -> Iterator[Observation]:
        now = self._context.clock.time()
        for attempt in attempts:
            row = self._read(attempt.token)
            if row is not None and not row["closed"]:
                end = EndReport(source=Source.SERVER, at=now, exit_code=row["code"])
                yield Observation(
                    token=attempt.token,
                    phase=Phase.ENDED,
                    source=Source.SERVER,
                    at=now,
                    native_id=row["native_id"],
                    native_state="echoed",
                    started_at=now,
                    end=end,
                )

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> Sequence[OrderAnswer]:
        """Be always too late."""
        return [
            OrderAnswer(
                token=order.attempt.token, request_id=order.request.id, verdict=Verdict.TOO_LATE
            )
            for order in orders
        ]

    @hookimpl
    def drover_close(self, tokens: Sequence[str]) -> Sequence[CloseAnswer]:
        """Take the key, so that nobody can."""
        return [self._close(token) for token in tokens]

    def _close(self, token: str) -> CloseAnswer:
        row = self._read(token) or self._write(token, {"native_id": None, "closed": True})
        closing = Closing.CLOSED if row["closed"] else Closing.TAKEN
        return CloseAnswer(token=token, closing=closing, native_id=row["native_id"])

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read from the attempt's folder."""
        path = self._context.attempt_dir(attempt) / stream
        if not path.exists():
            return None
        data = path.read_bytes()
        return Chunk(data=data[offset : offset + size], offset=offset, size=len(data))
