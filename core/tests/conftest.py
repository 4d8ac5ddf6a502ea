"""A bench for the real engine: a scripted backend, lanes without threads, a fake clock."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, define, evolve, field

from drover._engine._engine import Engine
from drover._engine._lanes import Call, Reply, allowed_s, execute
from drover._plugins import Backend, BackendContext, assemble
from drover._store import Store
from drover.config import Config
from drover.errors import BrokenPluginError, CallOverdueError
from drover.events import Event
from drover.hookspecs import hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    CloseAnswer,
    Closing,
    EndReport,
    FieldPlan,
    Found,
    JobRecord,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    StageAnswer,
    SubmitAnswer,
    Support,
    Verb,
    Verdict,
    fields_set,
)
from drover.session import Job, Session
from drover.testing import FakeClock
from drover.testing._installed import installed

NAME = "scripted"
OTHER = "other"


class Killed(BaseException):
    """Be the SIGKILL of an engine: nothing may catch it."""


@define
class World:
    """What the outside knows: it lives on when engines die."""

    clock: FakeClock
    capabilities: Capabilities = field(factory=Capabilities)
    log: list[tuple[str, Any]] = field(factory=list)
    """Hooks that were called, with what they were given."""
    answers: dict[str, deque[Callable[[Any], Any]]] = field(factory=lambda: defaultdict(deque))
    """By hook: what to do instead of the next calls. Each is given the hook's argument."""
    rows: dict[str, Observation] = field(factory=dict)
    """By token: what is seen of an attempt."""
    runs: list[str] = field(factory=list)
    """Tokens, as often as they were accepted to run."""
    hangs: set[str] = field(factory=set)
    """Hooks that do not return."""
    dies: dict[str, str] = field(factory=dict)
    """By hook: whether the engine is killed `before` or `after` its next call."""

    def accept(self, attempt: Attempt) -> SubmitAnswer:
        """Take an attempt; where the token is the key, once."""
        if attempt.token not in self.rows:
            self.runs.append(attempt.token)
            self.rows[attempt.token] = Observation(
                token=attempt.token,
                phase=Phase.QUEUED,
                source=Source.SERVER,
                at=self.clock.time(),
                native_id=f"n{len(self.runs)}",
            )
        return SubmitAnswer(
            token=attempt.token,
            answer=Answer.ACCEPTED,
            native_id=self.rows[attempt.token].native_id,
        )

    def see(self, token: str, phase: Phase, **changes: Any) -> Observation:
        """Change what is seen of an attempt."""
        changes = {"at": self.clock.time(), "phase": phase, **changes}
        self.rows[token] = evolve(self.rows[token], **changes)
        return self.rows[token]

    def end(self, token: str, exit_code: int = 0, **changes: Any) -> Observation:
        """Let an attempt end."""
        report = EndReport(source=Source.SERVER, at=self.clock.time(), exit_code=exit_code)
        return self.see(token, Phase.ENDED, end=evolve(report, **changes))

    def called(self, hook: str) -> list[Any]:
        """List what a hook was given, call by call."""
        return [given for name, given in self.log if name == hook]


class Scripted:
    """A backend that answers from the world, or as the test says."""

    def __init__(self, context: BackendContext, world: World) -> None:
        self.context = context
        self.world = world

    def _do(self, hook: str, given: Any, usual: Callable[[Any], Any]) -> Any:
        self.world.log.append((hook, given))
        special = self.world.answers[hook]
        return (special.popleft() if special else usual)(given)

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        return self.world.capabilities

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        rows = [FieldPlan(field=name, support=Support.HONOURED) for name in fields_set(spec)]
        return Plan(fields=tuple(rows), command=spec.argv)

    @hookimpl
    def drover_start(self) -> Any:
        return self._do("drover_start", None, lambda _: None)

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> Any:
        return self._do("drover_submit", attempts, lambda all_: [*map(self.world.accept, all_)])

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> Any:
        return self._do("drover_find", tokens, self._find)

    def _find(self, tokens: Sequence[str]) -> list[Found]:
        rows = [self.world.rows[token] for token in tokens if token in self.world.rows]
        return [Found(token=row.token, native_id=str(row.native_id)) for row in rows]

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Any:
        return self._do("drover_observe", attempts, self._observe)

    def _observe(self, attempts: Sequence[Attempt]) -> Observed:
        rows = [self.world.rows[one.token] for one in attempts if one.token in self.world.rows]
        return Observed(observations=tuple(rows))

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> Any:
        return self._do("drover_control", orders, lambda all_: [answer_to(one) for one in all_])

    @hookimpl
    def drover_close(self, tokens: Sequence[str]) -> Any:
        return self._do("drover_close", tokens, self._close)

    def _close(self, tokens: Sequence[str]) -> list[CloseAnswer]:
        return [
            CloseAnswer(
                token=token,
                closing=Closing.TAKEN if token in self.world.rows else Closing.CLOSED,
                native_id=self.world.rows[token].native_id if token in self.world.rows else None,
            )
            for token in tokens
        ]

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> Any:
        return self._do("drover_stage_in", attempts, moved)

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> Any:
        return self._do("drover_stage_out", attempts, moved)

    @hookimpl
    def drover_forget(self, attempts: Sequence[Attempt]) -> Any:
        return self._do("drover_forget", attempts, lambda _: None)


def answer_to(order: Order, verdict: Verdict = Verdict.SIGNALLED, message: str = "") -> OrderAnswer:
    """Answer an order."""
    return OrderAnswer(
        token=order.attempt.token, request_id=order.request.id, verdict=verdict, message=message
    )


def moved(attempts: Sequence[Attempt]) -> list[StageAnswer]:
    """Say that all transfers went well."""
    return [StageAnswer(token=attempt.token, ok=True) for attempt in attempts]


class InlineLane:
    """A lane that calls at once, or hangs until it is given up."""

    def __init__(self, backend: Backend, world: World, reply: Callable[[Reply], None]) -> None:
        self._backend, self._world, self._reply = backend, world, reply
        self._hanging: Call | None = None
        self._waiting: deque[Call] = deque()
        self.deadline: float | None = None

    def add(self, call: Call) -> None:
        self._waiting.append(call)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._hanging is None:
            call = self._waiting.popleft()
            if call.hook in self._world.hangs:
                self._hanging = call
                self.deadline = self._world.clock.monotonic() + allowed_s(self._backend, call)
                return
            when = self._world.dies.pop(call.hook, "")
            if when == "before":
                raise Killed
            reply = execute(self._backend, call)
            if when == "after":
                raise Killed
            self._reply(reply)

    def give_up_overdue(self) -> None:
        call, deadline = self._hanging, self.deadline
        if call is None or deadline is None or self._world.clock.monotonic() < deadline:
            return
        self._hanging = self.deadline = None
        error = CallOverdueError(NAME, call.hook, allowed_s(self._backend, call))
        self._reply(Reply(call=call, answer=None, error=error))
        self._go_on()

    @property
    def idle(self) -> bool:
        return self._hanging is None and not self._waiting

    def close(self) -> None:
        self._waiting.clear()


class Bench:
    """A store, a session, the world, and one engine after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.world = World(self.clock)
        self._stack = ExitStack()
        for name in (NAME, OTHER):
            self._stack.enter_context(installed(name, self._make))
        self.broken: set[str] = set()
        self.session = Session(Store.open(home, clock=self.clock), Config(), "none", NAME)
        self._stack.callback(self.session.close)
        self.engine: Engine | None = None
        self.contexts: list[BackendContext] = []

    def _make(self, context: BackendContext) -> Scripted:
        if context.epoch:
            self.contexts.append(context)
        return Scripted(context, self.world)

    def _load(self, name: str, context: BackendContext, _config: Config) -> Backend:
        if name in self.broken:
            raise BrokenPluginError(name, "it is broken")
        return assemble(name, self._make(context), {})

    def capable(self, **capabilities: Any) -> None:
        """Say what the backend can do; before the first job."""
        verbs = frozenset(Verb) - {Verb.RETRY}
        self.world.capabilities = Capabilities(**{"verbs": verbs, "poll_s": 1.0, **capabilities})

    # Engines

    def new_engine(self) -> Engine:
        """Make an engine, whether or not another one believes to work."""
        store = Store.open(self.home, clock=self.clock)
        self._stack.callback(store.close)
        store._sql.execute("UPDATE lease SET expires = 0")
        epoch = store.acquire_lease({})
        assert epoch is not None
        return Engine(
            store,
            Config(),
            epoch=epoch,
            wake=lambda: None,
            load=self._load,
            lanes=lambda backend, reply: InlineLane(backend, self.world, reply),
        )

    def start(self) -> Engine:
        """Give the engine that works."""
        self.engine = self.engine or self.new_engine()
        return self.engine

    def crash(self) -> None:
        """Kill the engine: what it has not committed is gone."""
        self.engine = None

    def settle(self) -> None:
        """Do rounds until nothing is left to do at this instant, or the engine is killed."""
        try:
            for _ in range(200):
                if not self.start().round():
                    return
        except Killed:
            self.crash()
            return
        pytest.fail("the engine takes no rest\n" + self.story())

    def advance(self, seconds: float) -> None:
        """Let time pass, as the engine wants to be woken."""
        end = self.clock.monotonic() + seconds
        self.settle()
        while (left := end - self.clock.monotonic()) > 0:
            wait_s = self.start().wait_s()
            self.clock.advance(max(0.01, min(left, left if wait_s is None else wait_s)))
            self.settle()
            self.start().renew()

    # Jobs

    def submit(self, *argv: str, **fields: Any) -> Job:
        """Hand in a job; nothing moves yet."""
        made = self.session.submit(argv or ("x",), **fields)
        assert isinstance(made, Job)
        return made

    def placed(self, phase: Phase | None = None, **fields: Any) -> Job:
        """Hand in a job and let the backend have it."""
        job = self.submit(**fields)
        self.settle()
        if phase is not None:
            self.world.see(job.record.token, phase)
            self.advance(self.world.capabilities.poll_s)
        return job

    def ask(self, job: Job, verb: Verb = Verb.CANCEL, **options: Any) -> Verdict:
        """Ask something of a job; gives the verdict of this instant."""
        return self.session.ask([job], verb, timeout=0.0, **options)[0].verdict

    def names(self, job: Job) -> list[str]:
        """List the facts of a job by name."""
        return [entry.name for entry in job.history()]

    def facts(self, job: Job, name: str) -> list[Any]:
        """List the facts of one kind."""
        return [entry.event for entry in job.history() if entry.name == name]

    def verdicts(self, job: Job) -> list[Verdict]:
        """List what came of the requests that were settled."""
        return [fact.verdict for fact in self.facts(job, "ControlSettled")]

    def rewrite(self, **answers: Callable[[Any], Any]) -> None:
        """Let the next call of hooks do something else: `submit=`, `observe=`..."""
        for hook, answer in answers.items():
            self.world.answers[f"drover_{hook}"].append(answer)

    def rewrite_all(self, hook: str, answers: Sequence[Callable[[Any], Any]]) -> None:
        """Let the next calls of one hook do something else, one after the other."""
        self.world.answers[f"drover_{hook}"].extend(answers)

    # The end

    def story(self) -> str:
        """Tell what happened, for people."""
        lines: list[str] = []
        for job in self.session.jobs(newest=None):
            lines.append(f"{job.id}: {job.state}")
            lines += [
                f"    {row.seq} {row.at} {row.name} {tell(row.event)}" for row in job.history()
            ]
        return "\n".join([*lines, *(hook for hook, _ in self.world.log[-20:])])

    def records(self) -> list[JobRecord]:
        """Give all records, oldest first."""
        return [job.record for job in reversed(self.session.jobs(newest=None))]

    def close(self) -> None:
        """Check what must always be so, and let go."""
        try:
            with self.session.store.read() as reader:
                for replayed, projected in reader.replayed():
                    assert replayed == projected, self.story()
        finally:
            self._stack.close()


def tell(event: Event) -> str:
    """Tell of a fact what differs from fact to fact."""
    return str({k: v for k, v in asdict(event, recurse=False).items() if k not in {"at", "spec"}})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench on an empty store; its journal must replay at the end."""
    made = Bench(tmp_path / "store")
    made.capable()
    yield made
    made.close()
