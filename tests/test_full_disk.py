"""A disk that fills up while jobs run, and is emptied again: nothing accepted is lost."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import drover
from drover import Job, Session, State
from drover._store import TTL_S, process_started
from drover.errors import StoreUnusableError
from drover.models import Health

WAIT_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[Path, str], Path]]:
    """Make small disks of their own."""
    made: list[Path] = []

    def make(place: Path, options: str) -> Path:
        place.mkdir(parents=True, mode=0o700)
        command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        made.append(place)
        return place

    yield make
    for place in made:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Session]]:
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    sessions: list[Session] = []

    def open_it(home: Path) -> Session:
        sessions.append(drover.open(home))
        return sessions[-1]

    yield open_it
    for session in sessions:
        session.cancel(session.jobs(newest=None), grace_s=0.1)
        session.engine_stop()
        with session.store.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected
        session.close()


def submit(session: Session, script: str) -> Job:
    job = session.submit(["sh", "-c", script])
    assert isinstance(job, Job)
    return job


def until(condition: Callable[[], object], session: Session, seconds: float = WAIT_S) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            told = [f"{row.job_id} {row.name} {row.at}" for row in session.events()]
            pytest.fail("\n".join([*told, (session.home / "engine.log").read_text()]))
        time.sleep(0.05)


def fill(folder: Path) -> Path:
    """Write until there is no byte left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def use_up_names(folder: Path) -> list[Path]:
    """Make files until no other can be made."""
    made: list[Path] = []
    with suppress(OSError):
        while True:
            path = folder / f"filler{len(made)}"
            path.touch()
            made.append(path)
    return made


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def submit_until_refused(session: Session, work: Path) -> tuple[list[Job], StoreUnusableError]:
    """Submit as long as a full disk lets: the journal has some room of its own."""
    taken: list[Job] = []
    while True:
        try:
            n = len(taken)
            taken.append(submit(session, f"echo {n} >> {work}/{n}; exit {n % 100}"))
        except StoreUnusableError as exc:
            return taken, exc


@pytest.mark.slow
def test_a_full_disk_and_back(
    make_disk: Callable[[Path, str], Path], opened: Callable[[Path], Session], tmp_path: Path
) -> None:
    """Clients are told what to do, the engine waits, and what was accepted ends truly."""
    home = make_disk(tmp_path / "disk", "size=24m") / "home"
    work = tmp_path / "work"
    work.mkdir()
    session = opened(home)
    running = [
        submit(session, f"while ! test -e {work}/go; do sleep 0.05; done; exit {7 + k}")
        for k in range(2)
    ]
    until(lambda: all(job.state is State.RUNNING for job in running), session)
    engine = session.engine_status().pid
    filler = fill(home.parent)
    taken, refusal = submit_until_refused(session, work)

    assert "full" in str(refusal)
    assert "free some space, nothing was lost" in str(refusal)
    words = [sys.executable, "-m", "drover", "--home", str(home)]
    listed = subprocess.run([*words, "ps"], capture_output=True, text=True, check=True)
    assert running[0].id in listed.stdout
    said = subprocess.run(
        [*words, "submit", "--", "true"], capture_output=True, text=True, check=False
    )
    assert (5, "") == (said.returncode, said.stdout)
    assert "free some space" in said.stderr
    assert "Traceback" not in said.stderr

    (work / "go").touch()
    used = cpu_s(engine)
    # Longer than an engine keeps the lease that it cannot renew.
    done, _ = session.wait(running, TTL_S + 3)
    assert [] == done
    assert process_started(engine), "the engine has died"
    assert cpu_s(engine) - used < 2.0, "the engine takes no rest"

    filler.unlink()
    _, pending = session.wait([*running, *taken], WAIT_S)
    assert [] == [job.history() for job in pending]
    assert [7, 8] == [job.wait(1).exit_code for job in running]
    assert [n % 100 for n in range(len(taken))] == [job.wait(1).exit_code for job in taken]
    assert [f"{n}\n" for n in range(len(taken))] == [
        (work / str(n)).read_text() for n in range(len(taken))
    ]
    assert 0 == submit(session, "true").wait(WAIT_S).exit_code


@pytest.mark.slow
def test_a_full_disk_of_outputs_and_back(
    make_disk: Callable[[Path, str], Path], opened: Callable[[Path], Session], tmp_path: Path
) -> None:
    """A write that fails is the job's own affair; a job whose output cannot be made waits."""
    home = tmp_path / "home"
    output = make_disk(home / "backends" / "local" / "output", "size=4m,nr_inodes=1000")
    (home / "backends" / "local").chmod(0o700)
    session = opened(home)
    writer = submit(session, "head -c 9999999 /dev/zero || exit 17; exit 0")
    assert 17 == writer.wait(WAIT_S).exit_code

    fillers = use_up_names(output)
    jobs = [submit(session, f"exit {k}") for k in range(20)]
    until(lambda: _trouble(session) and {State.QUEUED} == {job.state for job in jobs}, session)
    assert "no space left" in "".join(_trouble(session))

    for filler in fillers:
        filler.unlink()
    _, pending = session.wait(jobs, WAIT_S)
    assert [] == [job.history() for job in pending]
    assert list(range(20)) == [job.wait(1).exit_code for job in jobs]
    assert [] == _trouble(session)


def _trouble(session: Session) -> list[str]:
    return [row.message for row in session.doctor("local") if row.health is Health.ERROR]


def test_a_quota_is_no_damage(tmp_path: Path) -> None:
    """Who has no room left must not be told to move the store away."""
    with drover.open(tmp_path / "home", engine="none"):
        pass
    words = [sys.executable, "-m", "drover", "--home", str(tmp_path / "home"), "submit", "true"]

    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 5 == done.returncode, done.stderr
    assert "quota" in done.stderr
    assert [] == [word for word in ("Restore", "move") if word in done.stderr]
    with drover.open(tmp_path / "home", engine="none") as session:
        assert session.store.check_integrity() == []
