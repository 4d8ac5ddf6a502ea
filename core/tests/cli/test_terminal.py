"""The command line in a real terminal: what is asked, drawn, and never sent."""

import os
import re
import sys
import tempfile
import time
from importlib.metadata import entry_points
from io import BytesIO
from pathlib import Path
from typing import Any

import pexpect
import pytest

import drover
from drover.states import ENDED, State

if "local" not in entry_points(group="drover.backends").names:
    pytest.skip("needs the local backend (pip install drover-local)", allow_module_level=True)

LIMIT_S = 30
SLEEP = (sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(600)")
CONTROLS = re.compile(r"\x1b[\[\]()][0-9;?]*[A-Za-z]?")


class Terminal:
    """One store, and a terminal of 120 columns to type at it."""

    def __init__(self, home: Path) -> None:
        self.environment = {
            **os.environ,
            "DROVER_HOME": str(home),
            "TERM": "xterm-256color",
            "PYTHONUNBUFFERED": "1",
        }
        self.environment.pop("NO_COLOR", None)
        self.session = drover.open(home)

    def spawn(self, *words: str) -> "pexpect.spawn[str]":
        return pexpect.spawn(
            sys.executable,
            ["-m", "drover", *words],
            env=self.environment,  # type: ignore[arg-type]
            encoding="utf-8",
            codec_errors="backslashreplace",
            timeout=LIMIT_S,
            dimensions=(40, 120),
        )

    def spawn_raw(self, *words: str) -> "pexpect.spawn[bytes]":
        """Start a command and keep every byte that it writes."""
        child = pexpect.spawn(
            sys.executable,
            ["-m", "drover", *words],
            env=self.environment,  # type: ignore[arg-type]
            timeout=LIMIT_S,
            dimensions=(40, 120),
        )
        child.written = child.logfile_read = BytesIO()
        return child

    def job(self, name: str) -> drover.Job:
        return self.session.jobs(name=name)[0]

    def run(self, *argv: str, **fields: Any) -> None:
        """Run a job to its end, or, of a sleeping one, to its start."""
        job = self.session.submit(argv, **fields)
        ends_at = time.monotonic() + LIMIT_S
        while isinstance(job, drover.Job) and job.state not in {State.RUNNING, *ENDED}:
            assert time.monotonic() < ends_at, job.history()
            self.session.wait([job], timeout=0.1)

    def kill(self, name: str) -> None:
        self.session.ask([self.job(name)], drover.Verb.KILL)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    it = Terminal(tmp_path_factory.mktemp("store") / "home")
    yield it
    it.session.engine_stop()
    it.session.close()


def ended(child: Any) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus)


def test_ctrl_c_asks_and_detaches(terminal: Terminal) -> None:
    child = terminal.spawn("run", "--name", "left", "--", *SLEEP)
    child.expect("up")
    child.sendintr()
    child.expect("etach, .*ancel, or Enter to go on")
    child.sendline("d")
    child.expect("detached; job .* goes on")

    assert 130 == ended(child)
    assert State.RUNNING is terminal.job("left").state
    terminal.kill("left")


def test_ctrl_c_asks_and_cancels(terminal: Terminal) -> None:
    child = terminal.spawn("run", "--name", "ended", "--", *SLEEP)
    child.expect("up")
    child.sendintr()
    child.expect("go on")
    child.sendline("c")
    child.expect("cancelling")

    assert 143 == ended(child)
    assert State.CANCELLED is terminal.job("ended").state


def test_ctrl_c_twice_cancels(terminal: Terminal) -> None:
    child = terminal.spawn("run", "--name", "twice", "--", *SLEEP)
    child.expect("up")
    child.sendintr()
    child.expect("go on")
    child.sendintr()
    child.expect("cancelling")

    assert 143 == ended(child)
    assert State.CANCELLED is terminal.job("twice").state


def test_enter_goes_on(terminal: Terminal) -> None:
    child = terminal.spawn("run", "--", "sh", "-c", "echo up; sleep 2; echo more")
    child.expect("up")
    child.sendintr()
    child.expect("go on")
    child.sendline("")
    child.expect("more")

    assert 0 == ended(child)


def test_output_is_shown_and_not_sent(terminal: Terminal) -> None:
    """A job's output must not set the title, move the cursor or answer for the user."""
    words = ("--", "printf", r"\033]0;owned\007\033[2Jdone\n")
    child = terminal.spawn("run", *words)
    child.expect("done")
    before = child.before or ""

    assert 0 == ended(child)
    assert r"\x1b]0;owned\x07\x1b[2J" in before
    assert "\x1b" not in before


def test_raw_output_is_sent(terminal: Terminal) -> None:
    child = terminal.spawn("run", "--raw", "--", "printf", r"\033[31mred\033[0m\n")
    child.expect_exact("\x1b[31mred\x1b[0m")

    assert 0 == ended(child)


def test_a_hostile_name_is_shown_in_a_drawn_table(terminal: Terminal) -> None:
    name = "\x1b]0;a\x07[red]x"
    terminal.run("true", name=name)
    child = terminal.spawn("ps", "--name", name)
    child.expect("jobs?: ")
    drawn = child.before or ""

    assert 0 == ended(child)
    # A column that has no room for all of it ends in an ellipsis.
    assert r"\x1b]0;a" in drawn
    assert "\x1b]" not in drawn


# Sets the title, fills the clipboard, colours, begins strings in their one-byte form, asks for
# the terminal's answer, overwrites the line, turns the writing round.
HOSTILE = (
    "x\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[93;5m\x9b93m\x90q\x9c\x1b[6n\x1bP\x1b\\"
    "\r\n\u202e\u2066\x7fy"
)
PRINTED = "".join(f"\\{byte:03o}" for byte in [*HOSTILE.encode(), 0x9B, 0x90, 0xFF, 0x0A])
SENT = (
    "\x1b]",
    "\x1b[93",
    "\x1b[6n",
    "\x1bP",
    "\x9b",
    "\x90",
    "\x9c",
    "\x07",
    "\u202e",
    "\u2066",
    "\x7f",
)


@pytest.fixture(scope="module")
def hostile(terminal: Terminal) -> drover.Job:
    """Give a job that has an evil name, tag, command and output."""
    argv = ("sh", "-c", 'printf "$1"; printf "$1" >&2; exit 3', HOSTILE, PRINTED)
    job = terminal.session.submit(argv, name=HOSTILE, tags=[HOSTILE])
    assert isinstance(job, drover.Job)
    assert 3 == job.wait(LIMIT_S).exit_code
    return job


@pytest.mark.parametrize(
    "words",
    [
        ("ps", "--all"),
        ("ps", "--name", HOSTILE),
        ("show", "{0}"),
        ("history", "{0}"),
        ("top",),
        ("wait", "{0}"),
        ("logs", "{0}"),
        ("logs", "-f", "--both", "{0}"),
        ("cancel", "{0}"),
        ("run", "--name", HOSTILE, "--", "printf", PRINTED),
        ("run", "--", HOSTILE),
        ("run", "--cwd", f"/{HOSTILE}", "--", "true"),
        ("plan", "--name", HOSTILE, "--", HOSTILE),
        ("show", HOSTILE),
        ("ps", "--state", HOSTILE),
        ("submit", "--backend", HOSTILE, "--", "true"),
        ("submit", "--memory", HOSTILE, "--", "true"),
        ("submit", f"--{HOSTILE}"),
        (HOSTILE,),
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:40],
)
def test_nothing_hostile_reaches_a_terminal(
    terminal: Terminal, hostile: drover.Job, words: tuple[str, ...]
) -> None:
    """Whatever names, output and mistakes are made of, it is shown; the terminal is not driven."""
    child = terminal.spawn_raw(*(hostile.id if word == "{0}" else word for word in words))
    if words == ("top",):
        child.expect(b"q leaves")
        child.send(b"q")
    ended(child)
    said = child.written.getvalue().decode("utf-8", "strict")

    assert [] == [sign for sign in SENT if sign in said]
    # Where our own drawing sends nothing, nothing at all is left but the ends of lines.
    if words[0] not in {"ps", "history", "top", "wait", "plan"}:
        assert [] == [sign for sign in said if ord(sign) < 32 and sign not in "\r\n\t"]


def test_top_draws_and_leaves(terminal: Terminal) -> None:
    terminal.run(*SLEEP, name="seen-in-top")
    child = terminal.spawn("top", "--every", "0.2s")
    child.expect("seen-in-top")
    child.expect("q leaves")
    child.send("q")

    assert 0 == ended(child)
    terminal.kill("seen-in-top")


def test_wait_draws_a_bar(terminal: Terminal) -> None:
    array = terminal.session.submit(["sleep", "0.5"], array=drover.Array(indices=3))
    child = terminal.spawn("wait", array.id)
    child.expect("3/3")

    assert 0 == ended(child)


@pytest.mark.slow
def test_the_demo_draws_tells_the_truth_and_leaves_nothing(
    terminal: Terminal, tmp_path: Path
) -> None:
    """The first thing that a newcomer types has to work, and to leave the machine as it was."""
    terminal.environment["TMPDIR"] = str(tmp_path)
    child = terminal.spawn("demo")
    child.expect("compress .*80", timeout=60)
    child.expect(r"jobs in (\d+m)?\d+(\.\d)?s: every one ended as it had to", timeout=60)
    text = CONTROLS.sub("", child.before or "")

    assert 0 == ended(child)
    assert "WRONG" not in text
    assert [] == list(tmp_path.iterdir())
    assert tempfile.gettempdir() != str(tmp_path)
    ends_at = time.monotonic() + 5
    while processes_that_name(str(tmp_path)) and time.monotonic() < ends_at:
        time.sleep(0.05)

    assert [] == processes_that_name(str(tmp_path))


def processes_that_name(text: str) -> list[str]:
    """List command lines and working directories that name a path."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            )
            place = str((folder / "cwd").readlink())
        except OSError:
            continue
        if text in words or text in place:
            found.append(words)
    return found
