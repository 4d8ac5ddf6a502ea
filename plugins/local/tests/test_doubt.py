"""The agent is killed in the middle of a spawn: what can be known is found out, the rest LOST."""

import os
from pathlib import Path

import pytest
from local_bench import Bench

from drover.models import Reason, Started

# Put into the keeper's interpreter, and so into the agent's: it dies at its next spawn, once.
_DIE = """
import os, pathlib, signal
_spawn, _orders = os.posix_spawn, pathlib.Path(os.environ["SPAWN_ORDERS"])

def spawn(path, argv, environment, **how):
    orders = _orders.read_text().split() if _orders.exists() else []
    _orders.unlink(missing_ok=True)
    if "twin" in orders:
        # As a daemon of another job could look: a session of its own, and no token any more.
        _wait(_spawn("/bin/true", ["true"], {}, setsid=True))
    pid = 0 if "before" in orders else _spawn(path, argv, environment, **how)
    if "ended" in orders:
        _wait(pid)
    if orders:
        os.kill(os.getpid(), signal.SIGKILL)
    return pid

def _wait(pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

os.posix_spawn = spawn
"""


@pytest.fixture
def doomed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An agent that can be told to die at its next spawn."""
    (tmp_path / "sitecustomize.py").write_text(_DIE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SPAWN_ORDERS", str(tmp_path / "orders"))
    bench.start()
    return bench


def order(tmp_path: Path, words: str) -> None:
    draft = tmp_path / "draft"
    draft.write_text(words)
    draft.rename(tmp_path / "orders")


def runs(bench: Bench) -> str:
    path = bench.home / "runs"
    return path.read_text() if path.exists() else ""


_RUN = ("sh", "-c", "echo run >> runs; exit 9")


@pytest.mark.parametrize("when", ["before", "after", "ended"])
def test_a_kill_in_a_spawn_costs_nothing(doomed: Bench, tmp_path: Path, when: str) -> None:
    """Never spawned: it runs, once. Spawned, ended or not: its code is its own."""
    order(tmp_path, when)
    attempt = doomed.submit(*_RUN)
    end = doomed.end(attempt)

    assert (9, "run\n") == (end.exit_code, runs(doomed))
    assert not (tmp_path / "orders").exists()
    assert 2 == (doomed.backend._link or pytest.fail("no link")).generation


def test_of_two_that_could_be_it_none_is_believed(doomed: Bench, tmp_path: Path) -> None:
    """A code of somebody else's is worse than none."""
    order(tmp_path, "twin ended")
    end = doomed.end(doomed.submit(*_RUN))

    assert (Reason.LOST, Started.UNKNOWN, None) == (end.reason, end.started, end.exit_code)
    assert "run\n" == runs(doomed)


def test_one_that_could_be_a_strangers_is_not_believed(doomed: Bench, tmp_path: Path) -> None:
    """Nothing was spawned, and a daemon of another job has ended: there is no output file."""
    order(tmp_path, "twin before")
    end = doomed.end(doomed.submit(*_RUN))

    assert (Reason.LOST, "") == (end.reason, runs(doomed))


def test_with_another_keeper_nothing_is_concluded(doomed: Bench, tmp_path: Path) -> None:
    """What a keeper that is dead has reaped cannot be known."""
    running = doomed.submit("sh", "-c", "while [ ! -e go ]; do sleep 0.02; done")
    doomed.running(running)
    keeper = doomed.status()["keeper"]
    order(tmp_path, "before")
    os.kill(keeper, 9)
    end = doomed.end(doomed.submit(*_RUN))
    (doomed.home / "go").touch()

    assert (Reason.LOST, "") == (end.reason, runs(doomed))
    assert "killed while it started" in end.message
