"""Jobs start, end and tell the truth about it."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from local_bench import Bench

from drover.models import Phase, Reason, Resources, Started, Stream, _converting
from drover_local._job import Job
from drover_local._ledger import Ledger
from drover_local._runner import Runner
from drover_local._spawn import Spawner
from drover_local._timers import Timers


def test_a_job_runs_and_its_exit_code_is_true(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "echo out; echo err >&2; exit 7")
    end = up.end(attempt)

    assert (7, None, None) == (end.exit_code, end.signal, end.reason)
    assert Started.YES is end.started
    assert b"out\n" == up.output(attempt)
    assert b"err\n" == up.output(attempt, Stream.STDERR)


def test_a_signal_is_told_as_signal(up: Bench) -> None:
    end = up.end(up.submit("sh", "-c", "kill -SEGV $$"))

    assert (None, 11) == (end.exit_code, end.signal)


def test_usage_comes_from_the_kernel(up: Bench) -> None:
    text = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"
    usage = up.end(up.submit("sh", "-c", text)).usage

    assert usage is not None
    assert 0 < (usage.cpu_s or 0) < 10
    assert 0 < (usage.wall_s or 0) < 10
    assert 2**20 < (usage.max_rss_bytes or 0) < 2**30
    assert os.uname().nodename == usage.host


def test_the_environment_is_exactly_what_was_asked(up: Bench) -> None:
    attempt = up.submit("/usr/bin/env", "-0", env={"A": "1", "B": "x\ny", "C": "\udcff"})
    up.end(attempt)
    found = dict(line.split(b"=", 1) for line in up.output(attempt).split(b"\0") if line)

    assert {
        b"A": b"1",
        b"B": b"x\ny",
        b"C": b"\xff",
        b"DROVER_JOB_ID": attempt.job_id.encode(),
        b"DROVER_TOKEN": attempt.token.encode(),
    } == found


def test_signals_and_files_of_the_agent_do_not_leak(up: Bench) -> None:
    """A job must find default signals and three files, whatever the agent has."""
    attempt = up.submit("sh", "-c", "cat /proc/self/status; echo fds; ls /proc/$$/fd")
    up.end(attempt)
    text, _, fds = up.output(attempt).decode().partition("fds\n")
    masks = dict(line.split(":\t") for line in text.splitlines() if line.startswith("Sig"))
    # glibc keeps 32 and 33 to itself: nobody can reset them.
    ignored = int(masks["SigIgn"], 16) & ~(3 << 31)

    assert (0, 0) == (int(masks["SigBlk"], 16), ignored)
    assert {"0", "1", "2"} == set(fds.split()) - {"10", "255"}


@pytest.mark.parametrize("name", ["a b", 'it\'s "so"', "new\nline", "\udcff\udcfe", "$HOME;*"])
def test_any_name_of_a_working_directory_works(up: Bench, name: str) -> None:
    folder = up.home / name
    folder.mkdir()
    (folder / "in").write_bytes(b"given")
    attempt = up.submit("sh", "-c", "pwd; cat", cwd=str(folder), stdin="in", stdout="%j-%%.out")
    up.end(attempt)

    assert os.fsencode(folder) + b"\ngiven" == up.output(attempt)
    assert (folder / f"{attempt.job_id}-%.out").exists()


def test_join_output_keeps_the_order(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "echo 1; echo 2 >&2; echo 3", join_output=True)
    up.end(attempt)

    assert b"1\n2\n3\n" == up.output(attempt)
    assert up.backend.drover_read_output(attempt, Stream.STDERR, 0, 10) is None


def test_output_can_be_read_piece_by_piece_while_it_runs(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "printf abcdef; read x < /dev/zero; sleep 60")
    up.running(attempt)
    up.until("output", lambda: up.output(attempt) == b"abcdef")
    chunk = up.backend.drover_read_output(attempt, Stream.STDOUT, 2, 3)

    assert chunk is not None
    assert (b"cde", 2, 6) == (chunk.data, chunk.offset, chunk.size)


def test_each_attempt_has_its_own_output(up: Bench) -> None:
    first = up.submit("echo", "one")
    up.end(first)
    up.count -= 1
    second = up.submit("echo", "two", number=2)
    up.end(second)

    assert first.job_id == second.job_id
    assert (b"one\n", b"two\n") == (up.output(first), up.output(second))

    up.backend.drover_forget([first])
    up.backend.drover_forget([first])

    assert up.backend.drover_read_output(first, Stream.STDOUT, 0, 10) is None
    assert b"two\n" == up.output(second)


@pytest.mark.parametrize("told", [0, 2])
def test_the_output_of_each_restart_is_forgotten(up: Bench, told: int) -> None:
    """Of an earlier attempt it is not told how often it was restarted."""
    attempt = up.submit("echo", "one")
    up.end(attempt)
    chunk = up.backend.drover_read_output(attempt, Stream.STDOUT, 0, 10)
    assert chunk is not None
    kept = Path(chunk.path)
    for restart in (1, 2):
        kept.with_name(kept.name.replace(".1.0.", f".1.{restart}.")).write_text("more")

    up.backend.drover_forget([evolve(attempt, restart=told)])

    assert [] == list(kept.parent.iterdir())


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_files_are_private_whatever_the_umask(bench: Bench, mask: int) -> None:
    old = os.umask(mask)
    try:
        bench.start()
        attempt = bench.submit("sh", "-c", "umask; sleep 60", stdout="mine.txt")
        kept = bench.submit("sh", "-c", "echo hi")
        bench.end(kept)
        bench.until("output", lambda: bench.output(attempt))
        chosen = bench.home / "mine.txt"
        modes = {
            path: stat.S_IMODE(path.lstat().st_mode)
            for path in [chosen, *(bench.home / "backends").rglob("*")]
        }
    finally:
        os.umask(old)

    assert f"{mask & 0o077:04o}\n".encode() == bench.output(attempt)
    for path, mode in modes.items():
        assert (0o700 if path.is_dir() else 0o600) == mode, path
    assert b"hi\n" == bench.output(kept)


def _failures(folder: Path) -> dict[str, tuple[dict[str, object], str]]:
    (folder / "plain").write_text("x")
    for name, content in {
        "bad": b"#! /no/such/shell -x\n",
        "folder": b"#!/tmp\n",
        "dos": b"#!/bin/sh\r\necho hi\r\n",
        "text": b"echo hi\n",
        "empty": b"",
        "program": b"\x7fELF" + bytes(100),
    }.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755)
    os.mkfifo(folder / "pipe")
    return {
        "missing": ({"argv": ("no-such",)}, "command 'no-such': not found in the job's PATH. PATH"),
        "a line of the shell": ({"argv": ("sleep 1; ls",)}, "give sh, -c and the line"),
        "path": ({"argv": ("./no",)}, "command './no': no such file"),
        "mode": ({"argv": ("./plain",)}, "command './plain': it is not executable"),
        "folder": ({"argv": ("/tmp",)}, "command '/tmp': it is a folder"),
        "shebang": ({"argv": ("./bad",)}, "interpreter '/no/such/shell', which is not there"),
        "shebang folder": ({"argv": ("./folder",)}, "interpreter '/tmp', which cannot be executed"),
        "dos": ({"argv": ("./dos",)}, "'/bin/sh\\r', which is not there; the line ends with a car"),
        "empty": ({"argv": ("./empty",)}, "a script needs a first line"),
        "program": ({"argv": ("./program",)}, "made for another kind of machine"),
        "format": ({"argv": ("./text",)}, "a script needs a first line"),
        "cwd": ({"cwd": "/no/where"}, "working directory '/no/where': no such file"),
        "file": ({"cwd": str(folder / "plain")}, "not a directory"),
        "stdin": ({"stdin": "nothing"}, "stdin 'nothing': no such file"),
        "stdin folder": ({"stdin": "/tmp"}, "stdin '/tmp': it is a folder"),
        "stdout": ({"stdout": "no/out"}, "stdout '"),
        "stdout folder": ({"stdout": "/tmp"}, "stdout '/tmp': it is a folder"),
        "stdout pipe": ({"stdout": "pipe"}, "pipe': a named pipe cannot be used"),
        "stderr": ({"stderr": "no/err"}, "stderr '"),
        "pipe": ({"stdin": "pipe"}, "stdin 'pipe': a named pipe cannot be used"),
        "huge": ({"argv": ("true", "x" * 200_000)}, "argument list too long"),
    }


def test_what_cannot_start_says_exactly_why(up: Bench) -> None:
    """Each mistake names the file it is about, and none counts as a run."""
    for name, (fields, message) in _failures(up.home).items():
        argv = fields.pop("argv", ("true",))
        end = up.end(up.submit(*argv, **fields))  # type: ignore[misc]

        assert (Reason.LAUNCH_FAILED, Started.NO) == (end.reason, end.started), name
        assert message in end.message, name


def test_a_long_row_of_jobs_that_cannot_start_harms_no_agent(up: Bench) -> None:
    """Each began the next from within its own failure: 200 in a row were too deep for Python."""
    pid = up.status()["pid"]
    attempts = [up.attempt("no-such-command") for _ in range(400)]
    up.backend.drover_submit(attempts)

    assert {Reason.LAUNCH_FAILED} == {up.end(attempt).reason for attempt in attempts}
    assert pid == up.status()["pid"]


def test_where_no_process_can_be_made_jobs_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that is reached for a moment failed within that moment all jobs that waited."""
    spawn, failures = os.posix_spawn, [BlockingIOError(errno.EAGAIN, "try again")] * 2

    def make(*words: Any, **more: Any) -> int:
        if failures:
            raise failures.pop()
        return spawn(*words, **more)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "posix_spawn", make)
    home = os.open(tmp_path, os.O_RDONLY)
    ledger = Ledger(os.fsencode(tmp_path / "ledger"))
    runner = Runner(ledger, Spawner(home, str(tmp_path)), Timers(), lambda _job: None)
    what = {"argv": ("true",), "cwd": str(tmp_path), "stdout": f"{tmp_path}/o/out"}
    job = Job({"token": "t", "native_id": "n", **what}, 1)
    job.environment = {b"PATH": os.fsencode(os.environ["PATH"])}
    runner.prepare(job)
    runner.queue.add(job)
    runner.start_due()
    waits = job.phase, runner.trouble
    runner._go_on()
    runner.come_back()

    assert ("queued", "no more processes can be made: try again") == waits
    assert 0 == os.waitpid(job.pid, 0)[1]
    os.close(home)
    ledger.close()


@pytest.mark.parametrize(
    "fields", [{"cwd": "/\ud800"}, {"stdin": "\ud800"}, {"variables": {"A": "secret\ud800"}}]
)
def test_text_that_cannot_be_written_here_harms_its_job_alone(
    up: Bench, monkeypatch: pytest.MonkeyPatch, fields: dict[str, object]
) -> None:
    """What is text in the engine's locale need not be in the agent's, which must not die of it."""
    monkeypatch.setattr(_converting, "_has_bytes", lambda _text: True)
    pid = up.status()["pid"]
    rest = {name: value for name, value in fields.items() if name != "variables"}
    attempt = evolve(up.attempt("true", **rest), variables=fields.get("variables", {}))
    up.backend.drover_submit([attempt])
    end = up.end(attempt)

    assert (Reason.LAUNCH_FAILED, Started.NO) == (end.reason, end.started)
    assert r"'\ud800' cannot be written in utf-8" in end.message
    assert "secret" not in end.message
    assert 0 == up.end(up.submit("true")).exit_code
    assert pid == up.status()["pid"]


def test_a_command_that_appears_later_is_found(up: Bench) -> None:
    """What was looked up before must not be believed when it is gone."""
    folder = up.home / "bin"
    folder.mkdir()
    tool = folder / "tool"
    env = {"PATH": f"{folder}:/usr/bin:/bin"}
    tool.write_text("#!/bin/sh\necho one\n")
    tool.chmod(0o755)
    first = up.submit("tool", env=env)
    up.end(first)
    tool.rename(folder / "other")
    end = up.end(up.submit("tool", env=env))

    assert Reason.LAUNCH_FAILED is end.reason
    assert "not found" in end.message


def test_scripts_around_the_command_keep_its_end(up: Bench) -> None:
    (up.home / "pre it.sh").write_text("export WORD=hello\n")
    (up.home / "post").write_text("echo after $WORD\nexit 99\n")
    fields = {"pre_launch": "pre it.sh", "post_launch": "post"}
    code = up.submit("sh", "-c", "echo $WORD; exit 5", **fields)
    killed = up.submit("sh", "-c", "kill -9 $$", **fields)
    before = up.submit("sh", "-c", "echo $WORD; kill -TERM $$", pre_launch="pre it.sh")

    assert 5 == up.end(code).exit_code
    assert b"hello\nafter hello\n" == up.output(code)
    assert 9 == up.end(killed).signal
    assert 15 == up.end(before).signal


def test_a_repeated_submission_runs_once(up: Bench) -> None:
    """The token is the claim: any number of submissions is one run."""
    attempt = up.attempt("sh", "-c", "echo run >> runs; sleep 0.2")
    for _ in range(3):
        (answer,) = up.backend.drover_submit([attempt])

        assert "accepted" == answer.answer

    up.end(attempt)
    up.backend.drover_submit([attempt])
    last = up.submit("true")
    up.end(last)

    assert "run\n" == (up.home / "runs").read_text()


def test_many_jobs_each_run_once(up: Bench) -> None:
    attempts = [up.attempt("sh", "-c", f"echo {n} >> all") for n in range(200)]
    up.backend.drover_submit(attempts)
    for attempt in attempts:
        assert 0 == up.end(attempt).exit_code

    assert list(range(200)) == sorted(map(int, (up.home / "all").read_text().split()))
    up.until("ledger is empty", lambda: up.status()["known"] == 0)


def test_a_path_too_long_for_a_socket_works(bench: Bench) -> None:
    bench.home = bench.home / ("x" * 100) / ("y" * 100)
    bench.home.mkdir(parents=True)
    bench.start()

    assert 0 == bench.end(bench.submit("true")).exit_code


def test_the_agent_leaves_when_idle_and_comes_back(bench: Bench) -> None:
    up = bench
    up.config["idle_s"] = 0.2
    up.start()
    up.end(up.submit("true"))
    pid = up.status()["pid"]
    up.leave()
    up.until("agent is gone", lambda: not Path(f"/proc/{pid}").exists())
    up.start()

    assert 0 == up.end(up.submit("true")).exit_code


def test_started_is_told_before_a_long_job_ends(up: Bench) -> None:
    attempt = up.submit("sleep", "60", resources=Resources(cpus=2))

    assert Phase.RUNNING is up.phase(attempt, Phase.RUNNING).phase
