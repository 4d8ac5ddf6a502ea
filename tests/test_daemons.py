"""Daemons are known by what was recorded of them, not by a number that is handed out again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusters.daemons import BOOT, GATE, Daemons, send, start_time

STUBBORN = ("sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 60; done')


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path, tmp_path)
    yield made
    for name in made.names():
        made.stop(name, patience_s=5.0)


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def record(daemons: Daemons, name: str, *words: object) -> None:
    (daemons.records / f"{name}.proc").write_text(" ".join(map(str, words)), "utf-8")


def until(condition: Callable[[], object], told: object = "") -> None:
    ends = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < ends, told
        time.sleep(0.01)


def test_a_daemon_is_started_once(daemons: Daemons) -> None:
    """Two of one kind on one state would destroy it."""
    assert daemons.start("one", ["sleep", "60"])
    first = daemons.process("one")

    assert not daemons.start("one", ["sleep", "60"])
    assert first is not None
    assert first == daemons.process("one")


def test_a_daemon_gets_its_words_and_variables(daemons: Daemons, tmp_path: Path) -> None:
    """What the gate reads is not the daemon's, and what the daemon prints is kept."""
    daemons.start("one", ["sh", "-c", 'pwd; echo "$1|$A"; cat', "sh", "a b"], A="1 2")

    until(lambda: daemons.process("one") is None)
    assert "/\na b|1 2\n" == (tmp_path / "one.out").read_text("utf-8")


def test_nothing_runs_that_is_not_recorded(tmp_path: Path) -> None:
    """Who starts a daemon may die between its birth and its record; it must not live on then."""
    with subprocess.Popen([*GATE, "touch", tmp_path / "ran"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10.0)

    assert not (tmp_path / "ran").exists()


def test_a_pid_that_was_handed_out_again_is_left_alone(
    daemons: Daemons, stranger: "subprocess.Popen[bytes]"
) -> None:
    """After a reboot or a long time our number is somebody else's."""
    boot = BOOT.read_text("utf-8").strip()
    started = start_time(stranger.pid)
    assert started is not None
    record(daemons, "later", stranger.pid, int(started) - 1, boot)
    record(daemons, "other-boot", stranger.pid, started, "another-boot")
    record(daemons, "ours", stranger.pid, started, boot)

    assert daemons.process("later") is None
    assert daemons.process("other-boot") is None
    assert (stranger.pid, started) == daemons.process("ours")
    daemons.stop("later")
    daemons.stop("other-boot")
    assert send(stranger.pid, str(int(started) - 1), signal.SIGKILL)
    assert stranger.poll() is None
    assert ["ours"] == daemons.names()


def test_a_frozen_daemon_can_be_stopped(daemons: Daemons, tmp_path: Path) -> None:
    """One that a test froze and forgot would otherwise have to be killed, and lose its state."""
    words = ("sh", "-c", 'trap "echo bye; exit" TERM; echo ready; while :; do sleep 0.05; done')
    daemons.start("one", words)
    until(lambda: "ready" in (tmp_path / "one.out").read_text("utf-8"))
    daemons.signal("one", signal.SIGSTOP)

    daemons.stop("one")

    assert "ready\nbye\n" == (tmp_path / "one.out").read_text("utf-8")
    assert [] == daemons.names()


def test_a_daemon_that_will_not_go_is_killed(daemons: Daemons, tmp_path: Path) -> None:
    """`down` must leave nothing, whatever a daemon thinks of it."""
    daemons.start("one", STUBBORN)
    until(lambda: "ready" in (tmp_path / "one.out").read_text("utf-8"))
    process = daemons.process("one")
    assert process is not None

    daemons.stop("one", patience_s=0.2)

    assert start_time(process[0]) is None


def test_a_killed_daemon_is_gone_and_known(daemons: Daemons) -> None:
    """A test of a fault has to know that the fault is there."""
    daemons.start("one", ["sleep", "60"])

    daemons.kill("one")

    assert daemons.process("one") is None
    assert ["one"] == daemons.names()
    with pytest.raises(ProcessLookupError, match="one is not running"):
        daemons.kill("one")
    with pytest.raises(ProcessLookupError, match="one is not running"):
        daemons.signal("one", signal.SIGSTOP)


def test_a_zombie_is_gone(stranger: "subprocess.Popen[bytes]") -> None:
    """Where process 1 reaps late, a dead daemon has a pid for seconds."""
    os.kill(stranger.pid, signal.SIGKILL)

    until(lambda: start_time(stranger.pid) is None)
    assert Path(f"/proc/{stranger.pid}").exists()


def test_a_daemon_outlives_who_started_it(daemons: Daemons, tmp_path: Path) -> None:
    """It is in a session of its own: Ctrl-C at `up` is not for it."""
    root = Path(__file__).parents[1]
    program = (
        f"import sys; from pathlib import Path; sys.path.append({str(root)!r})\n"
        f"from clusters.daemons import Daemons; folder = Path({str(tmp_path)!r})\n"
        "Daemons(folder, folder).start('one', ['sleep', '60'])"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

    process = daemons.process("one")
    assert process is not None
    assert process[0] == os.getsid(process[0])
