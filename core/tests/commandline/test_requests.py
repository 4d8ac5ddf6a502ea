"""What is asked of a wrapper by file, and what it makes of numbers that count otherwise."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from drover.commandline import (
    WRAPPER,
    Batches,
    Known,
    Owner,
    Place,
    Row,
    TaskSettings,
    claims,
    read_exit_record,
    wrapper,
    write_json,
)
from drover.commandline.looking import Look
from drover.models import Attempt, JobSpec, Phase, Reason, Source

SETTINGS = TaskSettings(listens=True, shared_signals=(signal.SIGTERM, signal.SIGUSR1))
Eventually = Callable[[Callable[[], object], str], None]


class Listener:
    """A wrapper that leads a session, as a scheduler starts it, with a command that runs."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder / "attempt"
        spec = JobSpec(argv=("/bin/sh", "-c", script), cwd=str(folder))
        attempt = Attempt(job_id="job", number=1, token="tok-1", spec=spec)
        batch = Batches(folder / "backend", SETTINGS).make([attempt], [self.folder])
        words = (sys.executable, "-I", "-S", str(WRAPPER), "--of", str(batch.tasks), "0", "7", "0")
        self.process = subprocess.Popen(words, start_new_session=True)

    def ask(self, line: str) -> None:
        """Leave word."""
        with (self.folder / wrapper.REQUESTS).open("a") as file:
            file.write(line)

    def said(self) -> bytes:
        path = self.folder / "stdout.0"
        return path.read_bytes() if path.exists() else b""

    def end(self) -> tuple[Reason | None, int | None, int | None]:
        self.process.wait(20)
        report = read_exit_record(self.folder, token="tok-1")
        assert report is not None
        return report.reason, report.exit_code, report.signal


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Callable[[str], Listener]]:
    made: list[Listener] = []

    def start(script: str) -> Listener:
        made.append(Listener(tmp_path, script))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(20)


def test_a_cancel_by_file_ends_the_command_and_says_so(
    listener: Callable[[str], Listener], eventually: Eventually
) -> None:
    """Some schedulers have KILL alone; a command that obeys TERM and goes with 0 was cancelled."""
    one = listener("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    eventually(lambda: one.said() == b"up\n", "a command")
    one.ask("0 15 cancel\n")

    assert (Reason.CANCELLED, 0, None) == one.end()
    assert b"up\nbye\n" == one.said()


def test_a_signal_by_file_reaches_the_command_and_is_no_cancel(
    listener: Callable[[str], Listener], eventually: Eventually
) -> None:
    """Asked for a signal, the command decides what it does; it is asked once."""
    script = (
        "trap 'echo one' HUP; trap 'echo two; exit 4' USR1; echo up; while :; do sleep 0.05; done"
    )
    one = listener(script)
    eventually(lambda: one.said() == b"up\n", "a command")
    one.ask("0 1 signal\n")
    eventually(lambda: one.said() == b"up\none\n", "the first signal")
    one.ask(f"0 {int(signal.SIGUSR1)} signal\n")

    assert (None, 4, None) == one.end()
    assert b"up\none\ntwo\n" == one.said()


def test_what_was_asked_of_another_start_or_is_nonsense_is_passed_over(
    listener: Callable[[str], Listener], eventually: Eventually
) -> None:
    """The file is that of the attempt, and its restarts share it; half a line is no line."""
    one = listener("echo up; sleep 2.5; exit 5")
    eventually(lambda: one.said() == b"up\n", "a command")
    one.ask("1 9 cancel\n0 999 cancel\nnonsense\n0 9 cancel")

    assert (None, 5, None) == one.end()


def test_a_grace_is_kept_and_nobody_is_left(
    listener: Callable[[str], Listener], eventually: Eventually, tmp_path: Path
) -> None:
    """The command ignores TERM, and so does its child."""
    child_script = 'trap "" TERM; echo $$; while :; do sleep 0.1; done'
    one = listener(f"trap '' TERM; sh -c '{child_script}' & while :; do sleep 0.1; done")
    eventually(lambda: one.said().strip(), "a child")
    child = int(one.said())
    write_json(one.folder, wrapper.CANCEL, {"grace_s": 0.3})
    one.ask("0 15 cancel\n")

    assert (Reason.CANCELLED, None, 9) == one.end()
    eventually(lambda: not _runs(child), "the end of the child")


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    ("text", "told"),
    [("{ID}.{TASK}", "7.3"), ("{TASK-1}", "2"), ("{ID-1}", "6"), ("{NONE-1}", ""),
     ("{WORD-1}", ""), ("{NONE}", ""), ("{TASK-2}", "{TASK-2}")],
)  # fmt: skip
def test_numbers_that_count_from_one(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of Grid Engine do; lines of a list count from 0."""
    for name, value in (("ID", "7"), ("TASK", "3"), ("WORD", "undefined")):
        monkeypatch.setenv(name, value)

    assert told == wrapper.expand(text)


def test_where_a_scheduler_tells_only_that_it_is_a_restart_they_are_counted(node: Any) -> None:
    """Grid Engine has a flag and no number; the second restart must run as well."""
    node.write("/bin/sh", "-c", "exit $RUN", requeue=True, pass_env=("RUN",))

    codes = [node.run("7", "{AGAIN}+", AGAIN=again, RUN=run) for again, run in
             (("0", "3"), ("1", "4"), ("1", "5"), ("0", "6"))]  # fmt: skip
    assert [3, 4, 5, 118] == codes
    assert [3, 4, 5] == [node.end(k).exit_code for k in range(3)]


def test_an_element_is_named_by_its_number() -> None:
    """From 1, as Grid Engine counts."""
    place = Place(key="k", index=2, size=3, path="/a")

    names = [place.native_id("9", pattern) for pattern in ("{id}.{number}", "{id}_{index}")]
    assert ["9.3", "9_2"] == names


def test_restarts_are_counted_by_claims_where_the_queue_does_not_tell(tmp_path: Path) -> None:
    """What waits will be the next start, what runs is the last one."""
    known = Known(
        token="t", folder=tmp_path, key="k", index=0, size=1, label="", native_id="7", requeue=True
    )
    queued = Row(native_id="7", key="k", phase=Phase.QUEUED, source=Source.QUEUE, word="Rq")
    running = evolve(queued, phase=Phase.RUNNING, word="Rr")

    assert None is Look._as_counted(known, queued).restart
    claims.take(tmp_path, Owner(native_id="7"), requeue=True)
    assert [1, 0] == [Look._as_counted(known, row).restart for row in (queued, running)]
    claims.take(tmp_path, Owner(native_id="7", restart=1), requeue=True)
    assert [2, 1] == [Look._as_counted(known, row).restart for row in (queued, running)]
    assert 5 == Look._as_counted(known, evolve(running, restart=5)).restart
    assert None is Look._as_counted(evolve(known, requeue=False), running).restart
