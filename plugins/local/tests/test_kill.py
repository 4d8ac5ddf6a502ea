"""kill -9 of whatever there is: nothing runs twice, no exit code is guessed."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from local_bench import Bench

from drover.errors import StaleEpochError
from drover.models import Answer, Closing, Phase, Reason, Started, Verb, Verdict
from drover_local import _ledger
from drover_local._closed import ClosedTokens
from drover_local._ledger import Ledger, note_of

_WAIT = "while [ ! -e go ]; do sleep 0.02; done; exit 9"
_TURNS = [("pid",), ("keeper",), ("pid", "keeper")]


@pytest.fixture
def up(bench: Bench) -> Bench:
    """An agent that the test may kill or set up otherwise."""
    bench.start()
    return bench


@pytest.mark.parametrize("which", _TURNS, ids="+".join)
def test_running_jobs_are_adopted_with_their_true_code(up: Bench, which: tuple[str, ...]) -> None:
    """Whoever of agent and keeper is killed, the code is the job's own."""
    attempts = [up.submit("sh", "-c", f"echo run >> runs; {_WAIT}") for _ in range(3)]
    for attempt in attempts:
        up.running(attempt)
    up.kill(*which)
    if "pid" in which:
        up.until("a new agent", lambda: up.backend._link._sock is None)  # type: ignore[union-attr]
    late = up.submit("sh", "-c", "exit 4")
    (up.home / "go").touch()

    assert [9, 9, 9] == [up.end(attempt).exit_code for attempt in attempts]
    assert 4 == up.end(late).exit_code
    assert "run\n" * 3 == (up.home / "runs").read_text()


def test_jobs_that_end_while_there_is_no_agent_keep_their_code(up: Bench) -> None:
    """The keeper reaps them and the next agent is told, usage included."""
    attempt = up.submit("sh", "-c", "exec sleep 0.4")
    other = up.submit("sh", "-c", "sleep 0.3; kill -9 $$")
    up.running(attempt)
    up.running(other)
    up.kill("pid")
    end = up.end(attempt)

    assert 0 == end.exit_code
    assert end.usage is not None
    assert end.usage.max_rss_bytes is not None
    assert 9 == up.end(other).signal


def test_jobs_that_ended_with_nobody_there_are_lost_not_guessed(up: Bench) -> None:
    """Agent and keeper dead when it ends: LOST with evidence, whatever is likely."""
    attempt = up.submit("sh", "-c", _WAIT)
    pid = up.running(attempt)
    up.leave()
    up.kill("pid", "keeper")
    (up.home / "go").touch()
    up.until("the job is gone", lambda: not Path(f"/proc/{pid}").exists())
    up.start()
    end = up.end(attempt)

    assert (Reason.LOST, Started.UNKNOWN, None) == (end.reason, end.started, end.exit_code)
    assert str(pid) in end.message


def test_queued_jobs_survive_the_agent(up: Bench) -> None:
    """The engine's side gives a new agent what the old one had not started, once."""
    up.config["cpus"] = 1
    up.start()
    first = up.submit("sh", "-c", _WAIT)
    up.running(first)
    queued = [up.submit("sh", "-c", f"echo {n} >> order") for n in range(20)]
    held = up.submit("sh", "-c", "echo held >> order")

    assert Verdict.DONE is up.order(held, Verb.HOLD).verdict

    up.kill("pid")
    (up.home / "go").touch()
    for attempt in queued:
        assert 0 == up.end(attempt).exit_code

    assert list(map(str, range(20))) == (up.home / "order").read_text().split()

    up.order(held, Verb.RELEASE)

    assert 0 == up.end(held).exit_code


def test_a_repetition_that_comes_after_the_end_runs_nothing(up: Bench) -> None:
    """A call that was on its way when the end was told must not outlive the agent that knew it."""
    attempt = up.submit("sh", "-c", "echo run >> runs")
    up.end(attempt)
    up.until("acknowledged", lambda: up.status()["known"] == 0)
    (answer,) = up.backend.drover_submit([attempt])

    assert Answer.ACCEPTED is answer.answer

    _follow_the_agent(up)

    assert "run\n" == (up.home / "runs").read_text()


def test_a_repetition_to_another_agent_runs_nothing(
    up: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost, the end was told, the agent died, and the call is made once more."""
    link = up.backend._link

    assert link is not None

    ask = link.ask

    def lose(*question: Any) -> Any:
        ask(*question)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(link, "ask", lose)
        attempt = up.attempt("sh", "-c", "echo run >> runs")
        (answer,) = up.backend.drover_submit([attempt])

    assert Answer.UNKNOWN is answer.answer

    up.end(attempt)
    up.until("acknowledged", lambda: up.status()["known"] == 0)
    _follow_the_agent(up)
    (answer,) = up.backend.drover_submit([attempt])

    assert Answer.ACCEPTED is answer.answer

    _follow_the_agent(up)

    assert "run\n" == (up.home / "runs").read_text()


def _follow_the_agent(bench: Bench) -> None:
    """Kill the agent, wait until the next has been given all that the backend has for it."""
    before = bench.backend._link.generation  # type: ignore[union-attr]
    bench.kill("pid")
    bench.until("a new agent", lambda: bench.backend._link.generation > before)  # type: ignore[union-attr]
    bench.end(bench.submit("true"))


def test_the_engine_may_be_killed(up: Bench) -> None:
    """Ends that no engine made durable are told to the next one, by push and when asked."""
    up.start(durable=False)
    attempt = up.submit("sh", "-c", "exit 3")
    up.end(attempt)
    up.leave()
    up.start(durable=False)

    assert 3 == up.end(attempt).exit_code

    running = up.submit("sleep", "60")
    up.running(running)
    up.leave()
    up.start(durable=False)
    seen = up.backend.drover_observe([attempt, running, up.attempt("never")])

    assert seen.complete
    assert [Phase.ENDED, Phase.RUNNING, Phase.UNRUN] == [row.phase for row in seen.observations]

    up.start()
    up.until("acknowledged", lambda: up.status()["known"] == 1)


def test_ends_survive_engine_agent_and_keeper(up: Bench) -> None:
    up.start(durable=False)
    attempt = up.submit("sh", "-c", "exit 3")
    failed = up.submit("no-such-command")
    up.end(attempt)
    up.end(failed)
    up.leave()
    up.kill("pid", "keeper")
    up.start()

    assert 3 == up.end(attempt).exit_code
    assert "no-such-command" in up.end(failed).message
    assert failed.job_id in up.end(failed).native_id


def _ledger_after_death(bench: Bench) -> Path:
    bench.leave()
    bench.kill("pid", "keeper")
    path = bench.home / "backends" / "local" / "ledger"
    bench.until("lock is free", lambda: _is_free(bench))
    return path


def _is_free(bench: Bench) -> bool:
    command = ["flock", "-n", bench.place.lock, "true"]
    return subprocess.run(command, check=False).returncode == 0


def test_an_intent_without_result_is_lost_and_never_run(up: Bench) -> None:
    """A kill between note and spawn leaves a doubt; a second run must not settle it."""
    attempt = up.attempt("sh", "-c", "echo run >> runs")
    path = _ledger_after_death(up)
    ledger = Ledger(os.fsencode(path))
    ledger.intend(note_of(attempt.token, b'{"native_id":"n"}'), time.time(), 0)
    ledger.close()
    up.start()
    (answer,) = up.backend.drover_submit([attempt])
    end = up.end(attempt)

    assert Answer.ACCEPTED is answer.answer
    assert (Reason.LOST, Started.UNKNOWN) == (end.reason, end.started)
    assert "killed while it started" in end.message
    assert not (up.home / "runs").exists()


def test_a_spawn_that_was_not_noted_is_found_by_its_token(up: Bench) -> None:
    """The process bears the token, so a kill right after the spawn loses nothing."""
    attempt = up.submit("sh", "-c", _WAIT)
    up.running(attempt)
    path = _ledger_after_death(up)
    with path.open("r+b") as file:
        file.seek(4096)
        while file.read(1) != bytes([_ledger.RUNNING]):
            file.seek(1023, os.SEEK_CUR)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([_ledger.INTENT]))
        file.seek(7, os.SEEK_CUR)
        file.write(struct.pack("<I", 0))
    up.start()
    row = up.backend.drover_observe([attempt]).observations[0]

    assert Phase.RUNNING is row.phase

    (up.home / "go").touch()

    assert up.end(attempt).exit_code in {9, None}


def test_after_a_reboot_nothing_is_believed(up: Bench) -> None:
    """A number and a start of another boot say nothing about a process of this one."""
    attempt = up.submit("sh", "-c", _WAIT)
    pid = up.running(attempt)
    path = _ledger_after_death(up)
    with path.open("r+b") as file:
        file.seek(16)
        file.write(b"another-boot".ljust(64, b"\0"))
    up.start()
    end = up.end(attempt)
    os.kill(pid, signal.SIGKILL)

    assert (Reason.NODE_LOST, None) == (end.reason, end.exit_code)
    assert "restarted" in end.message


def test_a_reused_number_is_not_taken_for_the_job(up: Bench) -> None:
    attempt = up.submit("sh", "-c", _WAIT)
    pid = up.running(attempt)
    path = _ledger_after_death(up)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<I", pid), 4096)
    data[at : at + 4] = struct.pack("<I", os.getpid())
    path.write_bytes(data)
    up.start()

    assert Reason.LOST is up.end(attempt).reason

    os.kill(pid, signal.SIGKILL)


def test_a_cancel_outlives_the_agent(up: Bench) -> None:
    """The grace was running when the agent died: the next one still kills."""
    attempt = up.submit("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    up.running(attempt)
    up.until("trap is set", lambda: up.output(attempt))
    up.order(attempt, Verb.CANCEL, grace_s=1.0)
    up.kill("pid")
    end = up.end(attempt)

    assert (9, Reason.CANCELLED) == (end.signal, end.reason)


def test_closed_is_closed_for_ever(up: Bench) -> None:
    """A closed token starts nothing, not even after every process was killed."""
    up.config["cpus"] = 1
    up.start()
    runner = up.submit("sh", "-c", _WAIT)
    up.running(runner)
    queued = up.submit("touch", "ran")
    never = up.attempt("touch", "ran")
    tokens = [runner.token, queued.token, never.token]
    answers = up.backend.drover_close(tokens)

    assert [Closing.TAKEN, Closing.CLOSED, Closing.CLOSED] == [a.closing for a in answers]
    assert answers == up.backend.drover_close(tokens)

    up.leave()
    up.kill("pid", "keeper")
    up.start()
    answers = up.backend.drover_submit([queued, never])

    assert [Answer.REFUSED] * 2 == [answer.answer for answer in answers]

    (up.home / "go").touch()
    up.end(runner)
    up.end(up.submit("true"))

    assert not (up.home / "ran").exists()

    up.backend.drover_forget([never])
    (answer,) = up.backend.drover_submit([never])

    assert Answer.ACCEPTED is answer.answer


def test_an_older_engine_is_refused(up: Bench) -> None:
    """An engine that was paused and wakes must not be able to start anything."""
    old = up.backend
    attempt = up.attempt("touch", "ran")
    up.start(epoch=7)
    link = old._link

    assert link is not None

    with pytest.raises((StaleEpochError, TimeoutError)):
        link.ask({"op": "submit", "jobs": [], "bases": {}}, 5.0)
    up.leave()
    up.kill("pid", "keeper")
    with pytest.raises(StaleEpochError):
        up.start(epoch=6)
    up.start(epoch=7)

    assert Phase.UNRUN is up.backend.drover_observe([attempt]).observations[0].phase
    assert not (up.home / "ran").exists()


def test_an_agent_that_fails_after_a_while_is_followed_by_another(bench: Bench) -> None:
    """The keeper left with the first, as if it had not come up, and with it all exit codes."""
    code = (
        "from drover_local import _keeper as k; k._SHORT_LIFE_S = 0.0; raise SystemExit(k.main())"
    )
    bench.place.make()
    with Path(bench.place.log).open("w") as log:
        subprocess.run(
            [sys.executable, "-P", "-c", code, bench.place.folder],
            check=True, timeout=20, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    bench.start()
    attempt = bench.submit("sh", "-c", _WAIT)
    bench.running(attempt)
    status = bench.status()
    os.kill(status["pid"], signal.SIGINT)
    bench.until("a new agent", lambda: bench.backend._link._sock is None)  # type: ignore[union-attr]
    bench.end(bench.submit("true"))
    (bench.home / "go").touch()

    assert 9 == bench.end(attempt).exit_code
    assert status["pid"] != bench.status()["pid"]
    assert status["keeper"] == bench.status()["keeper"]


def test_only_one_agent_at_a_time(up: Bench) -> None:
    """A second pair does not begin while one of the first lives, stopped or not."""
    status = up.status()
    command = [sys.executable, "-P", "-m", "drover_local._keeper", up.place.folder]
    os.kill(status["pid"], signal.SIGSTOP)
    os.kill(status["keeper"], signal.SIGKILL)
    try:
        code = subprocess.run(command, check=False, timeout=20).returncode
    finally:
        os.kill(status["pid"], signal.SIGCONT)

    assert 75 == code


def test_closed_tokens_survive_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    path.write_text("+a\n+b\n-a\n+torn")
    closed = ClosedTokens(os.fsencode(path))
    closed.add(["c"])
    again = ClosedTokens(os.fsencode(path))

    assert [False, True, True, False] == [token in again for token in ("a", "b", "c", "torn")]


def test_the_ledger_grows_and_reuses_its_slots(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    path = os.fsencode(file)
    ledger = Ledger(path)
    detail = json.dumps({"native_id": "n"}).encode()
    indices = [ledger.intend(note_of(f"t{n}", detail), 1.0, 1) for n in range(3000)]
    for index in indices[10:]:
        ledger.free(index)
    size = file.stat().st_size
    for n in range(2000):
        ledger.intend(note_of(f"u{n}", detail), 1.0, 1)
    ledger.ended(indices[0], _ledger.EXITED, 256, 2.0)
    ledger.used(indices[0], 1.0, 2.0, 3.0, 4)
    ledger.explain(indices[1], "t1", "n", "x" * 5000)
    ledger.close()
    again = {entry.token: entry for entry in Ledger(path).entries}

    assert size == file.stat().st_size
    assert 2010 == len(again)
    first = again["t0"]
    assert (256, 1.0, 2.0, 3.0, 4) == (
        first.status,
        first.user_s,
        first.system_s,
        first.wall_s,
        first.max_rss,
    )
    assert again["t1"].detail["message"].startswith("xxx")
    assert {"native_id": "n"} == again["t2"].detail
