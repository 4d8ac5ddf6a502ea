"""A store that is copied while it is in use: the copy can be read, and nothing is run from it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import drover
from drover import Session, State
from drover.errors import StoreReadOnlyError

WAIT_S = 60.0


class Busy:
    """A store on which somebody submits all the time."""

    def __init__(self, home: Path, work: Path) -> None:
        self.session = drover.open(home)
        self.work = work
        self.jobs: list[drover.Job] = []
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._submit)
        self._thread.start()

    def _submit(self) -> None:
        with drover.open(self.session.home) as session:
            while not self.stop.is_set():
                n = len(self.jobs)
                script = f"echo {n} >> {self.work}/{n}; exit {n % 100}"
                made = session.submit(["sh", "-c", script], env={"TOKEN": "s3cret"})
                assert isinstance(made, drover.Job)
                self.jobs.append(made)

    def settle(self) -> None:
        """Submit no more; each job ran once and tells the truth."""
        self.stop.set()
        self._thread.join()
        ids = [job.id for job in self.jobs]
        _, pending = self.session.wait(ids, WAIT_S)
        assert [] == pending
        codes = [self.session.job(job_id).outcome.exit_code for job_id in ids]  # type: ignore[union-attr]
        assert [n % 100 for n in range(len(ids))] == codes
        assert [f"{n}\n" for n in range(len(ids))] == [
            (self.work / str(n)).read_text() for n in range(len(ids))
        ]


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    (tmp_path / "work").mkdir()
    it = Busy(tmp_path / "home", tmp_path / "work")
    yield it
    it.stop.set()
    it.session.engine_stop()
    it.session.close()


def copy(source: Path, target: Path, which: str) -> Path:
    """Copy as people do."""
    if which == "all":
        subprocess.run(["cp", "-a", source, target], check=True)
    else:
        target.mkdir()
        subprocess.run(["cp", "-a", source / "store.db", target], check=True)
    return target


CALLS: list[Callable[[Session, list[drover.Job]], object]] = [
    lambda session, _: session.submit(["true"]),
    lambda session, _: session.submit_many([drover.JobSpec(argv=("true",))]),
    lambda session, seen: session.cancel(seen, timeout=0.0),
    lambda session, seen: session.retry(seen[-1:]),
    lambda session, _: session.engine_start(),
    lambda session, _: session.engine_stop(),
    lambda session, seen: session.purge(jobs=seen[-1:]),
]


@pytest.mark.parametrize("which", ["all", "database"])
def test_a_copy_is_read_and_runs_nothing(busy: Busy, tmp_path: Path, which: str) -> None:
    """Two engines on two copies would each run every job."""
    ends = time.monotonic() + WAIT_S
    while len(busy.jobs) < 30 or busy.session.job(busy.jobs[0].id).state is not State.SUCCEEDED:  # type: ignore[union-attr]
        assert time.monotonic() < ends
        time.sleep(0.01)
    if which == "database":
        # What is in the log yet is not in such a copy.
        busy.session.store._sql.execute("PRAGMA wal_checkpoint(PASSIVE)")
    home = copy(busy.session.home, tmp_path / "copy", which)
    engine = busy.session.engine_status().pid
    with closing(drover.open(home)) as session:
        assert session.read_only
        seen = session.jobs(newest=None)
        assert len(seen) >= 29
        assert seen[-1].id == busy.jobs[0].id
        assert (which == "all") == (dict(seen[-1].spec.env) == {"TOKEN": "s3cret"})
        files = set(home.rglob("*"))
        for call in CALLS:
            with pytest.raises(StoreReadOnlyError, match="it is a copy of the store at"):
                call(session, seen)
        assert files <= set(home.rglob("*"))
        assert not session.engine_status().running
        session.wait([job.id for job in seen], 1.5)  # So long that it would care for an engine.
    words = [sys.executable, "-m", "drover", "--home", str(home)]
    listed = subprocess.run([*words, "ps", "--all"], capture_output=True, text=True, check=False)
    assert (0, "") == (listed.returncode, listed.stderr)
    refused = subprocess.run(
        [*words, "submit", "--", "true"], capture_output=True, text=True, check=False
    )
    assert (5, "") == (refused.returncode, refused.stdout)
    assert "it is a copy of the store at" in refused.stderr
    assert which == "all" or not (home / "engine.log").exists()
    assert engine == busy.session.engine_status().pid

    busy.settle()
