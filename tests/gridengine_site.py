"""A store whose jobs run on a Grid Engine of the tests, and what is seen of them from outside."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import pytest
from attrs import frozen
from gridengine_cluster import GridEngineCluster

import drover
from drover import Job, JobSpec, Outcome, Session
from drover._store import process_started
from drover.states import ENDED, State

WAIT_S: Final = 90.0
QUICK: Final = {
    "poll_s": 0.5, "idle_poll_s": 1.0, "settle_s": 8.0, "missing_grace_s": 15.0,
    "accounting_gap_s": 5.0,
}  # fmt: skip
"""Stock settings spare a master that thousands share; this one is the tests' own."""
UNFINISHED: Final = frozenset(State) - ENDED
# Appends a line to a file of the job's own, and becomes a shell with what the job is to do.
NOTE: Final = 'printf "%s\\n" $$ >>"$1"; eval "$2"'


class Site:
    """One store. Every job appends one line to a file of its own for each time it is run."""

    def __init__(
        self,
        cluster: GridEngineCluster,
        folder: Path,
        patch: pytest.MonkeyPatch,
        **settings: Any,
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        for name, value in variables(cluster, **settings).items():
            patch.setenv(name, value)
        self.home = folder / "home"
        self.session: Session = drover.open(self.home, backend="drmaa")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.cancel(self.session.jobs(state=UNFINISHED, newest=None), grace_s=0.0)
        self.session.engine_stop()
        with self.session.store.read() as reader:
            differing = [job.id for job, told in reader.replayed() if job != told]
        self.session.close()
        assert [] == differing

    # Jobs

    def spec(self, script: str = "", **fields: Any) -> JobSpec:
        """Describe a job that notes that it is run, and runs a script."""
        name = fields.setdefault("name", f"job{time.monotonic_ns()}")
        argv = ("/bin/sh", "-c", NOTE, "sh", str(self.work / name), script)
        return JobSpec(**{"argv": argv, "cwd": str(self.work), **fields})

    def submit(self, script: str = "", **fields: Any) -> Job:
        """Hand in one job."""
        made = self.session.submit(self.spec(script, **fields))
        assert isinstance(made, Job)
        return made

    def submit_many(self, specs: Iterable[JobSpec]) -> list[Job]:
        """Hand in many."""
        return [job for job in self.session.submit_many(specs) if isinstance(job, Job)]

    def runs(self, job: Job) -> int:
        """Count how often a job's command was started."""
        path = self.work / job.name
        return len(path.read_text().split()) if path.exists() else 0

    def end(self, job: Job, seconds: float = WAIT_S) -> Outcome:
        """Wait for the end of a job."""
        self.until(lambda: job.state.ends_wait, job, seconds=seconds)
        return job.wait(0.0)

    def running(self, job: Job) -> None:
        """Wait until a job is seen to run."""
        self.until(lambda: job.state is State.RUNNING and self.runs(job), job)

    def told(self, job: Job) -> tuple[Any, ...]:
        """Wait for the end, and give how it ended and how often it was run."""
        outcome = self.end(job)
        how = outcome.exit_code if outcome.signal is None else -outcome.signal
        return outcome.reason.value, how, self.runs(job)

    def until(self, condition: Callable[[], object], *jobs: Job, seconds: float = WAIT_S) -> None:
        """Poll for something; tell the story if it never comes."""
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends:
                pytest.fail(self.story(*jobs))
            time.sleep(0.05)

    def story(self, *jobs: Job) -> str:
        """Tell all that is known."""
        lines = [str(entry) for job in jobs for entry in job.history()]
        log = self.home / "engine.log"
        lines.append(log.read_text("utf-8", "replace")[-4000:] if log.exists() else "no log")
        lines.append(self.cluster.attempt("qstat", "-u", "*", "-s", "prsz").stdout[-4000:])
        return "\n".join(lines)

    def state_of(self, job: Job) -> str:
        """Give the letters that Grid Engine has for a job."""
        return self.cluster.state_of(str(job.native_id))

    # The engine

    @property
    def engine(self) -> int:
        """Give the pid of the engine."""
        return self.session.engine_status().pid

    def workers(self) -> list[int]:
        """List the pids of the engine's worker processes."""
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                command = (path.parent / "cmdline").read_bytes()
                if parent == self.engine and b"_worker.py" in command:
                    found.append(int(path.parent.name))
        return found

    def kill_engine(self) -> None:
        """Kill it, as `kill -9` does."""
        pid = self.engine
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: process_started(pid) == "")


def variables(cluster: GridEngineCluster, **settings: Any) -> dict[str, str]:
    """Give the variables by which drover finds a cluster, and the settings of its backend."""
    table = {**QUICK, **settings}
    found = {f"DROVER_BACKENDS__DRMAA__{k.upper()}": str(v).lower() for k, v in table.items()}
    path = os.pathsep.join((cluster.PATH, os.environ["PATH"]))
    return {**cluster.environment, "PATH": path, **found}


@frozen
class Sites:
    """Makes sites for one test."""

    folder: Path
    patch: pytest.MonkeyPatch
    stack: contextlib.ExitStack

    def __call__(self, cluster: GridEngineCluster, **settings: Any) -> Site:
        """Open a store on a cluster."""
        return self.stack.enter_context(Site(cluster, self.folder, self.patch, **settings))


@pytest.fixture
def ge_site_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    """Give what opens a store on a cluster, with settings of a test's own."""
    with contextlib.ExitStack() as stack:
        yield Sites(tmp_path, monkeypatch, stack)
