"""Jobs that cannot start, do not leave, or write too much: each ends with the truth."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doors import DROVER, WAIT_S, Doors

from drover import Reason, Session, State, Verdict
from drover._store import process_started
from drover.models import Started

GIB = 2**30
MIB = 2**20


def lay_out(folder: Path) -> None:
    """Make the files that the cases below are about."""
    (folder / "plain").write_text("x")
    for name, text in {"text": "echo hi\n", "lost": "#!/no/such/shell\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    os.mkfifo(folder / "pipe")


CANNOT_START: dict[str, tuple[dict[str, Any], str]] = {
    "missing executable": ({"argv": ["no-such-thing"]}, "'no-such-thing': not found in the job's"),
    "no permission": ({"argv": ["./plain"]}, "'./plain': it is not executable (chmod +x)"),
    "a folder": ({"argv": ["/tmp"]}, "'/tmp': it is a folder"),
    "no first line": ({"argv": ["./text"]}, "a script needs a first line such as #!/bin/sh"),
    "no interpreter": ({"argv": ["./lost"]}, "the interpreter '/no/such/shell', which is not ther"),
    "argument of 2 MiB": ({"argv": ["echo", "x" * 2 * MIB]}, "argument list too long"),
    "missing cwd": ({"cwd": "/no/where"}, "working directory '/no/where': no such file"),
    "cwd is a file": ({"cwd": "plain"}, "plain': not a directory"),
    "missing stdin": ({"stdin": "nothing"}, "stdin 'nothing': no such file"),
    "stdin is a folder": ({"stdin": "/tmp"}, "stdin '/tmp': it is a folder"),
    "stdin is a pipe": ({"stdin": "pipe"}, "stdin 'pipe': a named pipe cannot be used here"),
    "stdout in no folder": ({"stdout": "no/out"}, "no/out': no such file or directory"),
    "stdout is a folder": ({"stdout": "/tmp"}, "stdout '/tmp': it is a folder"),
    "stdout is a pipe": ({"stdout": "pipe"}, "pipe': a named pipe cannot be used here"),
    "stderr is a pipe": ({"stderr": "pipe"}, "pipe': a named pipe cannot be used here"),
}


@pytest.mark.parametrize(("fields", "why"), CANNOT_START.values(), ids=CANNOT_START)
def test_what_cannot_start_says_why(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], why: str
) -> None:
    """The job is kept with the cause, and `drover run` says it and exits with 126."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    argv = fields.get("argv", ["cat"])
    options = {name: value for name, value in fields.items() if name != "argv"}
    job = doors.submit(*argv, **options)

    outcome = job.wait(WAIT_S)

    assert (State.FAILED, Reason.LAUNCH_FAILED) == (job.state, outcome.reason)
    assert (Started.NO, None) == (outcome.started, outcome.exit_code)
    assert why in outcome.message
    if len(argv[-1]) < MIB:  # No command line holds more.
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        told = doors.type("run", *words, "--", *argv)
        assert (126, "") == (told.code, told.stdout)
        assert told.stderr.startswith("drover: job ")
        assert "LAUNCH_FAILED" in told.stderr
        assert why in told.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions stop nobody who is root")
def test_a_cwd_without_permission_says_so(doors: Doors, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)

    outcome = doors.submit(cwd=tmp_path / "shut").wait(WAIT_S)

    assert Reason.LAUNCH_FAILED is outcome.reason
    assert "shut': permission denied" in outcome.message


def test_a_full_disk_is_the_commands_own_failure(doors: Doors) -> None:
    """It started and could not write: its exit code says so, not ours."""
    argv = ("sh", "-c", "echo x || exit 9")
    outcome = doors.submit(*argv, stdout="/dev/full").wait(WAIT_S)

    assert (Reason.EXITED, 9) == (outcome.reason, outcome.exit_code)
    assert 9 == doors.type("run", "--stdout", "/dev/full", "--", *argv).code


# Jobs that do not leave


def test_a_job_that_forks_and_leaves_has_ended(doors: Doors) -> None:
    """What it left behind holds its output open; nobody waits for that, and nobody ends it."""
    script = "setsid sh -c 'echo late; exec sleep 600' & echo $!; exit 3"
    job = doors.submit("sh", "-c", script)

    assert 3 == job.wait(WAIT_S).exit_code
    doors.until(lambda: "late" in job.stdout.read(), job)
    (left,) = [int(word) for word in job.stdout.read().split() if word.isdecimal()]
    told = doors.type("logs", "-f", job.id)
    assert (0, True) == (told.code, "late" in told.stdout)
    assert process_started(left)
    os.kill(left, signal.SIGKILL)


def test_what_a_job_left_is_ended_where_that_is_asked_for(doors: Doors) -> None:
    job = doors.submit(
        "sh", "-c", "sleep 600 & echo $!; exit 3", native={"local": {"kill_leftovers": True}}
    )

    assert 3 == job.wait(WAIT_S).exit_code
    left = int(job.stdout.read())
    doors.until(lambda: not process_started(left), job)


def test_a_job_that_ignores_term_is_killed_after_the_grace(doors: Doors) -> None:
    """The verdict comes when it is gone, and the outcome says by what."""
    script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
    first, second = doors.submit("sh", "-c", script), doors.submit("sh", "-c", script)
    for job in (first, second):
        doors.until(lambda job=job: job.stdout.read(), job)  # type: ignore[misc]

    verdict = first.cancel(grace_s=0.2)
    told = doors.type("cancel", "--grace", "0.2s", second.id)

    assert (Verdict.DONE, True) == (verdict.verdict, verdict.gone)
    assert (0, True) == (told.code, "gone" in told.stdout)
    for job in (first, second):
        outcome = job.outcome
        assert outcome is not None
        assert (Reason.CANCELLED, signal.SIGKILL) == (outcome.reason, outcome.signal)


# A job that writes too much


def peak_bytes(pid: int) -> int:
    """Read the most memory that a process has had; it must be there.

    Source: proc(5), VmHWM in /proc/PID/status.
    """
    text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def agent_pid(session: Session) -> int:
    (row,) = [row for row in session.doctor("local") if row.subject.endswith("agent")]
    return int(row.message.split()[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
def test_a_gibibyte_of_output_stays_on_the_disk(doors: Doors) -> None:
    """Engine, agent and readers take pieces: what a job writes is bounded by the disk alone."""
    free = shutil.disk_usage(doors.home).free
    if free < 3 * GIB:
        pytest.skip(f"3 GiB of disk are needed, {free // MIB} MiB are free")
    job = doors.submit("head", "-c", "1G", "/dev/zero")
    try:
        assert job.wait(300).succeeded
        pids = {"engine": doors.session.engine_status().pid, "agent": agent_pid(doors.session)}
        reader = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(DROVER), "logs", job.id],
            env={**os.environ, "DROVER_HOME": str(doors.home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        told, _ = reader.communicate(timeout=300)
        count, peak = map(int, told.split())

        assert GIB == count
        assert 150 * MIB > peak
        assert GIB == sum(map(len, job.stdout.follow_bytes()))
        assert bytes(10) == job.stdout.read_bytes(GIB - 10, 100)
        for name, pid in pids.items():
            assert 150 * MIB > peak_bytes(pid), name
    finally:
        doors.session.purge(jobs=[job])


# Counts what a command prints, and tells how much memory the command had at most.
COUNT = """
import resource, subprocess, sys
count = 0
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) as process:
    while piece := process.stdout.read(1 << 20):
        count += len(piece)
print(count, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(process.returncode)
"""
