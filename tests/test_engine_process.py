"""The engine as a process: killed, paused, replaced, left alone. Real jobs on the local backend."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import drover
from drover import Job, Session, State
from drover._store import process_started
from drover.errors import EngineUnavailableError

WAIT_S = 30.0


def poll(condition: Callable[[], object], session: Session, seconds: float = WAIT_S) -> None:
    """Wait for something; show all jobs' histories if it does not come."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            lines = [f"{entry.job_id} {entry.name} {entry.at}" for entry in session.events()]
            log = session.home / "engine.log"
            pytest.fail("\n".join([*lines, log.read_text() if log.exists() else "no log"]))
        time.sleep(0.02)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    with drover.open(tmp_path / "home") as opened:
        yield opened
        opened.cancel(opened.jobs(newest=None), grace_s=0.1)
        opened.engine_stop()
        with opened.store.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected


def submit(session: Session, script: str) -> Job:
    job = session.submit(["sh", "-c", script])
    assert isinstance(job, Job)
    return job


def is_gone(pid: int) -> bool:
    return process_started(pid) == ""


def test_an_engine_reads_the_settings_that_its_client_has_read(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job goes to a backend that the client knows and the engine has never heard of."""
    settings = tmp_path / "xdg" / "drover"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text('[backends.half]\nplugin = "local"\nidle_s = 1\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))

    with drover.open(session.home) as other:
        job = other.submit(["true"], backend="half")
        poll(lambda: job.state is State.SUCCEEDED, other)


def test_a_killed_engine_is_replaced_while_somebody_waits(session: Session, tmp_path: Path) -> None:
    """Who waits sees the true end, whoever works on the store by then."""
    job = submit(session, f"echo run >> {tmp_path}/runs; sleep 1; exit 7")
    poll(lambda: job.state is State.RUNNING, session)
    first = session.engine_status()
    os.kill(first.pid, signal.SIGKILL)

    assert 7 == job.wait(WAIT_S).exit_code
    second = session.engine_status()
    assert (True, first.epoch + 1) == (second.running, second.epoch)
    assert "run\n" == (tmp_path / "runs").read_text()


def test_an_engine_that_is_killed_again_and_again_loses_nothing(
    session: Session, tmp_path: Path
) -> None:
    """Each job appends one line: none is missing, none stands there twice."""
    jobs = [submit(session, f"echo {k} >> {tmp_path}/runs; exit {k % 3}") for k in range(12)]
    for _ in range(3):
        poll(lambda: session.engine_status().running, session)
        pid = session.engine_status().pid
        os.kill(pid, signal.SIGKILL)
        poll(lambda pid=pid: is_gone(pid), session)  # A kill takes its time.
        session.engine_start()
    done, pending = session.wait(jobs, WAIT_S)

    assert (12, []) == (len(done), pending)
    lines = sorted(map(int, (tmp_path / "runs").read_text().split()))
    assert list(range(12)) == lines
    assert [k % 3 for k in range(12)] == [job.wait(1).exit_code for job in jobs]


@pytest.mark.slow
def test_an_engine_that_sleeps_is_replaced_and_leaves_when_it_wakes(
    session: Session, tmp_path: Path
) -> None:
    """A suspended laptop, a debugger, a swapped-out host: the old engine must do nothing more."""
    before = submit(session, f"echo before >> {tmp_path}/runs")
    before.wait(WAIT_S)
    old = session.engine_status()
    os.kill(old.pid, signal.SIGSTOP)
    try:
        job = submit(session, f"echo after >> {tmp_path}/runs; exit 3")
        assert 3 == job.wait(WAIT_S).exit_code
        new = session.engine_status()
        assert (True, old.epoch + 1) == (new.running, new.epoch)
        assert new.pid != old.pid
    finally:
        os.kill(old.pid, signal.SIGCONT)
    poll(lambda: is_gone(old.pid), session)

    assert new.pid == session.engine_status().pid
    last = submit(session, f"echo last >> {tmp_path}/runs")
    assert 0 == last.wait(WAIT_S).exit_code
    assert (session.home / "engine.sock").exists(), "the old engine took the new one's bell along"
    assert ["before", "after", "last"] == (tmp_path / "runs").read_text().split()


@pytest.mark.slow
def test_an_engine_that_sleeps_over_a_full_queue_doubles_nothing(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it hands jobs over, woken while another does: each job still runs once."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__WINDOW", "4")
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__CPUS", "2")

    def specs(first: int) -> list[drover.JobSpec]:
        text = "echo {0} >> {1}/{0}; sleep 0.02; exit {2}"
        scripts = [text.format(n, tmp_path, n % 100) for n in range(first, first + 150)]
        return [drover.JobSpec(argv=("sh", "-c", script)) for script in scripts]

    jobs = session.submit_many(specs(0))
    poll(lambda: session.counts().get(State.FAILED, 0) > 3, session)
    time.sleep(random.Random(seed).random() * 0.2)
    old = session.engine_status()
    os.kill(old.pid, signal.SIGSTOP)
    try:
        left = session.counts()
        jobs += session.submit_many(specs(150))
        # Whoever waits sees to another engine, once the lease has run out.
        session.wait(jobs[-1:], 11.0)
        poll(lambda: session.engine_status().epoch == old.epoch + 1, session)
        jobs += session.submit_many(specs(300))
    finally:
        os.kill(old.pid, signal.SIGCONT)
    _, pending = session.wait(jobs, WAIT_S)
    poll(lambda: is_gone(old.pid), session)

    assert left.get(State.NEW, 0) + left.get(State.QUEUED, 0) > 10, "it was stopped too late"
    assert [] == pending
    assert [n % 100 for n in range(450)] == [session.job(job.id).outcome.exit_code for job in jobs]  # type: ignore[union-attr]
    assert [f"{n}\n" for n in range(450)] == [(tmp_path / str(n)).read_text() for n in range(450)]


KILLED = """
import os, signal, sys, drover
from drover.session import Session
with drover.open(sys.argv[1]) as session:
    if sys.argv[2] == "before":
        Session.wake_engine = lambda self: os.kill(os.getpid(), signal.SIGKILL)
    session.submit(["sh", "-c", "exit 5"], key="mine")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_that_is_killed_has_submitted_its_job(session: Session, when: str) -> None:
    """Killed before it could start an engine: the next client, whoever it is, starts one."""
    argv = [sys.executable, "-c", KILLED, str(session.home), when]
    assert -signal.SIGKILL == subprocess.run(argv, check=False, timeout=WAIT_S).returncode
    (job,) = session.jobs()

    assert 5 == job.wait(WAIT_S).exit_code
    assert job.id == session.submit(["sh", "-c", "exit 5"], key="mine").id


CLIENT = """
import sys, drover
with drover.open(sys.argv[1]) as session:
    mine = [session.submit(["sh", "-c", f"exit {k}"], tags=[sys.argv[2]]) for k in range(3)]
    asked = session.submit(["sleep", "60"], tags=[sys.argv[2]])
    assert len(session.jobs(tag=sys.argv[2])) == 4
    verdict = asked.cancel(grace_s=0.1, timeout=60)
    done, pending = session.wait([*mine, asked], 60)
    assert not pending, pending
    print(sorted(job.outcome.exit_code for job in mine), verdict.verdict, asked.state)
"""


def test_twenty_clients_at_once(session: Session) -> None:
    """Of all that find no engine one starts it; each gets its own jobs' true ends."""
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(session.home), f"c{k}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(20)
    ]
    said = [client.communicate(timeout=90) for client in clients]

    assert {("[0, 1, 2] done CANCELLED\n", "")} == set(said)
    assert 1 == session.engine_status().epoch
    counts = session.counts()
    assert (20, 40, 20) == tuple(
        counts[state] for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    )


def test_an_engine_with_nothing_to_do_leaves(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop must not run a process for ever because somebody once ran a job."""
    monkeypatch.setenv("DROVER_ENGINE__IDLE_S", "0.3")
    assert 0 == submit(session, "exit 0").wait(WAIT_S).exit_code
    pid = session.store.lease().pid
    poll(lambda: is_gone(pid), session)

    assert session.store.lease().released
    assert not session.engine_status().running
    assert 0 == submit(session, "exit 0").wait(WAIT_S).exit_code
    assert 2 == session.store.lease().epoch


def test_an_engine_stays_while_a_job_runs(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DROVER_ENGINE__IDLE_S", "0")
    job = submit(session, f"while ! test -e {tmp_path}/go; do sleep 0.05; done")
    poll(lambda: job.state is State.RUNNING, session)
    (tmp_path / "go").touch()
    session.wait([job], WAIT_S)

    assert 1 == session.store.lease().epoch


def test_an_engine_can_be_stopped_and_started(session: Session) -> None:
    """For an upgrade: jobs go on meanwhile."""
    job = submit(session, "sleep 0.7; exit 4")
    poll(lambda: job.state is State.RUNNING, session)
    pid = session.engine_status().pid

    assert session.engine_stop()
    poll(lambda: is_gone(pid), session)
    assert session.engine_start().running
    assert 4 == job.wait(WAIT_S).exit_code


READER = """
import sys, drover
with drover.open(sys.argv[1], engine="none") as session:
    print(sorted(job.stdout.read() for job in session.jobs(newest=None)))
    print([entry.name for entry in session.events()][:1])
"""


def test_another_process_reads_what_one_wrote(session: Session) -> None:
    jobs = [submit(session, f"echo {k}") for k in range(3)]
    session.wait(jobs, WAIT_S)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(session.home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )

    assert ("['0\\n', '1\\n', '2\\n']\n['Submitted']\n", "") == (done.stdout, done.stderr)


def test_settings_that_broke_meanwhile_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after twenty seconds, nor in a log alone; the job is kept and runs once it is mended."""
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "drover.toml"
    settings.write_text("[backends.local]\nidle_s = 1\n")
    with drover.open(tmp_path / "home") as opened:
        settings.write_text("[backends.local\n")
        began = time.monotonic()

        with pytest.raises(EngineUnavailableError, match=r"drover\.toml.*line 1.*Jobs are kept"):
            submit(opened, "exit 7")

        assert 10 > time.monotonic() - began
        (job,) = opened.jobs()
        settings.write_text("[backends.local]\nidle_s = 1\n")
        assert 7 == job.wait(WAIT_S).exit_code
        # One that works has read what it needs.
        settings.write_text("[backends.local\n")
        assert 3 == submit(opened, "exit 3").wait(WAIT_S).exit_code
        opened.engine_stop()
