"""Checks that every backend must pass: commands run exactly, and their end is told truly."""

import os
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from drover.models import Reason, Started
from drover.states import State
from drover.testing._checks import Checks
from drover.testing._witness import shell

NASTY: Final = (
    "", " ", "a b", "'", '"', "'\"'", "$HOME", "${HOME}", "`id`", "$(id)", "\\", "\\n", "a\\\nb",
    "a\nb", "\t", "*", "?", "~", ";", "|", "&", "<", ">", "(", "-n", "--", "%s", "%j", "#x", "!!",
    "é", "\U0001f600", os.fsdecode(b"\xff\xfe\x80"), "\r", "\x01\x7f", "=", "{}", "x" * 4000,
)  # fmt: skip
"""Words that shells, locales, batch systems and JSON are known to change."""
_SHOW_ARGV: Final = "import os, sys; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
_SHOW_BYTES: Final = (
    "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4096);"
    "sys.stderr.buffer.write(bytes(range(255, -1, -1)) * 16)"
)


class RunChecks(Checks):
    """One job after the other."""

    @pytest.mark.parametrize("code", [0, 1, 2, 77, 99, 100, 126, 127, 128, 137, 143, 255])
    def test_exit_code(self, code: int) -> None:
        """An exit code that changes on its way is a lie."""
        job = self.run(shell(f"exit {code}"))

        outcome = self.end(job)
        assert (outcome.exit_code, outcome.signal) == (code, None), self.story(job)
        assert outcome.reason is Reason.EXITED, self.story(job)
        assert outcome.started is Started.YES, self.story(job)
        assert job.state is (State.FAILED if code else State.SUCCEEDED), self.story(job)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
    def test_death_by_signal(self, number: int) -> None:
        """Death by signal 9 is not exit code 137, and never a success."""
        job = self.run(shell(f"kill -{int(number)} $$"))

        outcome = self.end(job)
        assert (outcome.exit_code, outcome.signal) == (None, number), self.story(job)
        assert outcome.reason is Reason.SIGNALLED, self.story(job)
        assert job.state is State.FAILED, self.story(job)

    def test_killed_from_outside(self) -> None:
        """A job that somebody kills behind drover's back must not pass for a success."""
        job, name = self.sleeper("killed")
        self.kill_outside(name)

        outcome = self.end(job)
        assert job.state is State.FAILED, self.story(job)
        assert outcome.signal == signal.SIGKILL, self.story(job)
        assert outcome.reason is Reason.SIGNALLED, self.story(job)

    def test_started_once(self) -> None:
        """One submission is one run."""
        job, name = self.witnessed("once", shell("exit 3"))
        self.end(job)

        assert len(self.stage.witness.starts(name)) == 1, self.story(job)
        assert self.native_state(name) == "gone"

    def test_running_is_true(self) -> None:
        """RUNNING must mean that it runs, and an end that it does not."""
        job, name = self.sleeper("true")

        assert self.native_state(name) == "alive", self.story(job)
        assert job.cancel(grace_s=2.0).gone, self.story(job)
        assert self.native_state(name) == "gone", self.story(job)

    @pytest.mark.parametrize("argv", [["/no/such/program"], ["no-such-program-anywhere"], ["/"]])
    def test_launch_failure(self, argv: list[str]) -> None:
        """A command that could not be started has no exit code, and says what is missing."""
        job = self.run(argv)

        outcome = self.end(job)
        assert job.state is State.FAILED, self.story(job)
        assert outcome.reason is Reason.LAUNCH_FAILED, self.story(job)
        assert outcome.started is Started.NO, self.story(job)
        assert (outcome.exit_code, outcome.signal) == (None, None), self.story(job)
        assert outcome.message, self.story(job)

    def test_missing_cwd(self) -> None:
        """A command must not run in another directory than asked for."""
        job, name = self.witnessed("cwd", shell("true"), cwd=self.stage.path("no such place"))

        outcome = self.end(job)
        assert outcome.reason is Reason.LAUNCH_FAILED, self.story(job)
        assert self.stage.witness.starts(name) == []

    def test_times(self) -> None:
        """Times are in order, or the history cannot be understood."""
        job = self.run(shell("sleep 0.2"))

        assert job.started_at is not None, self.story(job)
        assert job.ended_at is not None, self.story(job)
        # A batch system may tell whole seconds of another clock.
        assert job.submitted_at <= job.started_at + 2, self.story(job)
        assert job.started_at <= job.ended_at, self.story(job)

    def test_many(self) -> None:
        """Each job gets its own end and its own output, also in a crowd."""
        specs = [shell(f"echo {code}; exit {code}") for code in range(20)]
        jobs = [self.submit(argv) for argv in specs]
        ends = [self.end(job).exit_code for job in jobs]

        assert ends == list(range(20))
        assert [job.stdout.read_bytes() for job in jobs] == [b"%d\n" % code for code in range(20)]

    def test_output_bytes(self) -> None:
        """Output is bytes, and none may be changed, lost or mixed up."""
        job = self.run([sys.executable, "-c", _SHOW_BYTES])

        out, err = bytes(range(256)) * 4096, bytes(range(255, -1, -1)) * 16
        assert job.stdout.read_bytes() == out, self.story(job)
        assert job.stderr.read_bytes() == err, self.story(job)
        assert job.stdout.read_bytes(offset=1000, size=500) == out[1000:1500]
        assert job.stdout.read_bytes(offset=len(out)) == b""

    def test_no_output(self) -> None:
        """No output is empty, not an error."""
        job = self.run(["true"])

        assert (job.stdout.read_bytes(), job.stderr.read_bytes()) == (b"", b"")

    def test_output_without_newline(self) -> None:
        """The last line counts even if it is not ended."""
        job = self.run(shell("printf 'a\\nb'"))

        assert job.stdout.read() == "a\nb", self.story(job)
        assert "".join(job.stdout.follow()) == "a\nb", self.story(job)

    def test_output_while_running(self) -> None:
        """Output can be read before the end."""
        job, name = self.witnessed("live", shell("echo first; exec sleep 600"))
        self.running(job, name)
        self.until(job, "readable", lambda: job.stdout.read_bytes() == b"first\n")

        assert job.cancel(grace_s=2.0).gone, self.story(job)
        assert job.stdout.read_bytes() == b"first\n"

    def test_joined_output(self) -> None:
        """Joined streams keep the order in which they were written."""
        self.need_field(join_output=True)
        job = self.run(shell("echo 1; echo 2 >&2; echo 3"), join_output=True)

        assert job.stdout.read() == "1\n2\n3\n", self.story(job)

    def test_output_files(self) -> None:
        """Output goes where it was asked for, for the user alone, and can still be read."""
        target = self.stage.path(self.unique("out put"))
        self.need_field(stdout=str(target))
        job = self.run(shell("echo out; echo err >&2"), stdout=f"{target}-%j", stderr=f"{target}.e")

        files = [Path(f"{target}-{job.id}"), Path(f"{target}.e")]
        assert [file.read_text() for file in files] == ["out\n", "err\n"], self.story(job)
        assert [file.stat().st_mode & 0o077 for file in files] == [0, 0]
        assert job.stdout.path == files[0]
        assert job.stdout.read() == "out\n", self.story(job)

    def test_argv_bytes(self) -> None:
        """Every word of the command arrives as it was given."""
        words = [os.fsencode(word) for word in NASTY]
        job = self.run([sys.executable, "-c", _SHOW_ARGV, *words])

        assert job.stdout.read_bytes().split(b"\0") == words, self.story(job)

    def test_environment_exact(self) -> None:
        """Without inheritance a job sees what was asked for and nothing else."""
        wanted = {f"V{index}": word for index, word in enumerate(NASTY)} | {"é b": "1"}
        job = self.run(["/usr/bin/env", "-0"], inherit_env=False, env=wanted)

        seen = _variables(job.stdout.read_bytes())
        given = (*self.extra_environment, *self.capabilities.environment)
        extra = tuple(os.fsencode(word) for word in given)
        kept = {name: text for name, text in seen.items() if not name.startswith(extra)}
        assert kept == {os.fsencode(k): os.fsencode(v) for k, v in wanted.items()}, self.story(job)

    def test_environment_inherited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job sees the caller's variables at submission, less those of an outer scheduler."""
        monkeypatch.setenv("CHECK_ONE", "caller's")
        monkeypatch.setenv("CHECK_TWO", "caller's")
        monkeypatch.setenv("SLURM_CPU_BIND", "none")
        job = self.submit(["/usr/bin/env", "-0"], env={"CHECK_TWO": "own"})
        monkeypatch.setenv("CHECK_ONE", "too late")
        self.end(job)

        seen = _variables(job.stdout.read_bytes())
        assert (seen.get(b"CHECK_ONE"), seen.get(b"CHECK_TWO")) == (b"caller's", b"own")
        assert seen.get(b"SLURM_CPU_BIND") != b"none"

    @pytest.mark.parametrize("name", [b"a b", b"'\"$(id)", b"a\nb", b"\xff\xfe", "é".encode()])
    def test_cwd(self, name: bytes) -> None:
        """A job runs in the directory that was asked for, whatever its name."""
        folder = self.stage.path(os.fsdecode(name))
        folder.mkdir(exist_ok=True)
        job = self.run(["/bin/pwd", "-P"], cwd=folder)

        assert job.stdout.read_bytes() == os.fsencode(folder) + b"\n", self.story(job)

    def test_stdin(self) -> None:
        """Input comes from the file, byte for byte; without one there is none."""
        source = self.stage.path(self.unique("in put"))
        source.write_bytes(bytes(range(256)))

        assert self.run(["cat"], stdin=str(source)).stdout.read_bytes() == bytes(range(256))
        assert self.run(["cat"]).stdout.read_bytes() == b""


def _variables(text: bytes) -> dict[bytes, bytes]:
    return dict(entry.split(b"=", 1) for entry in text.split(b"\0") if entry)
