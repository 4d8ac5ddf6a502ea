"""A backend with real processes and an engine that is only a list of what it was told."""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from drover.models import (
    Attempt,
    Chunk,
    EndReport,
    JobSpec,
    Observation,
    Order,
    OrderAnswer,
    Phase,
    Request,
    Stream,
    Verb,
    Verdict,
)
from drover_local import LocalBackend
from drover_local._doctor import ask_status
from drover_local._place import Place
from drover_local._tree import read_token

DEADLINE_S = 15.0


class StubContext:
    """What an engine gives a backend; `durable=False` never says that anything is durable."""

    store_id = "store"

    def __init__(self, home: Path, epoch: int, config: Mapping[str, Any], name: str) -> None:
        self.home, self.epoch, self.config, self.name = home, epoch, config, name
        self.durable = True
        self.seen: list[Observation] = []
        self.news = threading.Condition()

    def report(
        self, observations: list[Observation], on_durable: Callable[[], None] | None = None
    ) -> None:
        with self.news:
            self.seen.extend(observations)
            self.news.notify_all()
        if self.durable and on_durable is not None:
            on_durable()


class Bench:
    """One store's home and the engines that come and go on it."""

    def __init__(self, home: Path) -> None:
        # Processes are found by their tokens: those of another test must have others.
        self.store_id = f"s{secrets.token_hex(4)}"
        self.store = home
        self.home = home
        """Where jobs run."""
        self.submitted: list[Attempt] = []
        self.name = "local"
        self.config: dict[str, Any] = {"cpus": 4, "idle_s": 1, "grace_s": 3, "gpus": 0}
        self.backends: list[LocalBackend] = []
        self.context: Any = None
        self.backend: LocalBackend = None  # type: ignore[assignment]
        self.epoch = 0
        self.count = 0

    @property
    def place(self) -> Place:
        return Place(str(self.store / "backends" / self.name))

    def start(self, *, epoch: int | None = None, durable: bool = True) -> StubContext:
        """Begin as another engine."""
        self.epoch = self.epoch + 1 if epoch is None else epoch
        context = StubContext(self.store, self.epoch, self.config, self.name)
        context.durable = durable
        backend = LocalBackend(context)  # type: ignore[arg-type]
        backend.drover_start()
        self.backends.append(backend)
        self.context, self.backend = context, backend
        return context

    def leave(self) -> None:
        """Be gone without a word, as an engine that is killed."""
        self.backend.drover_stop()

    def attempt(self, *argv: str, **fields: Any) -> Attempt:
        self.count += 1
        number = fields.pop("number", 1)
        env = fields.pop("env", {"PATH": os.environ["PATH"], "HOME": "/"})
        fields.setdefault("cwd", str(self.home))
        job_id = f"j{self.count}"
        return Attempt(
            job_id=job_id,
            number=number,
            token=f"{self.store_id}.{job_id}.{number}",
            spec=JobSpec(argv=argv, **fields),
            age=self.count,
            base_environment=env,
            base_digest=str(hash(frozenset(env.items()))),
            variables={"DROVER_JOB_ID": job_id},
        )

    def submit(self, *argv: str, **fields: Any) -> Attempt:
        attempt = self.attempt(*argv, **fields)
        (answer,) = self.backend.drover_submit([attempt])

        assert "accepted" == answer.answer, answer.message

        self.submitted.append(attempt)
        return attempt

    def rows(self, attempt: Attempt) -> list[Observation]:
        return [row for row in self.context.seen if row.token == attempt.token]

    def until(self, what: str, check: Callable[[], Any], timeout_s: float = DEADLINE_S) -> Any:
        """Poll until *check* is true; tell all that was seen if it never is."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = check()
            if found:
                return found
            if time.monotonic() > deadline:
                told = "\n".join(map(str, self.context.seen[-20:]))
                log = self.place.log
                text = Path(log).read_text("utf-8") if Path(log).exists() else ""
                pytest.fail(f"not in {timeout_s:g} s: {what}\nseen:\n{told}\nlog:\n{text}")
            with self.context.news:
                self.context.news.wait(0.02)

    def phase(self, attempt: Attempt, phase: Phase) -> Observation:
        """Wait until the engine is told that an attempt is in *phase*."""

        def check() -> Observation | None:
            return next((row for row in self.rows(attempt) if row.phase is phase), None)

        row: Observation = self.until(f"{attempt.job_id} is {phase}", check)
        return row

    def running(self, attempt: Attempt) -> int:
        """Wait until it runs, give its process id."""
        return int(self.phase(attempt, Phase.RUNNING).native_state.split()[1])

    def end(self, attempt: Attempt) -> EndReport:
        """Wait for its end."""
        report = self.phase(attempt, Phase.ENDED).end

        assert report is not None

        return report

    def order(self, attempt: Attempt, verb: Verb, **fields: Any) -> OrderAnswer:
        self.count += 1
        request = Request(id=f"r{self.count}", verb=verb, by="me", at=0.0, **fields)
        (answer,) = self.backend.drover_control([Order(attempt=attempt, request=request)])
        return answer

    def output(self, attempt: Attempt, stream: Stream = Stream.STDOUT) -> bytes:
        chunk = self.backend.drover_read_output(attempt, stream, 0, 10**6)

        assert isinstance(chunk, Chunk)

        return chunk.data

    def status(self) -> dict[str, Any]:
        status = ask_status(self.place)

        assert status is not None

        return status

    def kill(self, *which: str) -> None:
        """Kill -9 the agent, its keeper, or both at the same moment."""
        status = self.status()
        pids = [status[name] for name in which]
        # Stopped first, neither can do anything about the other's death.
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """End what a test has left running, for the next one."""
        for attempt in self.submitted:
            if any(row.phase is Phase.ENDED for row in self.rows(attempt)):
                continue
            if self.order(attempt, Verb.KILL).verdict is Verdict.SIGNALLED:
                self.end(attempt)
        self.submitted.clear()
        self.context.seen.clear()

    def tear_down(self) -> None:
        for backend in self.backends:
            with contextlib.suppress(OSError):
                backend.drover_stop()
        status = None
        with contextlib.suppress(OSError):
            status = ask_status(self.place)
        doomed = [status["keeper"], status["pid"]] if status else []
        doomed += [pid for pid in psutil.pids() if read_token(pid).startswith(self.store_id)]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
