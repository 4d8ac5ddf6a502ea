"""A session made of plain records, so that what the command line shows can be tested alone."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pytest
from attrs import define, evolve, field
from click.testing import CliRunner, Result

from drover.cli._app import app
from drover.cli._settings import Settings
from drover.errors import AmbiguousJobError, UnknownJobError
from drover.events import Started, Submitted
from drover.models import (
    CancelVerdict,
    Capabilities,
    Diagnosis,
    EndReport,
    FieldPlan,
    Health,
    JobRecord,
    JobSpec,
    Outcome,
    Plan,
    Reason,
    Source,
    Support,
    Usage,
    Verb,
    Verdict,
)
from drover.models import Started as StartedWord
from drover.states import ENDED, State

T0 = 1_795_000_000.0


@define
class FakeOutput:
    data: bytes = b""
    path: Path | None = None
    earlier: dict[int, bytes] = field(factory=dict)

    def read_bytes(self, offset: Any = 0, size: Any = None, *, attempt: Any = None) -> Any:
        data = self.earlier.get(attempt, self.data)
        return data[offset : None if size is None else offset + size]


@define
class FakeEntry:
    seq: int
    job_id: str
    at: float
    name: str
    event: object


@define
class FakeJob:
    record: JobRecord
    stdout: FakeOutput = field(factory=FakeOutput)
    stderr: FakeOutput = field(factory=FakeOutput)
    behind: list = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record, name)

    @property
    def name(self) -> Any:
        return self.record.spec.label

    def blockers(self) -> Any:
        return self.behind

    def history(self) -> Any:
        told = [
            Submitted(at=T0, spec=self.record.spec, backend=self.record.backend),
            Started(at=T0 + 1, attempt=1, source=Source.AGENT),
        ]
        return [
            FakeEntry(n, self.id, event.at, type(event).__name__, event)
            for n, event in enumerate(told, start=1)
        ]


@define
class FakeArray:
    elements: list[FakeJob]
    id: str = "arr1"

    @property
    def spec(self) -> Any:
        return self.elements[0].record.spec

    @property
    def counts(self) -> Any:
        return Counter(job.state for job in self.elements)

    def __iter__(self) -> Any:
        return iter(self.elements)

    def __len__(self) -> Any:
        return len(self.elements)


@define
class FakeBackend:
    name: str = "local"
    plugin: str = "local"
    distribution: str = "drover-local"
    version: str = "1"
    ok: bool = True
    error: str = ""
    broken: bool = False
    capabilities: Capabilities | None = field(factory=Capabilities)


@define
class FakeEngine:
    running: bool = True
    pid: int = 42
    host: str = "here"
    started_at: float = T0
    epoch: int = 3
    version: str = "0.1"
    backends: tuple = field(factory=lambda: (FakeBackend(),))
    jobs: dict = field(factory=dict)
    log: Path = Path("/home/engine.log")


@define
class FakeSession:
    """Answers from `things`; remembers what was asked in `asked`."""

    things: list = field(factory=list)
    verdict: Verdict = Verdict.DONE
    default_backend: str = "local"
    read_only: bool = False
    engine: FakeEngine = field(factory=FakeEngine)
    home: Path = Path("/home")
    asked: list = field(factory=list)
    infos: list = field(factory=lambda: [FakeBackend()])
    findings: list = field(
        factory=lambda: [Diagnosis(subject="local", health=Health.OK, message="2 slots")]
    )
    outcome: Outcome = field(
        factory=lambda: Outcome(reason=Reason.EXITED, exit_code=0, started=StartedWord.YES)
    )

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> Any:
        return None

    def submit(
        self, spec: JobSpec, *, backend: Any = None, key: Any = None, allow: Any = ()
    ) -> Any:
        self.asked.append(("submit", spec, backend, key, allow))
        state = State.SUCCEEDED if self.outcome.succeeded else State.FAILED
        job = FakeJob(record(id="new1", spec=spec, state=state, outcome=self.outcome))
        job.stdout.data, job.stderr.data = b"out\x1b[31m\xff\n", b"err\n"
        self.things.append(job)
        return job

    def job(self, word: Any) -> Any:
        found = [thing for thing in self._all() if thing.id.startswith(word)]
        exact = [thing for thing in found if thing.id == word]
        if not found:
            raise UnknownJobError(word)
        if len(found) > 1 and not exact:
            raise AmbiguousJobError(word, [thing.id for thing in found])
        return (exact or found)[0]

    def _all(self) -> Any:
        return self.things

    def jobs(self, *, state: Any = None, newest: Any = 100, **filters: Any) -> Any:
        self.asked.append(("jobs", filters))
        states = list(State) if state is None else [state] if isinstance(state, State) else state
        chosen = [job for job in self.things if job.state in states]
        return sorted(chosen, key=lambda job: -job.n)[:newest]

    def counts(self, **_: Any) -> Any:
        return dict(Counter(job.state for job in self.things))

    def wait(self, jobs: Any, timeout: Any = None, when: Any = "all") -> Any:
        jobs = list(jobs)
        done = [job for job in jobs if job.state in ENDED]
        return done, [job for job in jobs if job not in done]

    def ask(self, jobs: Any, verb: Any, **details: Any) -> Any:
        self.asked.append((verb, [job.id for job in jobs], details))
        return [CancelVerdict(job=job.id, verdict=self.verdict, verb=verb) for job in jobs]

    def cancel(self, jobs: Any, **details: Any) -> Any:
        return self.ask(jobs, Verb.CANCEL, **details)

    def retry(self, jobs: Any, *, may_run_twice: Any = False) -> Any:
        self.asked.append(("retry", [job.id for job in jobs], may_run_twice))
        return list(jobs)

    def resolve(self, jobs: Any, state: Any, why: Any = "") -> Any:
        self.asked.append(("resolve", [job.id for job in jobs], state, why))

    def approve(self, jobs: Any) -> Any:
        self.asked.append(("approve", [job.id for job in jobs]))

    def purge(self, *, jobs: Any = None, ended_before: Any = None) -> Any:
        self.asked.append(("purge", jobs, ended_before))
        return 3

    def plan(self, spec: Any, backend: Any = None) -> Any:
        row = FieldPlan(field="resources.account", support=Support.REFUSED, note="no accounts")
        honoured = FieldPlan(field="argv", support=Support.HONOURED)
        refused = () if spec.resources.account is None else (row,)
        return Plan(
            backend=backend or "local",
            fields=(honoured, *refused),
            command=spec.argv,
            script="line 1\nline \x1b[2J",
            totals={"cpus": "1"},
        )

    def backends(self) -> Any:
        return self.infos

    def doctor(self, backend: Any = None) -> Any:
        return self.findings

    def engine_status(self) -> Any:
        return self.engine

    def engine_stop(self, timeout: Any = 10.0) -> Any:
        return True

    def engine_start(self) -> Any:
        return FakeEngine()


def record(**changes: Any) -> Any:
    """Make the record of a job that ended well, with changes."""
    report = EndReport(source=Source.AGENT, at=T0 + 2, exit_code=0, usage=Usage(wall_s=1.0))
    outcome = Outcome(
        reason=Reason.EXITED,
        started=StartedWord.YES,
        exit_code=0,
        evidence=(report,),
        usage=Usage(cpu_user_s=0.5, max_rss_bytes=2**20, wall_s=1.0, host="here"),
    )
    base = JobRecord(
        id="ab12cd",
        n=1,
        backend="local",
        spec=JobSpec(argv=("echo", "hi"), name="greet", tags=("blue",)),
        state=State.SUCCEEDED,
        native_id="77",
        submitted_at=T0,
        started_at=T0 + 1,
        ended_at=T0 + 2,
        outcome=outcome,
    )
    return evolve(base, **changes)


@pytest.fixture
def make_record() -> Any:
    return record


@pytest.fixture
def make_job() -> Any:
    return lambda **changes: FakeJob(record(**changes))


@pytest.fixture
def make_array() -> Any:
    return FakeArray


@pytest.fixture
def make_backend() -> Any:
    return FakeBackend


@pytest.fixture
def session() -> Any:
    return FakeSession()


@pytest.fixture
def call(session: Any) -> Any:
    """Run a command line against the fake session; give click's result."""

    def run(*words: Any, **kwargs: Any) -> Result:
        opened = []
        settings = Settings(opener=lambda home, **_: opened.append(home) or session)
        result = CliRunner().invoke(app, list(words), obj=settings, standalone_mode=False, **kwargs)
        error = result.exception
        if error is not None and not isinstance(error, (click.ClickException, SystemExit)):
            raise error
        result.opened = opened
        result.code = result.return_value
        return result

    return run


@pytest.fixture
def call_json(call: Any) -> Any:
    """Run a command line with `--json` and read what it printed."""
    return lambda *words: json.loads(call(*words, "--json").stdout)
