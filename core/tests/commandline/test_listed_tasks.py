"""One list of many tasks: the wrapper finds its own in it, and in doubt runs nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from drover.commandline import KILLER, WRAPPER, Batches, TaskSettings, claims
from drover.commandline.claims import Owner
from drover.commandline.records import read_exit_record, read_unrun_records
from drover.commandline.wrapper import REQUESTS
from drover.models import Attempt, EndReport, JobSpec

DEADLINE_S = 20.0


@frozen
class Array:
    """Some attempts in one list."""

    home: Path
    tasks: Path
    tokens: Sequence[str]
    folders: Sequence[Path]
    running: list["subprocess.Popen[bytes]"] = field(factory=list)

    def start(
        self, index: str = "0", native_id: str = "7", *restart: str, **env: str
    ) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-I", "-S", WRAPPER, "--of", self.tasks, index, native_id, *restart]
        process = subprocess.Popen(
            argv, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.running.append(process)
        return process

    def run(self, *words: str, **env: str) -> tuple[int, str]:
        process = self.start(*words, **env)
        _, said = process.communicate(timeout=DEADLINE_S)
        return process.returncode, said.decode()

    def end(self, index: int = 0) -> EndReport:
        report = read_exit_record(self.folders[index], 0, token=self.tokens[index])
        assert report is not None
        return report

    def out(self, index: int = 0) -> bytes:
        return (self.folders[index] / "stdout.0").read_bytes()

    def news(self) -> list[str]:
        return sorted(path.name.rpartition(".")[0] for path in (self.home / "news").iterdir())


Make = Callable[..., Array]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Array] = []

    def write(
        *argvs: Sequence[str], settings: TaskSettings | None = None, folder: str = "", **more: Any
    ) -> Array:
        attempts = [
            Attempt(
                job_id=f"job{n}", number=1, token=f"token-{n}", variables={"N": str(n)},
                spec=JobSpec(argv=argv, **more), base_environment={"PATH": os.environ["PATH"]},
                base_digest="d",
            )
            for n, argv in enumerate(argvs)
        ]  # fmt: skip
        folders = [tmp_path / "jobs" / (folder + each.job_id) for each in attempts]
        home = tmp_path / "backend"
        batch = Batches(home, settings or TaskSettings()).make(attempts, folders)
        array = Array(home, batch.tasks, batch.tokens, folders)
        made.append(array)
        return array

    yield write
    for process in [each for array in made for each in array.running]:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=DEADLINE_S)


def test_each_index_is_its_own_job(make: Make) -> None:
    """An element that runs its neighbour's command leaves one undone and one done twice."""
    array = make(*(("sh", "-c", f"echo {n} $N; exit {n}") for n in range(3)))

    codes = [array.run("{INDEX}", "{JOB}_{INDEX}", INDEX=str(n), JOB="7")[0] for n in range(3)]

    assert [0, 1, 2] == codes
    assert [b"0 0\n", b"1 1\n", b"2 2\n"] == [array.out(n) for n in range(3)]
    assert ["7_0", "7_1", "7_2"] == [array.end(n).native_id for n in range(3)]


@pytest.mark.parametrize("index", ["3", "-1", "x", "", "1.5", "{NO_SUCH}", "99999999"])
def test_an_index_that_is_none_runs_nothing(make: Make, index: str) -> None:
    """A scheduler's variable that is not set is not index 0."""
    array = make(("true",), ("true",), ("true",))

    code, said = array.run(index)

    assert (118, True) == (code, "nothing was run" in said)
    assert not any(folder.exists() for folder in array.folders)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]\n[]\n", b'{"version": 1}\n{"argv": ["true"]}\n', b"\xff\n\xff\n"],
)
def test_a_list_that_is_none_runs_nothing(make: Make, content: bytes | None) -> None:
    """It was deleted with its jobs, or its disk broke."""
    array = make(("true",))
    array.tasks.unlink()
    if content is not None:
        array.tasks.write_bytes(content)

    code, said = array.run()

    assert (118, True) == (code, "nothing was run" in said)
    assert not array.folders[0].exists()


def test_half_a_line_runs_nothing(make: Make) -> None:
    """A power cut may take the end of a file."""
    array = make(("touch", "oops"), ("touch", "oops"))
    whole = array.tasks.read_bytes()
    array.tasks.write_bytes(whole[:-20])

    assert 118 == array.run("1")[0]


def test_another_version_runs_nothing(make: Make) -> None:
    """A list of a later drover may mean something else by the same words."""
    array = make(("true",))
    head, task, _ = array.tasks.read_text().split("\n")
    array.tasks.write_text(json.dumps({**json.loads(head), "version": 99}) + f"\n{task}\n")

    assert 118 == array.run()[0]


@pytest.mark.parametrize("native_id", ["", "_", "{NO}_{SUCH}"])
def test_without_an_id_nothing_runs(make: Make, native_id: str) -> None:
    """A claim that names nobody could be adopted by nobody."""
    array = make(("true",))

    assert 118 == array.run("0", native_id)[0]
    assert () == claims.read(array.folders[0])


def test_a_closed_attempt_runs_nothing_and_says_so(make: Make) -> None:
    """The engine gave it up; word of that comes at once."""
    array = make(("touch", "oops"))
    claims.close(array.folders[0], "engine: given up")

    assert 118 == array.run()[0]
    (record,) = read_unrun_records(array.folders[0])
    assert (Owner(native_id="7"), True) == (record.owner, "given up" in record.why)
    assert ["token-0"] == array.news()


def test_a_folder_that_cannot_be_made_runs_nothing(make: Make) -> None:
    """Without a folder there is no claim."""
    array = make(("touch", "oops"))
    array.folders[0].parent.write_text("a file in the place of the folder")

    code, said = array.run()

    assert (118, True) == (code, "nothing was run" in said)


def test_a_folder_of_any_bytes(make: Make) -> None:
    """A user's home is called what its user called it."""
    array = make(("sh", "-c", "echo ran"), folder=os.fsdecode(b"a 'b\n\xff"))

    code, _ = array.run(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert (0, b"ran\n") == (code, array.out())


def test_word_is_left_at_the_start_and_at_the_end(make: Make) -> None:
    """The engine need not ask the scheduler to learn of either."""
    array = make(("true",))

    array.run()

    assert ["token-0", "token-0"] == array.news()


def test_without_a_place_for_word_the_job_runs(make: Make) -> None:
    """They are seen a little later, that is all."""
    array = make(("sh", "-c", "echo ran"))
    (array.home / "news").rmdir()

    assert (0, b"ran\n") == (array.run()[0], array.out())


def test_the_killer_kills_at_once(make: Make, eventually: Any) -> None:
    """Schedulers that are asked to KILL send TERM first, which the command may ignore."""
    array = make(("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"))
    process = array.start()
    out = array.folders[0] / "stdout.0"
    eventually(lambda: out.exists() and out.read_bytes() == b"up\n", "the start")

    process.send_signal(signal.SIGTERM)
    process.send_signal(KILLER)

    assert 128 + signal.SIGKILL == process.wait(DEADLINE_S)
    assert signal.SIGKILL == array.end().signal


@pytest.mark.parametrize(("shared", "passed"), [((), True), ((signal.SIGTERM,), False)])
def test_a_signal_that_all_processes_get_is_not_passed_on(
    make: Make, eventually: Any, shared: tuple[int, ...], passed: bool
) -> None:
    """The command would be signalled twice, and think that somebody is impatient."""
    # Of two signals that wait, the one with the smaller number is served first.
    script = "trap 'exit 21' XCPU; trap 'exit 22' TERM; echo up; while :; do sleep 0.05; done"
    settings = TaskSettings(shared_signals=shared, listens=True)
    array = make(("sh", "-c", script), settings=settings)
    process = array.start()
    out, listens = array.folders[0] / "stdout.0", array.folders[0] / REQUESTS
    # The command may speak before its wrapper knows that it has started; a signal that comes in
    # between may have reached the wrapper alone, and is passed on whatever it is.
    eventually(lambda: out.exists() and out.read_bytes() == b"up\n", "the start")
    eventually(listens.exists, "a wrapper that knows its command")

    process.send_signal(signal.SIGTERM)
    if not passed:
        process.send_signal(signal.SIGXCPU)

    assert (22 if passed else 21) == process.wait(DEADLINE_S)


@pytest.mark.parametrize("words", [["--of"], ["--of", "x"], ["--of", "x", "0"], ["--of", *"abcde"]])
def test_wrong_use_runs_nothing(words: list[str]) -> None:
    """A site's script with a missing word must not run half a job."""
    done = subprocess.run([sys.executable, WRAPPER, *words], capture_output=True, check=False)

    assert (118, True) == (done.returncode, b"usage" in done.stderr or b"nothing" in done.stderr)
