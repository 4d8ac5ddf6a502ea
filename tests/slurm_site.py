"""A store whose jobs run on a cluster of the tests, and what is seen of them from outside."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import pytest
from attrs import frozen
from slurm_cluster import SlurmCluster

import drover
from drover import Job, JobSpec, Outcome, Session
from drover._store import process_started
from drover.states import ENDED, State
from drover.testing import BackendConformance

WAIT_S: Final = 60.0
QUICK: Final = {"poll_s": 0.3, "idle_poll_s": 1.0, "settle_s": 5.0, "missing_grace_s": 10.0}
"""Stock settings spare a controller that thousands share; this one is the tests' own."""
UNFINISHED: Final = frozenset(State) - ENDED
# Appends a line to a file of the job's own, and becomes a shell with what the job is to do.
NOTE: Final = 'printf "%s\\n" $$ >>"$1"; eval "$2"'
GATE: Final = """#!/bin/sh
# Stands before {real}; the first one to come where it is shut waits there.
halt() {{
  mv {folder}/$1 {folder}/$1-$$ 2>/dev/null || return
  while [ -e {folder}/$1-$$ ]; do sleep 0.05; done
}}
halt before
{real} "$@"
code=$?
halt after
exit $code
"""


class Gate:
    """One of Slurm's programs, which can be stopped before it does its work, or after it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / f"{name}.gate"
        self._folder.mkdir()
        real = shutil.which(name)
        assert real is not None
        program = folder / name
        program.write_text(GATE.format(real=real, folder=self._folder), "utf-8")
        program.chmod(0o755)

    def shut(self, where: str) -> None:
        """Stop the next one that comes: "before" the real program, or "after" it."""
        (self._folder / where).touch()

    def open(self) -> None:
        """Let all go on."""
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)

    def holds(self) -> bool:
        """Tell whether somebody waits."""
        return any(self._folder.glob("*-*"))


class Site:
    """One store. Every job appends one line to a file of its own for each time it is run."""

    def __init__(
        self, cluster: SlurmCluster, folder: Path, patch: pytest.MonkeyPatch, **settings: Any
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, value in variables(cluster, **settings).items():
            patch.setenv(name, value)
        patch.setenv("PATH", f"{self.programs}{os.pathsep}{os.environ['PATH']}")
        self.home = folder / "home"
        self.session: Session = drover.open(self.home, backend="slurm")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.cancel(self.session.jobs(state=UNFINISHED, newest=None), grace_s=0.0)
        self.session.engine_stop()
        with self.session.store.read() as reader:
            differing = [job.id for job, told in reader.replayed() if job != told]
        self.session.close()
        assert [] == differing

    def gate(self, name: str) -> Gate:
        """Put a gate before one of Slurm's programs."""
        return Gate(self.programs, name)

    def log_of(self, name: str) -> Callable[[], list[str]]:
        """Note each call of one of Slurm's programs; gives what lists those so far."""
        calls = self.folder / f"{name}.calls"
        program = self.programs / name
        real = shutil.which(name)
        program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec {real} "$@"\n', "utf-8")
        program.chmod(0o755)
        return lambda: calls.read_text("utf-8").splitlines() if calls.exists() else []

    def as_nobody(self, name: str, *verbs: str) -> None:
        """Let one of Slurm's programs be run by user nobody, when it is asked for some things."""
        # The user has to find the configuration, and munge's socket.
        self.cluster.folder.chmod(0o755)
        program = self.programs / name
        become = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
        program.write_text(
            f"#!/bin/sh\ncase $1 in {'|'.join(verbs)}) become='{become}' ;; esac\n"
            f'exec $become {shutil.which(name)} "$@"\n',
            "utf-8",
        )
        program.chmod(0o755)

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
        jobs = [job for job in self.session.submit_many(specs) if isinstance(job, Job)]
        assert jobs
        return jobs

    def runs(self, job: Job) -> int:
        """Count how often a job's command was started."""
        return len(self.pids(job))

    def pids(self, job: Job) -> list[int]:
        """List the processes that a job's command has been."""
        path = self.work / job.name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

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
            time.sleep(0.1)

    def story(self, *jobs: Job) -> str:
        """Tell all that is known."""
        lines = [str(entry) for job in jobs for entry in job.history()]
        lines += [f"{job.id} said: {job.stderr.read()}" for job in jobs]
        log = self.home / "engine.log"
        lines.append(log.read_text("utf-8", "replace")[-4000:] if log.exists() else "no log")
        with contextlib.suppress(AssertionError):
            lines.append(self.cluster.run("squeue", "-t", "all"))
            lines.append(self.cluster.run("sinfo", "-R"))
        return "\n".join(lines)

    def slurm_says(self, job: Job, letters: str) -> str:
        """Ask squeue about a job."""
        return self.cluster.run("squeue", "-h", "-t", "all", f"-j{job.native_id}", f"-o{letters}")

    def run_again_now(self, job: Job) -> None:
        """Let a job that was requeued start: Slurm itself lets it wait for two minutes."""
        self.until(lambda: "BeginTime" in self.slurm_says(job, "%r"), job)
        asked_at = float("-inf")

        def began() -> bool:
            nonlocal asked_at
            # What is left of the first run may set the time anew; and in the very second of the
            # requeue a node would take the second run for the first.
            if time.monotonic() - asked_at > 5 and "BeginTime" in self.slurm_says(job, "%r"):
                words = (f"JobId={job.native_id}", "StartTime=now+2seconds")
                self.cluster.run("scontrol", "update", *words)
                asked_at = time.monotonic()
            return "PENDING" != self.slurm_says(job, "%T")

        self.until(began, job)

    # The engine

    @property
    def engine(self) -> int:
        """Give the pid of the engine."""
        return self.session.engine_status().pid

    def kill_engine(self) -> None:
        """Kill it, as `kill -9` does."""
        pid = self.engine
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: process_started(pid) == "")

    @contextmanager
    def engine_frozen(self) -> Iterator[int]:
        """Stop the engine's clock, as a laptop's lid does."""
        pid = self.engine
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)


def variables(cluster: SlurmCluster, **settings: Any) -> dict[str, str]:
    """Give the variables by which drover finds a cluster, and the settings of its backend."""
    table = {**QUICK, **settings}
    found = {f"DROVER_BACKENDS__SLURM__{k.upper()}": str(v).lower() for k, v in table.items()}
    return {"SLURM_CONF": cluster.environment["SLURM_CONF"], **found}


@frozen
class Sites:
    """Makes sites for one test."""

    folder: Path
    patch: pytest.MonkeyPatch
    stack: contextlib.ExitStack

    def __call__(self, cluster: SlurmCluster, **settings: Any) -> Site:
        """Open a store on a cluster."""
        return self.stack.enter_context(Site(cluster, self.folder, self.patch, **settings))


@pytest.fixture
def site_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    """Give what opens a store on a cluster, with settings of a test's own."""
    with contextlib.ExitStack() as stack:
        yield Sites(tmp_path, monkeypatch, stack)


def ends_of(site: Site, jobs: Sequence[Job], seconds: float) -> dict[str, tuple[Any, ...]]:
    """Wait for many, and give by name how each ended and how often it was run."""
    site.session.wait(jobs, seconds)
    found: dict[str, tuple[Any, ...]] = {}
    for job in jobs:
        outcome = job.outcome
        how = (
            (job.state.value, None)
            if outcome is None
            else (outcome.reason.value, outcome.exit_code)
        )
        found[job.name] = (*how, site.runs(job))
    return found


class SlurmConformance(BackendConformance):
    """Every check of drover's kit; a module that collects it points at a cluster."""

    backend_name = "slurm"
    backend_config = QUICK

    def requeue_outside(self, name: str) -> None:
        """Run a job again as an operator does."""
        (job,) = (one for one in self.stage.session.jobs() if name in str(one.spec.argv))
        subprocess.run(["scontrol", "requeue", str(job.native_id)], check=True)
