"""Another user can neither read nor steer, and the doctor tells what is wrong."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_bench import Bench

from drover.models import Health

_SPEAK = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
sock = socket.socket(fileno=int(sys.argv[1]))
try:
    sock.connect(sys.argv[2])
    sock.sendall(b"\\0\\0\\0\\x17" + b'{"op":"status","id":0} ')
    sys.exit(1 if sock.recv(10) else 0)
except ConnectionError:
    sys.exit(0)
except PermissionError:
    sys.exit(3)
"""


@pytest.fixture
def up(bench: Bench) -> Bench:
    """An agent that the test may kill or set up otherwise."""
    bench.start()
    return bench


@pytest.mark.skipif(os.getuid() != 0, reason="only root can speak as another user")
def test_another_user_is_turned_away(up: Bench) -> None:
    """Once by the folder's mode, and if that were open, by the agent itself."""
    # Spoken to from inside the folder: the folders above it, whoever's they are, do not count.
    folder = Path(os.fsdecode(up.place.folder))

    def speak() -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            command = [sys.executable, "-c", _SPEAK, str(sock.fileno()), "agent.sock"]
            done = subprocess.run(
                command, pass_fds=[sock.fileno()], check=False, cwd=folder, env={"LC_ALL": "C"}
            )
        return done.returncode

    assert 3 == speak()

    for path in (folder, folder / "agent.sock"):
        path.chmod(0o777)

    assert 0 == speak()
    assert 0 == up.end(up.submit("true")).exit_code


def test_nonsense_on_the_socket_harms_only_its_sender(up: Bench) -> None:
    for data in (b"\xff" * 10, b"\0\0\0\2[]", b"\0\0\0\3{a}", b"\0\0\0\2{}"):
        with up.place.connect(5.0) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass

    assert 0 == up.end(up.submit("true")).exit_code


def test_a_client_without_an_engine_cannot_steer(up: Bench) -> None:
    from drover_local._doctor import read_frame
    from drover_local._frames import pack

    with up.place.connect(5.0) as sock:
        sock.sendall(pack({"op": "close", "tokens": ["x"], "id": 1}))

        assert "stale" in read_frame(sock)


def test_the_doctor_tells_how_it_is(bench: Bench) -> None:
    bench.start()
    bench.leave()
    found = {row.subject: row for row in bench.backend.drover_diagnose()}

    assert {"agent", "disk", "exit codes", "slots"} == set(found)
    assert Health.OK is found["agent"].health
    assert "4 cpus" in found["slots"].message

    bench.start()
    bench.running(bench.submit("sleep", "60"))
    bench.kill("keeper")
    bench.until("seen", lambda: not bench.status()["keeper_alive"])
    agent = bench.backend.drover_diagnose()[0]

    assert Health.WARNING is agent.health
    assert "keeper was killed" in agent.message


def test_a_stopped_agent_is_told_as_such(up: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drover_local._doctor._ANSWER_S", 0.2)
    pid = up.status()["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        agent = up.backend.drover_diagnose()[0]
    finally:
        os.kill(pid, signal.SIGCONT)

    assert Health.ERROR is agent.health
    assert "does not answer" in agent.message
