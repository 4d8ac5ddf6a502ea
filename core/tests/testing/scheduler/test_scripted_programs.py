"""Programs on PATH ask the scheduler, and behave as programs do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drover.testing import SystemClock
from drover.testing.scheduler import ScriptedPrograms, SlurmScheduler, faults

SCRIPT = b"#!/bin/sh\nexit 0\n"
WAIT_S = 30.0


def poll(true: Any) -> None:
    """Wait until something is so."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Shell:
    """Runs programs with the scripted ones first on PATH."""

    def __init__(self, scheduler: SlurmScheduler, programs: ScriptedPrograms, cwd: Path) -> None:
        self.scheduler = scheduler
        self.programs = programs
        self.cwd = cwd

    @property
    def options(self) -> dict[str, Any]:
        """Give what each program is started with."""
        return {"env": {**os.environ, "PATH": self.programs.path}, "cwd": self.cwd}

    def __call__(self, *argv: str | bytes, given: bytes = b"", **options: Any) -> Any:
        """Run one."""
        more = {**self.options, **options}
        return subprocess.run(argv, input=given, capture_output=True, check=False, **more)

    def begin(self, *argv: str) -> "subprocess.Popen[bytes]":
        """Start one and leave it alone."""
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **self.options
        )


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell on a cluster on which nothing moves by itself."""
    scheduler = SlurmScheduler(clock=SystemClock())
    with ScriptedPrograms(scheduler, tmp_path / "bin") as programs:
        yield Shell(scheduler, programs, tmp_path)


def test_a_script_is_read_from_standard_input(shell: Shell) -> None:
    """And standard input is left alone by those that do not want it."""
    done = shell("sbatch", "--parsable", "-J", "x", given=SCRIPT)
    (job,) = shell.scheduler.jobs

    assert (0, b"1\n", b"") == (done.returncode, done.stdout, done.stderr)
    assert ("x", SCRIPT) == (job.name, job.script)


def test_a_script_is_read_from_a_file(shell: Shell) -> None:
    """By a path that is relative to where the program is."""
    (shell.cwd / "job.sh").write_bytes(SCRIPT)
    shell("sbatch", "job.sh", "a b")
    (job,) = shell.scheduler.jobs

    assert ("job.sh", ("a b",)) == (job.name, job.arguments)
    assert str(shell.cwd) == job.work_dir


def test_bytes_arrive_as_they_are(shell: Shell) -> None:
    """In names and in listings, UTF-8 or not."""
    name = b"caf\xe9 \xff\nlate"
    shell("sbatch", "-J", name, given=SCRIPT)

    assert name + b"\n" == shell("squeue", "-h", "-o", "%j").stdout


def test_exit_codes_and_messages_arrive(shell: Shell) -> None:
    """As of the real ones."""
    done = shell("sbatch", "--nonsense")

    assert 255 == done.returncode
    assert b"sbatch: unrecognized option '--nonsense'" in done.stderr


def test_who_calls_is_seen(shell: Shell) -> None:
    """Whatever the environment says."""
    shell("sbatch", given=SCRIPT, env={**os.environ, "PATH": shell.programs.path, "USER": "eve"})
    (job,) = shell.scheduler.jobs

    assert os.getuid() == job.uid
    assert "eve" != job.user


def test_a_program_can_be_killed_by_a_signal(shell: Shell) -> None:
    """Its caller sees a signal and no code."""
    shell.scheduler.faults.add("squeue", faults.be_killed(signal.SIGSEGV))

    assert -signal.SIGSEGV == shell("squeue").returncode


def test_a_slow_program_takes_its_time(shell: Shell) -> None:
    """In seconds that pass."""
    shell.scheduler.faults.add("squeue", faults.be_slow(0.3))
    begun = time.monotonic()
    shell("squeue")

    assert 0.3 <= time.monotonic() - begun


def test_what_is_killed_by_its_caller_has_happened(shell: Shell) -> None:
    """Who loses patience with sbatch may have a job all the same."""
    shell.scheduler.faults.add("sbatch", faults.lose_answer())
    with pytest.raises(subprocess.TimeoutExpired):
        shell("sbatch", given=SCRIPT, timeout=1.0)

    assert 1 == len(shell.scheduler.jobs)


def test_programs_do_not_wait_for_each_other(shell: Shell) -> None:
    """One that hangs holds nobody up."""
    shell.scheduler.faults.add("squeue", faults.lose_answer())
    with shell.begin("squeue") as hung:
        poll(lambda: shell.scheduler.log)
        assert 0 == shell("sinfo").returncode
        assert hung.poll() is None
        hung.kill()


def test_programs_end_when_the_scheduler_goes(tmp_path: Path) -> None:
    """No test leaves a process behind because it ended while one hung."""
    scheduler = SlurmScheduler(clock=SystemClock())
    scheduler.faults.add("squeue", faults.lose_answer())
    programs = ScriptedPrograms(scheduler, tmp_path / "bin")
    shell = Shell(scheduler, programs, tmp_path)
    with shell.begin("squeue") as hung:
        poll(lambda: scheduler.log)
        programs.close()
        _, errors = hung.communicate(timeout=WAIT_S)

    assert (127, b"squeue: the scripted scheduler is gone\n") == (hung.returncode, errors)
    assert b"the scripted scheduler is gone" in shell("squeue").stderr


def test_time_passes_by_itself(tmp_path: Path) -> None:
    """On a real clock jobs start and end while nobody looks."""
    with (
        SlurmScheduler(clock=SystemClock(), run_for_real=True) as scheduler,
        ScriptedPrograms(scheduler) as programs,
    ):
        Shell(scheduler, programs, tmp_path)("sbatch", given=b"#!/bin/sh\necho done >out\n")
        poll((tmp_path / "out").exists)
        poll(lambda: scheduler.jobs[0].state.has_ended)


def test_it_can_be_used_from_a_shell(tmp_path: Path) -> None:
    """Without a line of Python."""
    text = 'sbatch -o out --wrap "echo hello; exit 3"; until grep -s hello out; do :; done'
    until = "until squeue -h -t all -o %T | grep FAILED; do :; done"
    done = subprocess.run(
        [sys.executable, "-m", "drover.testing.scheduler", "--", "sh", "-c", f"{text}; {until}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (0, "Submitted batch job 1\nhello\nFAILED\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_it_serves_until_it_is_ended(tmp_path: Path) -> None:
    """Without a command it says what to export, and goes when it is told."""
    with subprocess.Popen(
        [sys.executable, "-m", "drover.testing.scheduler"], stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        words = serving.stdout.readline()
        done = subprocess.run(
            ["/bin/sh", "-c", f"{words} squeue -h; sinfo -h -o %D"],
            capture_output=True,
            text=True,
            check=False,
        )
        serving.terminate()

    assert "4\n" == done.stdout
    assert 0 == serving.returncode
