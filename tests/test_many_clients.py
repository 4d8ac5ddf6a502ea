"""Two hundred clients at once: of all that find no engine one starts it, and each gets its end."""

import os
import sys
import traceback
from pathlib import Path

import pytest

import drover

CLIENTS = 200
WAIT_S = 120.0


def be_client(home: Path, work: Path, index: int, go: int) -> None:
    """Submit a job and wait for it, as a process that begins here."""
    os.read(go, 1)
    with drover.open(home) as session:
        script = f"echo {index} >> {work}/{index}; exit {index % 100}"
        job = session.submit(["sh", "-c", script], tags=[f"client-{index}"])
        assert isinstance(job, drover.Job)
        assert index % 100 == job.wait(WAIT_S).exit_code
        assert [job] == session.jobs(tag=f"client-{index}")


def fork_client(home: Path, work: Path, index: int, go: int) -> int:
    # Forked, because two hundred interpreters take half a minute to start on two cores: what is
    # tried is how they meet, and they all begin at the same instant.
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        be_client(home, work, index, go)
        code = 0
    except BaseException:  # noqa: BLE001 - the last frame of a process: it is told
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@pytest.mark.slow
def test_two_hundred_clients_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock times out, no bell is too small, no second engine is started."""
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    # A session before the fork would share its database with the children, which SQLite forbids.
    # Its modules are loaded all the same.
    drover.open(tmp_path / "warm-up", engine="none").close()
    reader, writer = os.pipe()
    pids = [fork_client(home, work, index, reader) for index in range(CLIENTS)]
    os.write(writer, b"g" * CLIENTS)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    os.close(reader)
    os.close(writer)

    assert [0] * CLIENTS == codes
    lines = [(work / str(index)).read_text() for index in range(CLIENTS)]
    assert [f"{index}\n" for index in range(CLIENTS)] == lines
    with drover.open(home, engine="none") as session:
        assert 1 == session.engine_status().epoch
        assert CLIENTS == sum(session.counts().values())
        session.engine_stop()
    # Each engine that comes for nothing costs a processor a fifth of a second.
    assert (home / "engine.log").read_text().count("another engine works") <= 2
