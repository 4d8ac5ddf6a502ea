"""The machine is restarted: what ran is told as such, what waited goes on, nothing runs twice."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import drover
from drover import Job, Reason, Session, State
from drover._store import process_started

WAIT_S = 60.0
CPUS = 2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__CPUS", str(CPUS))
    # So that jobs wait at the agent, and behind these at the engine.
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__WINDOW", "4")
    yield tmp_path / "home"
    with drover.open(tmp_path / "home", engine="none") as session:
        session.cancel(session.jobs(newest=None), grace_s=0.1)
        session.engine_stop()
        with session.store.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def submit(session: Session, script: str, **fields: object) -> Job:
    job = session.submit(["sh", "-c", script], **fields)
    assert isinstance(job, Job)
    return job


def power_off(session: Session, spared: Job) -> int:
    """Kill everything of a store at once, but for one job, whose number counts as used again.

    Returns:
        That number.
    """
    # Late, so that the file can be collected where the core is alone.
    from drover_local._doctor import ask_status
    from drover_local._place import Place

    status = ask_status(Place(str(session.home / "backends" / "local")))
    assert status is not None
    running = session.jobs(state=State.RUNNING)
    pids = {job.id: int(job.native_state.split()[1]) for job in running}
    doomed = [session.engine_status().pid, status["pid"], status["keeper"]]
    doomed += [pid for job_id, pid in pids.items() if job_id != spared.id]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    until(lambda: not any(map(process_started, doomed)))
    return pids[spared.id]


def forget_the_boot(home: Path) -> None:
    """Let all that was written down be of another boot, and a lease look as live as can be."""
    with (home / "backends" / "local" / "ledger").open("r+b") as file:
        file.seek(16)
        file.write(b"another-boot".ljust(64, b"\0"))
    raw = sqlite3.connect(home / "store.db")
    with raw:
        raw.execute(
            "UPDATE lease SET boot = 'another-boot', pid = ?, process = ?, expires = 1e12",
            (os.getpid(), process_started(os.getpid())),
        )
    raw.close()


def test_after_a_reboot_each_job_is_what_it_is(home: Path, tmp_path: Path) -> None:
    """A process of this boot with an old number is neither the job nor the engine."""

    def line(n: int, then: str) -> str:
        return f"echo {n} >> {tmp_path}/{n}; {then}"

    with drover.open(home) as session:
        ended = submit(session, line(0, "exit 5"))
        ended.wait(WAIT_S)
        again = drover.Retry(attempts=2, on=frozenset({Reason.NODE_LOST}))
        runs = [
            submit(session, line(1, "exec sleep 300")),
            submit(
                session, line(2, f"test -e {tmp_path}/on && exit 6; exec sleep 300"), retry=again
            ),
        ]
        until(lambda: {job.state for job in runs} == {State.RUNNING})
        queued = [submit(session, line(n, f"exit {n}")) for n in range(10, 30)]
        after = drover.Dependency(job=queued[0].id, condition="ended")
        waits = submit(session, line(3, "exit 7"), after=[after])
        held = submit(session, line(4, "exit 8"), hold=True)
        until(lambda: {State.QUEUED, State.NEW} <= {job.state for job in queued})
        pid = power_off(session, spared=runs[0])
        ids = [job.id for job in (ended, *runs, *queued, waits, held)]
    forget_the_boot(home)
    (tmp_path / "on").touch()

    with drover.open(home) as session:
        made = [session.job(job_id) for job_id in ids]
        jobs = [job for job in made if isinstance(job, Job)]
        _, pending = session.wait(jobs[:-1], WAIT_S)
        assert [] == [job.history() for job in pending]
        jobs[-1].release()
        assert 8 == jobs[-1].wait(WAIT_S).exit_code

        lost = jobs[1].outcome
        assert lost is not None
        assert (State.FAILED, Reason.NODE_LOST, None) == (
            jobs[1].state,
            lost.reason,
            lost.exit_code,
        )
        assert "restarted" in lost.evidence[-1].message
        assert process_started(pid), "a process that is not ours was killed"
        os.kill(pid, signal.SIGKILL)
        outcomes = [job.outcome for job in (jobs[0], *jobs[2:])]
        codes = [outcome.exit_code for outcome in outcomes if outcome]
        assert [5, 6, *range(10, 30), 7, 8] == codes
        assert 2 == session.store.lease().epoch
    lines = {
        n: (tmp_path / str(n)).read_text().count("\n") for n in (0, 1, 2, 3, 4, *range(10, 30))
    }
    assert lines == {**dict.fromkeys(lines, 1), 2: 2}
