"""A pytest plugin for suites that run jobs: `pytest -p drover.testing.plugin`.

It adds the fixture `drover_session`, puts the stories of a failed test's jobs into its report,
and takes the options of `drover.testing.suite`.
"""

import shlex
import tomllib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import psutil
import pytest

import drover
from drover.errors import DroverError
from drover.events import Event
from drover.session import Output
from drover.states import State
from drover.testing import suite
from drover.testing._stage import end_all

SESSION: Final = pytest.StashKey[drover.Session]()
MOST_STORIES: Final = 20
MOST_LINES: Final = 20
_TOLD_ELSEWHERE: Final = frozenset({"at", "spec", "outcome", "base_digest"})
_NOTHING: Final = (None, "", ())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of the conformance suite."""
    group = parser.getgroup("drover")
    group.addoption("--drover-backend", metavar="NAME", help="the backend to check")
    group.addoption(
        "--drover-option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an entry of the backend's configuration, as in drover.toml; may be repeated",
    )
    group.addoption(
        "--drover-shared",
        metavar="DIR",
        help="a folder that the jobs can read and write; default: the temporary folder",
    )
    group.addoption(
        "--drover-timeout", metavar="SECONDS", type=float, help="for one small job; default 60"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell the conformance suite what to check."""
    checks = suite.TestBackend
    if name := config.getoption("--drover-backend"):
        checks.backend_name = name
        checks.backend_config = dict(map(_option, config.getoption("--drover-option") or ()))
    if folder := config.getoption("--drover-shared"):
        checks.shared_folder = Path(folder).resolve()
    if seconds := config.getoption("--drover-timeout"):
        checks.timeout_s = seconds


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise pytest.UsageError(f"--drover-option {text!r}: write KEY=VALUE")
    try:
        return key, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return key, value


@pytest.fixture
def drover_session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[drover.Session]:
    """Give a session on a store of its own. At the end no job and no process may be left."""
    with drover.open(tmp_path / "drover", engine="inline") as session:
        request.node.stash[SESSION] = session
        yield session
        del request.node.stash[SESSION]
        unfinished = [
            f"{job.id} ({job.name or job.spec.argv[0]}): {job.state}"
            for job in session.jobs(state=_open_states(), newest=None)
        ]
        end_all(session)
        session.engine_stop()
        running = processes_of(session.store_id)
    if unfinished:
        pytest.fail(f"jobs that had not ended at the end of the test: {', '.join(unfinished)}")
    if running:
        pytest.fail(f"processes of jobs that outlived the test: {running}")


def _open_states() -> list[State]:
    return [state for state in State if not state.ends_wait]


def processes_of(store_id: str) -> list[int]:
    """List the processes on this host that carry a token of the store."""
    found: list[int] = []
    for process in psutil.process_iter(["environ"]):
        # None where the process is somebody else's or is just ending.
        environment: dict[str, str] = process.info["environ"] or {}
        if environment.get("DROVER_TOKEN", "").startswith(store_id):
            found.append(process.pid)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the jobs' stories into the report of a failure."""
    report = yield
    session = item.stash.get(SESSION, None)
    if report.failed and session is not None:
        jobs = session.jobs(newest=MOST_STORIES)
        stories = "\n".join(_story(job) for job in reversed(jobs)) or "no jobs"
        report.sections.append(("drover jobs", stories))
    return report


def _story(job: drover.Job) -> str:
    outcome = f", {job.outcome.describe()}" if job.outcome else ""
    lines = [f"{job.id} {job.name!r}: {job.state}{outcome}", f"    {shlex.join(job.spec.argv)}"]
    lines += [f"    {entry.seq} {_fact(entry.event)}" for entry in job.history()]
    for name, output in (("stdout", job.stdout), ("stderr", job.stderr)):
        lines += [f"    {name}: {line}" for line in _last_lines(output)]
    return "\n".join(lines)


def _fact(event: Event) -> str:
    """Write a fact without what is empty in it, and without what stands above or below."""
    told = {
        field.name: getattr(event, field.name)
        for field in attrs.fields(type(event))
        if field.name not in _TOLD_ELSEWHERE
    }
    words = ", ".join(f"{name}={value}" for name, value in told.items() if value not in _NOTHING)
    return f"{type(event).__name__}({words})"


def _last_lines(output: Output) -> list[str]:
    """Read the end of an output; one that cannot be had now is left out."""
    try:
        return output.read().splitlines()[-MOST_LINES:]
    except DroverError:
        return []
