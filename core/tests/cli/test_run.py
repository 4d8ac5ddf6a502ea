"""What `run` streams, exits with, and does about Ctrl-C, without a real job."""

import io
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import pytest
from attrs import evolve

from drover.cli import _exits, _run, _stream
from drover.cli._stream import Pump
from drover.cli._terminal import OutputFilter, shown
from drover.models import JobSpec, Outcome, Reason, Started, Verb
from drover.states import State


def outcome(reason: Any = Reason.EXITED, **facts: Any) -> Any:
    return Outcome(reason=reason, **facts)


@pytest.mark.parametrize(
    ("state", "facts", "code"),
    [
        (State.SUCCEEDED, outcome(exit_code=0), 0),
        (State.FAILED, outcome(exit_code=7), 7),
        (State.FAILED, outcome(exit_code=255), 255),
        (State.FAILED, outcome(Reason.SIGNALLED, signal=11), 139),
        (State.FAILED, outcome(Reason.WALL_TIME, signal=15), 124),
        (State.FAILED, outcome(Reason.DEADLINE), 124),
        (State.FAILED, outcome(Reason.OUT_OF_MEMORY), 137),
        (State.FAILED, outcome(Reason.OUT_OF_MEMORY, exit_code=3), 3),
        (State.FAILED, outcome(Reason.LAUNCH_FAILED, started=Started.NO), 126),
        (State.FAILED, outcome(Reason.DEPENDENCY_FAILED, started=Started.NO), 126),
        (State.FAILED, outcome(Reason.STAGING_FAILED, exit_code=0, started=Started.YES), 125),
        (State.CANCELLED, outcome(Reason.CANCELLED, signal=9), 137),
        (State.CANCELLED, outcome(Reason.CANCELLED, exit_code=0), 130),
        (State.CANCELLED, outcome(Reason.CANCELLED), 130),
        (State.LOST, outcome(Reason.LOST), 122),
    ],
)
def test_the_exit_code_of_run(state: Any, facts: Any, code: int) -> None:
    """A job that did not succeed must never look like one that did."""
    assert code == _exits.of_job(state, facts)


def test_run_streams_both_outputs_byte_by_byte(call: Any, session: Any) -> None:
    """What a pipe gets from `drover run` is what the command wrote, bytes that are no text too."""
    result = call("run", "--", "echo", "hi")

    assert (b"out\x1b[31m\xff\n", b"err\n") == (result.stdout_bytes, result.stderr_bytes)
    assert 0 == result.code


def test_run_exits_as_the_job_does(call: Any, session: Any) -> None:
    session.outcome = outcome(exit_code=3, started=Started.YES)

    assert 3 == call("run", "false").code


def test_run_says_what_the_exit_code_does_not(call: Any, session: Any) -> None:
    """137 alone does not tell that the memory was used up."""
    session.outcome = outcome(Reason.OUT_OF_MEMORY, signal=9, message="limit 1 GiB")

    result = call("run", "x")

    assert 137 == result.code
    assert "OUT_OF_MEMORY, signal 9: limit 1 GiB" in result.stderr


def test_words_after_the_command_are_the_commands(call: Any, session: Any) -> None:
    """`drover run ls --json` runs `ls --json`."""
    call("run", "--cpus", "2", "ls", "--json", "-x")
    _, spec, *_ = session.asked[0]

    assert ("ls", "--json", "-x") == spec.argv
    assert 2 == spec.resources.cpus


@pytest.mark.parametrize(
    ("on_interrupt", "typed", "expected"),
    [
        ("detach", "", _run._Answer.DETACH),
        ("cancel", "", _run._Answer.CANCEL),
        ("ask", "d\n", _run._Answer.DETACH),
        ("ask", "c\n", _run._Answer.CANCEL),
        ("ask", "\n", _run._Answer.GO_ON),
        ("ask", "", _run._Answer.DETACH),
    ],
)
def test_an_interrupt_is_answered(
    session: Any, monkeypatch: pytest.MonkeyPatch, on_interrupt: Any, typed: Any, expected: Any
) -> None:
    """Ctrl-C must never cancel what the user only wanted to leave."""
    monkeypatch.setattr(_run, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    spec = JobSpec(argv=("x",))
    options = {"as_json": False, "raw": False, "quiet": True, "on_interrupt": on_interrupt}
    watch = _run._Watch(session, session.submit(spec), spec, options)

    assert expected is watch._ask()


def test_a_second_interrupt_cancels(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(io.StringIO):
        def readline(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr(_run, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", Impatient())
    spec = JobSpec(argv=("x",))
    options = {"as_json": False, "raw": False, "quiet": True, "on_interrupt": "ask"}
    watch = _run._Watch(session, session.submit(spec), spec, options)

    assert _run._Answer.CANCEL is watch._ask()

    watch._cancel()

    assert Verb.CANCEL is session.asked[-1][0]
    assert _run._Answer.DETACH is watch._ask()


@pytest.fixture
def interrupted_while_it_submits(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type Ctrl-C when the job is stored and nobody knows its id."""
    submit = type(session).submit

    def interrupted(*given: Any, **options: Any) -> Any:
        job = submit(*given, **options)
        signal.raise_signal(signal.SIGINT)
        return job

    monkeypatch.setattr(type(session), "submit", interrupted)


@pytest.mark.usefixtures("interrupted_while_it_submits")
def test_who_interrupts_a_submission_is_told_the_id(call: Any) -> None:
    """A job that is there must not be one that nobody can name."""
    told = call("submit", "x")

    assert ("new1\n", _exits.INTERRUPTED) == (told.stdout, told.code)


@pytest.mark.usefixtures("interrupted_while_it_submits")
@pytest.mark.parametrize("answer", ["detach", "cancel"])
def test_who_interrupts_the_start_of_run_is_asked(call: Any, session: Any, answer: str) -> None:
    """An early Ctrl-C means no more and no less than a late one."""
    told = call("run", "--on-interrupt", answer, "x")

    if answer == "detach":
        assert _exits.INTERRUPTED == told.code
        assert "job new1 goes on" in told.stderr
    else:
        assert Verb.CANCEL is session.asked[-1][0]


@pytest.mark.usefixtures("interrupted_while_it_submits")
def test_a_job_of_the_shells_background_hears_no_interrupt(call: Any) -> None:
    """A shell lets what it runs behind ignore Ctrl-C; so do we."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        told = call("submit", "x")
    finally:
        signal.signal(signal.SIGINT, before)

    assert ("new1\n", 0) == (told.stdout, told.code)


def test_a_command_can_be_called_from_any_thread(call: Any) -> None:
    """Only the main one may say what becomes of a signal."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(call, "submit", "x").result()

    assert ("new1\n", 0) == (told.stdout, told.code)


def test_run_tells_once_why_nothing_becomes_of_a_job(
    session: Any, make_backend: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`drover run` must not wait for ever without a word."""
    spec = JobSpec(argv=("x",))
    options = {"as_json": False, "raw": False, "quiet": False, "on_interrupt": "ask"}
    job = session.submit(spec)
    job.record = evolve(job.record, state=State.NEW, outcome=None)
    watch = _run._Watch(session, job, spec, options)
    row = make_backend(name="local", ok=False, broken=True, error="no backend named 'local'")

    watch._tell(job)
    assert "" == capsys.readouterr().err
    session.engine.backends = (row,)
    watch._tell(job)
    watch._tell(job)

    assert 1 == capsys.readouterr().err.count("no backend named 'local'")


def test_a_job_that_is_not_quick_is_looked_at_again(
    session: Any, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a job is submitted, nobody knows yet that nothing will become of it."""
    monkeypatch.setattr(_stream, "_EAGER_FOR_S", 0.05)
    job = make_job(state=State.NEW, outcome=None)
    seen: list[State] = []
    ends = time.monotonic() + 5.0

    def look(job: Any) -> None:
        seen.append(job.state)
        if len(seen) == 2:
            job.record = evolve(job.record, state=State.SUCCEEDED)

    def wait(*_: object, **__: object) -> None:
        if time.monotonic() > ends:
            job.record = evolve(job.record, state=State.FAILED)

    monkeypatch.setattr(type(session), "wait", wait)
    _stream.follow(session, job, Pump(job, ()), look)

    assert [State.NEW, State.NEW, State.SUCCEEDED] == seen


@pytest.mark.parametrize(("state", "is_told"), [(State.RUNNING, True), (State.SUCCEEDED, False)])
def test_a_job_that_nobody_reads_is_said_to_go_on(
    session: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    state: State, is_told: bool,
) -> None:  # fmt: skip
    """`drover run -- yes | head` leaves a job behind that fills the disk."""
    spec = JobSpec(argv=("yes",))
    options = {"as_json": False, "raw": False, "quiet": False, "on_interrupt": "ask"}
    job = session.submit(spec)
    job.record = evolve(job.record, state=state)
    watch = _run._Watch(session, job, spec, options)

    def broken(_watch: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(_run._Watch, "_stream", broken)
    with pytest.raises(BrokenPipeError):
        watch.to_the_end()

    assert is_told == ("drover cancel new1" in capsys.readouterr().err)


def test_a_new_attempt_is_copied_from_its_start(
    make_job: Any, capfdbinary: pytest.CaptureFixture[bytes], make_record: Any
) -> None:
    """No output of an attempt may be lost because the next one has begun."""
    job = make_job(attempt=1)
    job.stdout.data = b"first\n"
    pump = Pump(job, ("stdout",))
    pump.copy()
    job.record = make_record(attempt=2)
    job.stdout.earlier[1] = b"first\nits rest\n"
    job.stdout.data = b"second\n"
    pump.look()
    pump.finish()

    assert b"first\nits rest\nsecond\n" == capfdbinary.readouterr().out


def test_logs_begin_with_the_attempt_that_was_asked_for(
    call: Any, session: Any, make_job: Any
) -> None:
    """Why the first attempt failed is asked when the second has begun."""
    job = make_job(id="j", attempt=2)
    job.stdout.earlier[1] = b"first\n"
    job.stdout.data = b"second\n"
    session.things.append(job)

    assert "second\n" == call("logs", "j").stdout
    assert "first\nsecond\n" == call("logs", "--attempt", "1", "j").stdout
    assert "second\n" == call("logs", "--attempt", "2", "j").stdout
    assert isinstance(call("logs", "--attempt", "3", "j").exception, click.BadParameter)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"plain\ttext\n"], "plain\ttext\n"),
        ([b"\x1b]0;title\x07x"], r"\x1b]0;title\x07x"),
        ([b"\xc3", b"\xa9"], "\u00e9"),
        ([b"\xff\xfe"], r"\xff\xfe"),
        ([b"10%\r", b"20%\r\ndone"], "10%\n20%\ndone"),
        ([b"\xc2\x9b31m"], r"\x9b31m"),
        (["\u202egnp".encode()], r"\u202egnp"),
        ([b"half \xc3"], r"half \xc3"),
        ([b"end\r"], "end\n"),
    ],
)
def test_a_terminal_is_shown_controls_and_not_sent_them(pieces: Any, expected: Any) -> None:
    """Output may come from anywhere: no byte of it may move the cursor or set the title."""
    sieve = OutputFilter()
    text = "".join(sieve.feed(piece) for piece in pieces) + sieve.feed(b"", final=True)

    assert expected == text


def test_shown_text_keeps_to_its_line() -> None:
    assert r"a\nb\x1b\x7f\u2028" == shown("a\nb\x1b\x7f\u2028")
    assert "h\u00e9 \u65e5\u672c" == shown("h\u00e9 \u65e5\u672c")


def test_the_reader_may_go_away() -> None:
    """`drover --help | head -1` must not end in a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "drover", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert (b"", 141) == (errors, process.wait())


def test_signal_numbers_fit_a_byte() -> None:
    assert 128 + signal.SIGTERM == _exits.of_job(
        State.FAILED, outcome(Reason.SIGNALLED, signal=signal.SIGTERM)
    )
