"""The command line as a user types it, with real jobs on the local backend."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from drover.cli import main

if "local" not in entry_points(group="drover.backends").names:
    pytest.skip("needs the local backend (pip install drover-local)", allow_module_level=True)

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
SCHEMA = json.loads((REFERENCE / "json-schema.json").read_text())
# One engine and one agent start and 2 busy cores.
LIMIT_S = 30.0
SLEEP = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)")


class Told:
    """What a command line came to."""

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


class Shell:
    """One store, and a way to type at it: in this process, as that is ten times as fast."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "DROVER_HOME": str(home), "PYTHONUNBUFFERED": "1"}

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "drover", *words]

    def bytes(self, *words: str) -> Told:
        with CliRunner().isolation(env={"DROVER_HOME": str(self.home)}) as streams:
            code = main(words)
            sys.stderr.flush()
            return Told(code, streams[0].getvalue(), streams[1].getvalue())

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run one command line; it has to exit with *code*."""
        told = self.bytes(*words)
        assert code == told.returncode, f"{words}: {told.stdout!r} {told.stderr!r}"
        return told.stdout.decode()

    def json(self, *words: str, code: int = 0) -> Any:
        cut = words.index("--") if "--" in words else len(words)
        document = json.loads(self(*words[:cut], "--json", *words[cut:], code=code))
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
        return document

    def until(self, job: str, state: str) -> None:
        """Look until the job is in this state; its story where it is not in time."""
        ends_at = time.monotonic() + LIMIT_S
        while (seen := self.json("show", job)["state"]) != state:
            assert time.monotonic() < ends_at, f"{seen}:\n{self('history', job)}"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One store for all tests of this file: an engine takes its time to start."""
    it = Shell(tmp_path_factory.mktemp("store") / "home")
    yield it
    for job in it.json("ps", "--all")["jobs"]:
        if job["ended_at"] is None and job["state"] != "LOST":
            it.bytes("cancel", "--kill", job["id"])
    it("engine", "stop")


def test_run_passes_every_byte_and_the_exit_code(shell: Shell) -> None:
    """`drover run` stands in for the command itself: not a byte, not the code may differ."""
    code = (
        "import os, sys; os.write(1, bytes(range(256)) * 300); os.write(2, b'\\xff\\x1b[31m');"
        "sys.exit(7)"
    )
    told = subprocess.run(
        shell.argv("run", "--", sys.executable, "-c", code),
        env=shell.environment,
        capture_output=True,
        check=False,
    )

    assert (7, bytes(range(256)) * 300, b"\xff\x1b[31m") == (
        told.returncode,
        told.stdout,
        told.stderr,
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "kill -TERM $$"), 143, "signal 15"),
        (("/no/such/command",), 126, "LAUNCH_FAILED"),
        (("--wall-time", "0.5s", "--", *SLEEP), 124, "WALL_TIME"),
    ],
)
def test_run_tells_other_ends(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    told = shell.bytes("run", *words)

    assert code == told.returncode
    assert said in told.stderr.decode()


def test_output_comes_while_the_job_runs(shell: Shell) -> None:
    """Who watches a long job must see its lines when they are written, not at the end."""
    code = "import time; print('first', flush=True); time.sleep(600)"
    argv = shell.argv("run", "--name", "talks", "--", sys.executable, "-c", code)
    with subprocess.Popen(
        argv, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"first\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)

    assert 130 == process.returncode
    assert b"detached" in errors
    job = shell.json("ps", "--name", "talks")["jobs"][0]
    assert "RUNNING" == job["state"]
    shell("cancel", "--kill", job["id"])


def test_on_interrupt_cancel_cancels(shell: Shell) -> None:
    argv = shell.argv("run", "--on-interrupt", "cancel", "--name", "doomed", "--", *SLEEP)
    with subprocess.Popen(argv, env=shell.environment, stderr=subprocess.PIPE) as process:
        ends_at = time.monotonic() + LIMIT_S
        while not shell.json("ps", "--name", "doomed", "--state", "RUNNING")["jobs"]:
            assert time.monotonic() < ends_at, shell("ps", "--all")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT_S)

    assert 128 + signal.SIGTERM == process.returncode
    assert "CANCELLED" == shell.json("ps", "--name", "doomed")["jobs"][0]["state"]


def test_the_life_of_a_job(shell: Shell) -> None:
    """From the id that `submit` prints, every other command finds the job."""
    job = shell("submit", "--name", "life", "--tag", "t", "--", "sh", "-c", "echo o; echo e >&2")
    job = job.strip()
    waited = shell.json("wait", job, "--timeout", "30s")
    told = shell.json("show", job)

    assert [job] == [entry["id"] for entry in waited["jobs"]]
    assert ("life", "SUCCEEDED", ["t"], 0) == (
        told["name"],
        told["state"],
        told["tags"],
        told["outcome"]["exit_code"],
    )
    assert told["outcome"]["evidence"]
    assert ("o\n", "e\n") == (shell("logs", job), shell("logs", "--stderr", job))
    assert "o\n" == shell("logs", "-f", job)
    assert ("o\n", b"e\n") == (
        shell("logs", "--both", job),
        shell.bytes("logs", "--both", job).stderr,
    )
    events = [entry["event"] for entry in shell.json("history", job)["events"]]
    assert "Submitted" == events[0]
    assert "Ended" == events[-1]
    assert job in shell("ps", "--tag", "t")


def test_an_id_may_be_shortened(shell: Shell) -> None:
    job = shell("submit", "true").strip()
    shell("wait", job)
    others = [entry["id"] for entry in shell.json("ps", "--all")["jobs"] if entry["id"] != job]
    length = next(n for n in range(1, 64) if not any(x.startswith(job[:n]) for x in others))

    assert job == shell.json("show", job[:length])["id"]
    assert "no job" in shell.bytes("show", "zzzz").stderr.decode()
    shell("show", "zzzz", code=3)


def test_requests_to_a_running_job(shell: Shell) -> None:
    job = shell("submit", "--", *SLEEP).strip()
    shell.until(job, "RUNNING")
    shell("suspend", job)
    shell.until(job, "SUSPENDED")
    shell("resume", job)
    shell.until(job, "RUNNING")
    verdict = shell.json("cancel", job)["verdicts"][0]

    assert (job, "done") == (verdict["id"], verdict["verdict"])
    assert "CANCELLED" == shell.json("show", job)["state"]
    assert "too late" in shell("cancel", job)
    assert 1 == shell.bytes("wait", job).returncode


def test_a_signal_reaches_the_job(shell: Shell) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9));"
        "print('ready', flush=True); time.sleep(600)"
    )
    job = shell("submit", "--", sys.executable, "-c", code).strip()
    ends_at = time.monotonic() + LIMIT_S
    while shell("logs", job) != "ready\n":
        assert time.monotonic() < ends_at, shell("history", job)
    shell("signal", "USR1", job)
    shell("wait", job, code=1)

    assert 9 == shell.json("show", job)["outcome"]["exit_code"]


def test_a_held_job_waits_for_its_release(shell: Shell) -> None:
    job = shell("submit", "--hold", "true").strip()
    shell("wait", job, "--timeout", "0.3s", code=124)

    assert ["user"] == shell.json("show", job)["hold"]

    shell("release", job)
    shell("wait", job, "--timeout", "30s")


def test_steps_wait_for_each_other(shell: Shell) -> None:
    first = shell("submit", "--hold", "false").strip()
    second = shell("submit", "--after", first, "true").strip()
    third = shell("submit", "--after", f"{first}:failed", "true").strip()
    shell("release", first)
    shell("wait", first, second, third, "--timeout", "30s", code=1)
    told = {job: shell.json("show", job) for job in (second, third)}

    assert "DEPENDENCY_FAILED" == told[second]["outcome"]["reason"]
    assert "SUCCEEDED" == told[third]["state"]


def test_an_array_is_printed_in_order(shell: Shell) -> None:
    """Outputs of elements that run at the same time must not be mixed."""
    told = shell.bytes("run", "--array", "0-3", "--", "sh", "-c", "echo $DROVER_ARRAY_INDEX")

    assert (0, b"0\n1\n2\n3\n") == (told.returncode, told.stdout)


def test_an_array_gives_the_code_of_its_first_failure(shell: Shell) -> None:
    words = ("sh", "-c", "exit $DROVER_ARRAY_INDEX")

    assert 2 == shell.bytes("run", "--array", "0,2,3", "--", *words).returncode


def test_an_array_is_shown_as_one(shell: Shell) -> None:
    array = shell("submit", "--array", "3", "--", "true").strip()
    shell("wait", array)
    told = shell.json("show", array)

    assert (3, {"SUCCEEDED": 3}) == (told["size"], told["counts"])
    assert 3 == len(shell.json("ps", "--array", array)["jobs"])


def test_retry_opens_another_attempt(shell: Shell) -> None:
    job = shell("submit", "false").strip()
    shell("wait", job, code=1)
    told = shell("retry", job)
    shell("wait", job, code=1)

    assert 2 == shell.json("show", job)["attempt"]
    assert told.endswith("  attempt 2\n"), "it looks as if nothing came of it"
    assert "1 counted, 2 in all" in shell("show", job)


def test_a_second_attempt_is_streamed_from_its_start(shell: Shell, tmp_path: Path) -> None:
    """The output of both attempts reaches who watches, each once."""
    script = f"if mkdir '{tmp_path}/tried' 2>/dev/null; then echo one; exit 1; fi; echo two"
    told = shell.bytes("run", "--retry", "1", "--retry-backoff", "0.5s", "--", "sh", "-c", script)

    assert (0, b"one\ntwo\n") == (told.returncode, told.stdout)


def test_no_attempt_is_too_quick_to_be_streamed(shell: Shell) -> None:
    """The first may have failed, and the second have ended, before anybody looked."""
    script = "echo $DROVER_ATTEMPT; exit 1"
    told = shell.bytes("run", "-q", "--retry", "2", "--", "sh", "-c", script)

    assert (1, b"1\n2\n3\n") == (told.returncode, told.stdout)


def test_a_key_gives_the_same_job(shell: Shell) -> None:
    words = ("submit", "--key", "mine", "true")

    assert shell(*words) == shell(*words)


def test_plan_says_what_is_refused(shell: Shell) -> None:
    accepted = shell.json("plan", "--cpus", "1", "--", "true")["plan"]
    refused = shell.json("plan", "--account", "me", "--", "true", code=1)["plan"]

    assert accepted["accepted"]
    assert (
        "refused"
        == {row["field"]: row["support"] for row in refused["fields"]}["resources.account"]
    )


def test_what_is_refused_is_not_submitted(shell: Shell) -> None:
    before = len(shell.json("ps", "--all")["jobs"])
    told = shell.bytes("submit", "--account", "me", "true")

    assert 2 == told.returncode
    assert "resources.account" in told.stderr.decode()
    assert before == len(shell.json("ps", "--all")["jobs"])


def test_what_tells_of_the_installation(shell: Shell) -> None:
    backends = shell.json("backends")["backends"]

    assert "local" in [info["name"] for info in backends if info["ok"]]
    assert shell.json("doctor")["healthy"]
    assert "local" in shell("doctor", "local")


def test_the_engine_can_be_stopped_and_comes_back(shell: Shell) -> None:
    """Jobs must not notice that the engine was restarted."""
    job = shell("submit", "--", *SLEEP).strip()
    shell.until(job, "RUNNING")
    first = shell.json("engine", "status")["engine"]
    shell("engine", "restart")
    second = shell.json("engine", "status")["engine"]

    assert first["running"]
    assert first["epoch"] < second["epoch"]
    assert "RUNNING" == shell.json("show", job)["state"]

    shell("cancel", job)
    shell("engine", "stop")
    assert not shell.json("engine", "status", code=1)["engine"]["running"]
    assert 0 == shell.bytes("run", "true").returncode


def test_purge_forgets(shell: Shell) -> None:
    job = shell("submit", "true").strip()
    shell("wait", job)
    shell("purge", job)

    shell("show", job, code=3)


def test_home_wins_over_the_variable(shell: Shell, tmp_path: Path) -> None:
    assert [] == shell.json("ps", "--home", str(tmp_path / "other"))["jobs"]


def test_a_store_that_cannot_be_opened_is_one_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = shell.bytes("ps", "--home", str(tmp_path / "file" / "below"))

    assert told.returncode in {2, 5}
    assert 1 <= len(told.stderr.splitlines()) <= 2
    assert b"Traceback" not in told.stderr


def test_ids_complete(shell: Shell) -> None:
    job = shell("submit", "--name", "completes", "true").strip()
    shell("wait", job)
    words = {"_DROVER_COMPLETE": "bash_complete", "COMP_WORDS": f"drover show {job[:6]}"}
    told = subprocess.run(
        shell.argv(),
        env={**shell.environment, **words, "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"plain,{job}" in told.stdout.splitlines()
