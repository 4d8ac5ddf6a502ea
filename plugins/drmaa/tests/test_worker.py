"""The worker: a library that is missing, wrong, slow or mad harms nobody but itself."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drover.errors import ConfigError, UnknownFieldError, UnreachableError
from drover.models import Health
from drover.testing import BackendHarness
from drover_drmaa import _link
from drover_drmaa._config import DrmaaConfig
from drover_drmaa._context import program, tell
from drover_drmaa._doctor import no_grid_engine
from drover_drmaa._gridengine import GridEngine
from drover_drmaa._link import Link
from drover_drmaa._plain import PlainDrmaa

ASK = ("drmaa", "status")
QUESTION = b'{"do": "status", "ids": []}'
# Says hello as the worker does, and answers each question by what stands in it.
FAKE = """
import json, os, sys, time
print(json.dumps({"system": "SGE", "pid": os.getpid(), "contact": sys.argv[2]}), flush=True)
for line in sys.stdin:
    todo = json.loads(line)
    if todo.get("die"): os._exit(3)
    if todo.get("hang"): time.sleep(600)
    if todo.get("mad"): print("no JSON", flush=True); continue
    print(json.dumps(todo), flush=True)
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Link]]:
    """Make links to a program that stands for the worker."""
    fake = tmp_path / "fake.py"
    fake.write_text(FAKE)
    links: list[Link] = []

    def make(most: int = 1000, *, text: str = FAKE) -> Link:
        fake.write_text(text)
        monkeypatch.setattr(_link, "WORKER", fake)
        links.append(Link("", "session=x", most))
        return links[-1]

    yield make
    for link in links:
        link.close()


def test_one_worker_answers_one_question_after_the_other(made: Callable[..., Link]) -> None:
    """A session is opened once, under the name that opens it again."""
    link = made()
    answers = [json.loads(link.ask(ASK, b'{"n": %d}' % n, 5.0).stdout) for n in range(3)]

    assert [{"n": 0}, {"n": 1}, {"n": 2}] == answers
    assert link.pid == link.info["pid"]
    assert "session=x" == link.info["contact"]


@pytest.mark.parametrize("fault", [b'{"die": 1}', b'{"hang": 1}', b'{"mad": 1}'])
def test_a_worker_that_fails_leaves_a_doubt_and_is_replaced(
    made: Callable[..., Link], fault: bytes
) -> None:
    """Whether the library had done it, nobody knows; the next question has a new worker."""
    link = made()
    link.ask(ASK, QUESTION, 5.0)
    first = link.pid
    with pytest.raises(UnreachableError) as caught:
        link.ask(ASK, fault, 0.5)

    assert caught.value.sent
    assert 0 == link.ask(ASK, QUESTION, 5.0).returncode
    assert first != link.pid


def test_a_worker_that_was_killed_between_questions_is_not_missed(
    made: Callable[..., Link],
) -> None:
    """Nothing was asked of it."""
    link = made()
    link.ask(ASK, QUESTION, 5.0)
    first = link.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    assert 0 == link.ask(ASK, QUESTION, 5.0).returncode
    assert first != link.pid


def test_a_worker_is_replaced_after_so_many_jobs(made: Callable[..., Link]) -> None:
    """Libraries leak; an engine runs for months."""
    link = made(most=5)
    pids = []
    for _ in range(4):
        link.ask(ASK, b'{"ids": ["1", "2"]}', 5.0)
        pids.append(link.info["pid"])

    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_a_worker_that_says_no_is_told_from_one_that_fails(made: Callable[..., Link]) -> None:
    """A refusal is an answer."""
    told = made().ask(ASK, b'{"error": "DeniedByDrmException", "code": 17, "text": "no"}', 5.0)

    assert 1 == told.returncode


def test_a_worker_that_does_not_start_has_heard_nothing(made: Callable[..., Link]) -> None:
    """A job that was not handed over is not in doubt."""
    link = made(text="raise SystemExit(4)")
    with pytest.raises(UnreachableError) as caught:
        link.ask(ASK, QUESTION, 5.0)

    assert not caught.value.sent


def test_the_end_of_the_engine_is_the_end_of_the_worker(made: Callable[..., Link]) -> None:
    """An engine that was killed must not leave workers behind."""
    link = made()
    link.ask(ASK, QUESTION, 5.0)
    process = link._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # What the kernel does for a process that is gone.

    assert 0 == process.wait(10)


def test_a_library_of_another_system_is_given_no_job(made: Callable[..., Link]) -> None:
    """Where two are installed the wrong one may be found first, and take what it understands."""
    link = made(text=FAKE.replace('"SGE"', '"SLURM 23.02", "library": "/l.so"'))
    link._wrong = no_grid_engine
    with pytest.raises(UnreachableError, match=r"/l.so speaks DRMAA .* SLURM 23.02") as caught:
        link.ask(ASK, QUESTION, 5.0)

    assert not caught.value.sent
    assert (None, "system") == (link.pid, json.loads(link.hello(ASK).stdout)["failed"])


@pytest.mark.parametrize(("dialect", "refused"), [("gridengine", True), ("plain", False)])
def test_whose_library_it_is_matters_to_grid_engine_alone(
    made: Callable[..., Link], tmp_path: Path, dialect: str, refused: bool
) -> None:
    """The job waits until the configuration is mended."""
    made(text=FAKE.replace('"SGE"', '"SLURM 23.02"'))
    harness = BackendHarness("drmaa", tmp_path / "home", config={"dialect": dialect})
    (answer,) = harness.submit(harness.attempt(["true"]))
    harness.backend.call("drover_stop")

    assert refused == ("which is no Grid Engine" in answer.message)
    assert ("refused" if refused else "unknown", refused) == (answer.answer, answer.retryable)


# --- the real worker ---------------------------------------------------------------------------


def hello(library: str) -> dict[str, str]:
    link = Link(library, "", 10)
    try:
        told: dict[str, str] = json.loads(link.hello(("drmaa", "hello")).stdout)
    finally:
        link.close()
    return told


def test_a_library_that_is_not_there_is_named() -> None:
    """A typing error in a path is no riddle."""
    told = hello("/no/such/libdrmaa.so")

    assert ("library", "OSError", "/no/such/libdrmaa.so") == (
        told["failed"], told["error"], told["library"],
    )  # fmt: skip


def test_a_library_of_something_else_is_named() -> None:
    """It loads, and knows nothing of DRMAA."""
    told = hello("libc.so.6")

    assert "library" == told["failed"]
    assert "drmaa_init" in told["text"]


@pytest.mark.parametrize(
    ("library", "health", "words"),
    [("/no/such/libdrmaa.so", Health.ERROR, "/no/such/libdrmaa.so cannot be loaded"),
     ("libc.so.6", Health.ERROR, "libc.so.6 is no DRMAA library")],
)  # fmt: skip
def test_the_doctor_names_the_library(
    tmp_path: Path, library: str, health: Health, words: str
) -> None:
    """What is missing is said before a job waits for it."""
    harness = BackendHarness("drmaa", tmp_path / "home", config={"drmaa_library": library})
    found = {row.subject: row for row in harness.backend.call("drover_diagnose")}

    assert health is found["library"].health
    assert words in found["library"].message
    assert "drmaa_library" in found["library"].cure


def test_no_library_is_loaded_here() -> None:
    """What crashes or leaks must not be in the engine's own process, nor slow its start."""
    assert "drover_drmaa" in sys.modules
    assert "drmaa" not in sys.modules


def test_a_job_is_refused_for_now_where_there_is_no_library(tmp_path: Path) -> None:
    """It is not lost either: the administrators may install one."""
    harness = BackendHarness("drmaa", tmp_path / "home", config={"drmaa_library": "/no/such"})
    (answer,) = harness.submit(harness.attempt(["true"]))

    assert ("refused", True) == (answer.answer, answer.retryable)
    assert "/no/such" in answer.message


# --- what else is done without Grid Engine -----------------------------------------------------


def test_word_to_wrappers_is_appended(tmp_path: Path) -> None:
    """A second request must not wipe out the first."""
    lines = [{"folder": str(tmp_path), "restart": k, "signal": 15, "why": "cancel"} for k in (0, 1)]
    tell(("tell-wrapper",), json.dumps(lines).encode())

    assert "0 15 cancel\n1 15 cancel\n" == (tmp_path / "requests").read_text()
    gone = json.dumps([{**lines[0], "folder": str(tmp_path / "gone")}]).encode()
    with pytest.raises(UnreachableError):
        tell(("tell-wrapper",), gone)


def test_commands_are_found_below_the_root(tmp_path: Path) -> None:
    """Who has SGE_ROOT need not have its programs in PATH."""
    path = tmp_path / "bin/lx-amd64/qstat"
    path.parent.mkdir(parents=True)
    path.touch()
    root = {"SGE_ROOT": str(tmp_path), "PATH": "/nowhere"}

    assert str(path) == program("qstat", "", root)
    assert "/site/qstat" == program("qstat", "/site", root)
    assert "qstat" == program("qstat", "", {"PATH": "/nowhere"})
    assert "qdel" == program("qdel", "", root)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"nosuch": 1}, UnknownFieldError),
        ({"dialect": "klingon"}, ConfigError),
        ({"poll_s": 0}, ConfigError),
        ({"poll_s": True}, ConfigError),
        ({"accounting": "yes"}, ConfigError),
        ({"pe": 1}, ConfigError),
    ],
)
def test_bad_settings_are_refused(table: dict[str, object], kind: type[Exception]) -> None:
    """A misspelt setting has no effect, and nobody knows why."""
    with pytest.raises(kind):
        DrmaaConfig.read("drmaa", table)


def test_good_settings() -> None:
    """A margin of nothing is one."""
    table = {"wall_time_margin_s": 0, "dialect": "plain", "poll_s": 1}

    assert DrmaaConfig(**table) == DrmaaConfig.read("drmaa", table)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheduler", [GridEngine, PlainDrmaa])
def test_the_engine_hears_of_settings(scheduler: type[GridEngine | PlainDrmaa]) -> None:
    """What is set and not heard is worse than what cannot be set."""
    names = ("poll_s", "idle_poll_s", "settle_s", "missing_grace_s", "unknown_after_s")
    config = DrmaaConfig(**{name: 7.0 + k for k, name in enumerate(names)})
    capabilities = scheduler("drmaa", config).capabilities

    assert [7.0 + k for k in range(5)] == [getattr(capabilities, name) for name in names]
