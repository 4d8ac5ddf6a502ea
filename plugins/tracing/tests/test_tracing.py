"""The tracer alone, around a backend that answers, raises or is not there."""

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from drover import hookspecs
from drover.errors import ConfigError, UnreachableError
from drover.events import Started
from drover.models import Answer, Attempt, JobRecord, JobSpec, Source, SubmitAnswer
from drover_tracing import Tracer, tracing

SECRET = "hunter2"
SPEC = JobSpec(argv=("curl", f"--user=me:{SECRET}"), env={"TOKEN": SECRET})
ATTEMPT = Attempt(job_id="j1", number=1, token="t1", spec=SPEC)


class StepClock:
    """Be a clock that goes on by a quarter of a second each time it is read."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        self.now += 0.25
        return self.now


class OneAnswer:
    """Be a backend that accepts everything and cannot be reached for a search."""

    @hookspecs.hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        return [SubmitAnswer(token=a.token, answer=Answer.ACCEPTED) for a in attempts]

    @hookspecs.hookimpl
    def drover_find(self, tokens: Sequence[str]) -> None:
        raise UnreachableError("the server", f"bad password {SECRET}")


def make_tracer(home: Path, **config: Any) -> Tracer:
    context: Any = SimpleNamespace(
        name="tracing", around="here", home=home, config=config, clock=StepClock()
    )
    return tracing(context)


def make_caller(tracer: Tracer) -> Any:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs.BackendHooks)
    manager.add_hookspecs(hookspecs.LifecycleHooks)
    manager.register(OneAnswer())
    manager.register(tracer)
    manager.check_pending()
    return manager.hook


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DROVER_TRACE", raising=False)


def test_a_call_becomes_one_line(tmp_path: Path) -> None:
    """A trace that does not tell what was called, for how many and how long, is no use."""
    hook = make_caller(make_tracer(tmp_path, file="trace.jsonl"))

    answers = hook.drover_submit(attempts=[ATTEMPT])

    assert [SubmitAnswer(token="t1", answer=Answer.ACCEPTED)] == answers
    (line,) = read_lines(tmp_path / "trace.jsonl")
    line.pop("pid")
    assert {
        "kind": "call",
        "at": 1000.0,
        "hook": "drover_submit",
        "backend": "here",
        "seconds": 0.25,
        "items": 1,
        "answers": 1,
        "error": None,
    } == line


def test_an_exception_passes_through_and_is_written(tmp_path: Path) -> None:
    """A tracer that swallows an exception changes what it watches."""
    hook = make_caller(make_tracer(tmp_path, file="trace.jsonl"))

    with pytest.raises(UnreachableError):
        hook.drover_find(tokens=["t1", "t2"])

    (line,) = read_lines(tmp_path / "trace.jsonl")
    assert ("drover_find", 2, "UnreachableError") == (line["hook"], line["items"], line["error"])


def test_nothing_secret_is_written(tmp_path: Path) -> None:
    """A trace is attached to bug reports: no argument, variable or message may be in it."""
    hook = make_caller(make_tracer(tmp_path, file="trace.jsonl"))
    record = JobRecord(id="j1", backend="here", spec=SPEC)

    hook.drover_plan(spec=SPEC)
    hook.drover_submit(attempts=[ATTEMPT])
    with pytest.raises(UnreachableError):
        hook.drover_find(tokens=["t1"])
    hook.drover_job_transition(job=record, event=Started(at=5.0, attempt=1, source=Source.AGENT))

    text = (tmp_path / "trace.jsonl").read_text()
    assert SECRET not in text
    assert "curl" not in text
    assert 4 == len(text.splitlines())


def test_a_fact_becomes_one_line(tmp_path: Path) -> None:
    """Without the facts nobody can say which call moved which job."""
    hook = make_caller(make_tracer(tmp_path, file="trace.jsonl"))
    record = JobRecord(id="j1", backend="here", spec=SPEC)

    hook.drover_job_transition(job=record, event=Started(at=5.0, attempt=1, source=Source.AGENT))

    (line,) = read_lines(tmp_path / "trace.jsonl")
    assert ("fact", 5.0, "j1", "Started", "NEW") == (
        line["kind"],
        line["at"],
        line["job"],
        line["event"],
        line["state"],
    )


def test_every_backend_hook_is_wrapped() -> None:
    """A hook that is added later must not be missing from the trace."""
    hooks = {name for name in vars(hookspecs.BackendHooks) if name.startswith("drover_")}
    wrapped = {
        name
        for name, method in vars(Tracer).items()
        if getattr(method, "drover_impl", {}).get("wrapper")
    }

    assert hooks == wrapped


def test_only_the_user_can_read_the_file(tmp_path: Path) -> None:
    """Names of jobs and times of work are nobody else's business."""
    hook = make_caller(make_tracer(tmp_path, file="trace.jsonl"))

    hook.drover_submit(attempts=[])

    assert 0o600 == stat.S_IMODE((tmp_path / "trace.jsonl").stat().st_mode)


def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    """Installing a package must not begin to fill a disk."""
    hook = make_caller(make_tracer(tmp_path))

    hook.drover_submit(attempts=[ATTEMPT])

    assert [] == list(tmp_path.iterdir())


def test_the_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command must be traceable without an edit of the configuration."""
    monkeypatch.setenv("DROVER_TRACE", str(tmp_path / "here.jsonl"))
    hook = make_caller(make_tracer(tmp_path / "home", file="trace.jsonl"))

    hook.drover_submit(attempts=[ATTEMPT])

    assert ["here.jsonl"] == [path.name for path in tmp_path.iterdir()]


def test_a_file_that_cannot_be_written_harms_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk under the trace must not stop jobs; it is said once, not per call."""
    hook = make_caller(make_tracer(tmp_path, file="no/such/folder/trace.jsonl"))

    for _ in range(3):
        assert hook.drover_submit(attempts=[ATTEMPT])

    assert ["cannot write the trace"] == [row.getMessage()[:22] for row in caplog.records]


@pytest.mark.parametrize("config", [{"flie": "x"}, {"file": 3}])
def test_a_wrong_option_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    """A misspelt option that is silently ignored costs an afternoon."""
    with pytest.raises(ConfigError, match=r"plugins\.tracing"):
        make_tracer(tmp_path, **config)
