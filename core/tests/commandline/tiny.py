"""A batch system in twenty lines, what drover has to be told of it, and a backend on both.

`tsub` takes a job or an array and says its id, `tq` lists, `thist` remembers, `tfind` searches by
name, `tdel` cancels, `tping` answers. Its jobs run when a test says so, through the real wrapper.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from drover._plugins import BackendContext
from drover.commandline import (
    Batch,
    Command,
    CommandLineBackend,
    Known,
    Left,
    Recalled,
    Row,
    Submission,
    Talk,
    TaskSettings,
)
from drover.errors import UnreachableError
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Claim,
    Diagnosis,
    EndReport,
    FieldPlan,
    Health,
    JobSpec,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Request,
    Source,
    Support,
    Verb,
    Verdict,
    fields_set,
)
from drover.testing import FakeClock


@frozen
class Reply:
    """What a command came to."""

    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    argv: tuple[str, ...] = ()


@define
class Task:
    """One element as the batch system knows it."""

    key: str
    name: str
    script: bytes
    state: str = "Q"
    code: int = 0
    restart: int = 0


@define
class World:
    """The batch system itself."""

    jobs: dict[str, Task] = field(factory=dict)
    log: list[tuple[str, ...]] = field(factory=list)
    forgotten: set[str] = field(factory=set)
    """Those that the listing does not show any more."""
    faults: list[Callable[[tuple[str, ...]], Reply | None]] = field(factory=list)
    """Each may answer in the place of the real one."""
    next_id: int = 1

    def run(self, argv: tuple[str, ...], script: bytes) -> Reply:
        """Answer a command line."""
        self.log.append(argv)
        for fault in self.faults:
            told = fault(argv)
            if told is not None:
                return told
        program, *words = argv
        answer: Callable[..., str] = getattr(self, program)
        return Reply(answer(*words, script=script) if program == "tsub" else answer(*words))

    def tsub(self, key: str, name: str, size: str, *_: str, script: bytes) -> str:
        native_id = str(self.next_id)
        self.next_id += 1
        ids = [f"{native_id}.{n}" for n in range(int(size))] if int(size) > 1 else [native_id]
        self.jobs.update((each, Task(key, name, script)) for each in ids)
        return native_id

    def tq(self) -> str:
        shown = {i: t for i, t in self.jobs.items() if i not in self.forgotten}
        return "".join(f"{i} {t.key} {t.state} {t.code} {t.restart}\n" for i, t in shown.items())

    def thist(self, *ids: str) -> str:
        found = [(i, self.jobs[i]) for i in ids if i in self.jobs]
        return "".join(f"{i} {t.key} {t.state} {t.code} {t.restart}\n" for i, t in found)

    def tfind(self, *names: str) -> str:
        found = {i.partition(".")[0]: t for i, t in self.jobs.items() if t.name in names}
        return "".join(f"{i} {task.key}\n" for i, task in found.items())

    def tping(self) -> str:
        return "here"

    def tdel(self, *ids: str) -> str:
        for each in ids:
            if self.jobs[each].state in "QR":
                self.jobs[each].state = "X"
        return ""

    def execute(self, native_id: str, **env: str) -> int:
        """Run a job, as a node does; it is shown as ended then."""
        task = self.jobs[native_id]
        job, _, index = native_id.partition(".")
        variables = {"TINY_ID": job, "TINY_INDEX": index, "TINY_RESTART": str(task.restart), **env}
        done = subprocess.run(
            ["/bin/sh"], input=task.script, env={**os.environ, **variables}, timeout=30,
            capture_output=True, check=False,
        )  # fmt: skip
        task.state, task.code = "E", done.returncode
        return done.returncode


class Tiny:
    """All that has to be said about it."""

    native_id = "{TINY_ID}"
    element_id = "{TINY_ID}.{TINY_INDEX}"
    element_index = "{TINY_INDEX}"
    element_pattern = "{id}.{index}"
    restart = "{TINY_RESTART}"
    settings = TaskSettings(pass_env=("TINY_*",), env={"TINY": "yes"})
    most_elements = 100
    capabilities = Capabilities(
        claim=Claim.DIRECTORY, arrays=True, exit_record=True, restart=True,
        verbs=frozenset({Verb.CANCEL, Verb.TERMINATE, Verb.KILL}),
    )  # fmt: skip

    def start(self) -> Talk[None]:
        yield Command(argv=("tping",))

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        judged = [FieldPlan(field=name, support=Support.HONOURED) for name in fields_set(spec)]
        return Plan(backend="tiny", fields=tuple(judged), command=("tsub",), script=script.decode())

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        return (f"cpus={spec.resources.cpus}",)

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        words = ("tsub", batch.key, batch.label, str(len(batch.tokens)), *self.options(batch.spec))
        reply = yield Command(argv=words, input=script)
        if reply.returncode:
            return Submission(answer=Answer.REFUSED, message=reply.stderr)
        if not reply.stdout.strip().isdecimal():
            return Submission(answer=Answer.UNKNOWN, message="no id")
        return Submission(answer=Answer.ACCEPTED, native_id=reply.stdout.strip())

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        return self._rows((yield Command(argv=("tq",))), Source.QUEUE)

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        ids = [entry.known.native_id for entry in left]
        reply = yield Command(argv=("thist", *ids))
        rows = self._rows(reply, Source.ACCOUNTING)
        return Recalled(rows=rows, complete=reply.returncode == 0)

    def _rows(self, reply: Any, source: Source) -> list[Row]:
        if reply.returncode and source is Source.QUEUE:
            raise UnreachableError(reply.argv[0], reply.stderr)
        return [_row(line.split(), source) for line in reply.stdout.splitlines()]

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        reply = yield Command(argv=("tfind", *keys.values()))
        pairs = [line.split() for line in reply.stdout.splitlines()]
        return {key: native_id for native_id, key in pairs if key in keys}

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        ids = [known[order.attempt.token].native_id for order in orders]
        if ids:
            yield Command(argv=("tdel", *ids))
        return [
            OrderAnswer(
                token=order.attempt.token, request_id=order.request.id, verdict=Verdict.SIGNALLED
            )
            for order in orders
        ]

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        yield Command(argv=("tping",))
        return [Diagnosis(subject="tiny", health=Health.OK, message="it answers")]


_PHASES = {"Q": Phase.QUEUED, "R": Phase.RUNNING, "L": Phase.RUNNING, "E": Phase.ENDED,
           "X": Phase.ENDED}  # fmt: skip


def _row(words: Sequence[str], source: Source) -> Row:
    native_id, key, state, code, restart = words
    phase = _PHASES.get(state, Phase.UNKNOWN)
    end = None
    if phase is Phase.ENDED and state == "E":
        end = EndReport(source=source, at=5.0, exit_code=int(code), native_id=native_id)
    return Row(
        native_id=native_id, submission=native_id.partition(".")[0], key=key, phase=phase,
        source=source, word=state, restart=int(restart), end=end, is_leaving=state == "L",
    )  # fmt: skip


@frozen(kw_only=True)
class TinyContext(BackendContext):
    """What a backend is given to work with, on a world."""

    world: World

    def run(self, argv: Sequence[str], *, input: bytes = b"", timeout_s: float = 30.0) -> Any:
        return self.world.run(tuple(argv), input)


class TinyBackend(CommandLineBackend):
    """A backend, as a plugin makes one."""

    def __init__(self, context: TinyContext, scheduler: Tiny | None = None) -> None:
        super().__init__(context, scheduler or Tiny())


@define
class Bench:
    """A world, and a backend on it."""

    home: Path
    world: World = field(factory=World)
    clock: FakeClock = field(factory=FakeClock)
    reported: list[Any] = field(factory=list)
    backend: "TinyBackend" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.backend = self.another()

    def another(self) -> TinyBackend:
        """Make the backend of another process."""
        context = TinyContext(
            name="tiny", home=self.home, store_id="store", clock=self.clock, world=self.world,
            reporter=lambda rows, _: self.reported.extend(rows),
        )  # fmt: skip
        return TinyBackend(context)

    def attempt(self, number: int = 0, *argv: str, **fields: Any) -> Attempt:
        spec = JobSpec(argv=argv or ("true",), **fields)
        return Attempt(
            job_id=f"job{number}", number=1, token=f"store-job{number}-1", spec=spec,
            variables=dict(spec.env), base_environment={"PATH": os.environ["PATH"]},
            base_digest="d",
        )  # fmt: skip

    def folder(self, attempt: Attempt) -> Path:
        return self.home / "jobs" / attempt.job_id / str(attempt.number)

    def order(self, attempt: Attempt, verb: Verb = Verb.CANCEL, **facts: Any) -> Order:
        request = Request(id=f"{verb}-{attempt.token}", verb=verb, by="ann", at=0.0, **facts)
        return Order(attempt=attempt, request=request)
