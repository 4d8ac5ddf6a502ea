"""What `ps`, `show`, `history`, `wait`, `plan`, `backends`, `doctor` print."""

import io
import time
from typing import Any

import click
import pytest
from rich.console import Console

from drover.cli._render import Table, size, span
from drover.cli._terminal import complain
from drover.errors import AmbiguousJobError, UnknownJobError
from drover.models import Diagnosis, Health, JobSpec
from drover.session import BackendStatus, EngineStatus
from drover.states import State

HOSTILE = "x\x1b[2J\x1b]0;owned\x07\r\n[bold]\u202egnp\udcff"


def test_ps_lists_unfinished_and_recent_and_counts_all(
    call: Any, session: Any, make_job: Any
) -> None:
    """A listing that hides a running job behind many finished ones is of no use."""
    session.things += [
        make_job(id=f"done{n:02}", n=n + 10, state=State.SUCCEEDED) for n in range(20)
    ]
    session.things.append(make_job(id="runs", n=1, state=State.RUNNING, outcome=None))

    output = call("ps").stdout

    assert "runs" in output
    assert 10 == output.count("done")
    assert "21 jobs: 1 RUNNING, 20 SUCCEEDED; 10 not shown" in output


def test_no_age_is_negative(call: Any, session: Any, make_job: Any) -> None:
    """The clock was set back after the job's start."""
    later = time.time() + 3600
    job = make_job(submitted_at=later, started_at=later, state=State.RUNNING, outcome=None)
    session.things.append(job)

    output = "".join(
        call(*words).stdout for words in (("ps",), ("show", job.id), ("top", "--once"))
    )

    assert "0ms" in output
    assert [] == [word for word in output.split() if word[:1] == "-" and word[1:2].isdigit()]


def test_ps_of_an_empty_store_says_so(call: Any) -> None:
    """No jobs is an answer, not an error."""
    result = call("ps")

    assert ("0 jobs\n", 0) == (result.stdout, result.code)


def test_ps_by_state_takes_any_case_and_commas(call: Any, session: Any, make_job: Any) -> None:
    session.things += [make_job(id="a", state=State.FAILED), make_job(id="b", state=State.LOST)]

    output = call("ps", "--state", "failed,LOST").stdout

    assert "2 jobs" in output
    assert "a " in output


def test_ps_gives_the_ids_of_all_that_fit(call: Any, session: Any, make_job: Any) -> None:
    """What is handed to `drover retry` must not miss the thirty-first job that failed."""
    session.things += [make_job(id=f"f{n:02}", n=n, state=State.FAILED) for n in range(40)]
    session.things.append(make_job(id="good", n=99))

    assert [f"f{n:02}" for n in reversed(range(40))] == call(
        "ps", "--ids", "--state", "failed"
    ).stdout.splitlines()
    assert "f39\nf38\n" == call("ps", "--ids", "--state", "failed", "-n", "2").stdout
    assert 41 == len(call("ps", "--ids").stdout.split())
    assert isinstance(call("ps", "--ids", "--json").exception, click.UsageError)


@pytest.mark.parametrize("words", [("ps",), ("ps", "--json"), ("show", "run1"), ("show", "arr1")])
def test_what_nobody_works_on_is_said_to_be_old(
    call: Any, session: Any, make_job: Any, make_array: Any, words: tuple[str, ...]
) -> None:
    """After a restart of the machine, what ran must not look as if it still did."""
    runs = make_job(id="run1", state=State.RUNNING, outcome=None)
    session.things += [runs, make_array([runs])] if words[-1] == "arr1" else [runs]

    assert "" == call(*words).stderr
    session.engine.running = False
    assert "drover engine restart" in call(*words).stderr
    session.read_only = True
    assert "" == call(*words).stderr


def test_a_backend_that_the_engine_cannot_load_is_told(
    call: Any, session: Any, make_job: Any, make_backend: Any
) -> None:
    """An engine that was started in another project does not know this one's backends."""
    session.things += [
        make_job(id="bee1", state=State.NEW, outcome=None, backend="bee"),
        make_job(id="run1", state=State.RUNNING, outcome=None),
    ]
    row = make_backend(name="bee", ok=False, broken=True, error="no backend named 'bee'")
    session.engine.backends = (make_backend(), row)

    for words in (("ps",), ("show", "bee1")):
        assert "no backend named 'bee'. To let the engine" in call(*words).stderr
    assert "" == call("show", "run1").stderr


def test_ended_jobs_need_no_engine(call: Any, session: Any, make_job: Any) -> None:
    """An engine leaves when all has ended: that is no trouble."""
    session.things.append(make_job(id="done"))
    session.engine.running = False

    assert "" == call("ps").stderr + call("show", "done").stderr


def test_ps_refuses_an_unknown_state(call: Any) -> None:
    """A misspelt state must not look like an empty store."""
    result = call("ps", "--state", "DONE")

    assert isinstance(result.exception, click.BadParameter)


@pytest.mark.parametrize(
    "words", [("ps",), ("show", "ab12cd"), ("top", "--once"), ("wait", "ab12cd")]
)
def test_a_hostile_name_cannot_drive_the_terminal(
    call: Any, session: Any, make_job: Any, words: tuple[str, ...]
) -> None:
    """A job's name comes from a stranger: no control character of it may reach a terminal."""
    session.things.append(make_job(spec=JobSpec(argv=(HOSTILE,), name=HOSTILE, tags=(HOSTILE,))))

    output = call(*words).stdout

    assert [] == [sign for sign in output if (ord(sign) < 32 and sign != "\n") or sign == "\u202e"]
    if words[0] != "wait":
        assert r"x\x1b[2J\x1b]0;owned\x07\r\n[" in output


def test_neither_a_complaint_nor_a_cell_drives_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last layer: whatever text comes there, by whatever way."""
    complain(HOSTILE)
    table = Table("NAME")
    table.row(HOSTILE)

    for text in (capsys.readouterr().err, table.plain()):
        assert r"x\x1b[2J\x1b]0;owned\x07\r\n[" in text
        assert [] == [
            sign for sign in text if (ord(sign) < 32 and sign != "\n") or sign == "\u202e"
        ]


def test_show_masks_variables(call: Any, session: Any, make_job: Any) -> None:
    """Values of variables may be secret: they are shown on request only."""
    session.things.append(make_job(spec=JobSpec(argv=("x",), env={"TOKEN": "hunter2"})))

    assert "hunter2" not in call("show", "ab").stdout
    assert "hunter2" not in call("show", "ab", "--json").stdout
    assert "hunter2" not in call("history", "ab").stdout
    assert "hunter2" not in call("history", "ab", "--json").stdout
    assert "hunter2" in call("show", "ab", "--show-env").stdout
    assert "hunter2" in call("show", "ab", "--show-env", "--json").stdout


def test_show_names_the_lost_job_that_keeps_one_waiting(
    call: Any, session: Any, make_job: Any
) -> None:
    blocker = make_job(id="first", state=State.LOST)
    job = make_job(id="second", state=State.WAITING, outcome=None)
    job.behind = [blocker]
    session.things += [blocker, job]

    assert "behind     first" in call("show", "second").stdout


def test_show_of_an_array_lists_its_elements(
    call: Any, session: Any, make_job: Any, make_array: Any
) -> None:
    elements = [make_job(id=f"arr1.{n}", array_id="arr1", array_index=n) for n in range(3)]
    session.things.append(make_array(elements))

    output = call("show", "arr1").stdout

    assert "3 SUCCEEDED" in output
    assert "arr1.2" in output


def test_an_unknown_id_is_an_error_of_its_own(call: Any) -> None:
    with pytest.raises(UnknownJobError):
        call("show", "zz")


def test_an_ambiguous_id_changes_nothing(call: Any, session: Any, make_job: Any) -> None:
    """`cancel a1 a` must not cancel a1 before it sees that `a` fits two jobs."""
    session.things += [make_job(id="a1"), make_job(id="a2")]

    with pytest.raises(AmbiguousJobError):
        call("cancel", "a1", "a")

    assert [] == session.asked


@pytest.mark.parametrize(
    ("states", "words", "code"),
    [
        ((State.SUCCEEDED, State.SUCCEEDED), (), 0),
        ((State.SUCCEEDED, State.FAILED), (), 1),
        ((State.LOST,), (), 1),
        ((State.SUCCEEDED, State.RUNNING), ("--timeout", "1s"), 124),
        ((State.SUCCEEDED, State.RUNNING), ("--timeout", "0"), 124),
        ((State.SUCCEEDED,), ("--timeout", "0"), 0),
        ((State.SUCCEEDED, State.RUNNING), ("--any",), 0),
        ((State.RUNNING,), ("--any", "--timeout", "1s"), 124),
    ],
)
def test_wait_tells_by_its_exit_code(  # noqa: PLR0917 - pytest's fixtures
    call: Any, session: Any, make_job: Any, states: Any, words: tuple[str, ...], code: int
) -> None:
    """A script reads the exit code, not the words."""
    ids = [f"j{n}" for n in range(len(states))]
    session.things += [make_job(id=i, state=s) for i, s in zip(ids, states, strict=True)]

    assert code == call("wait", *ids, *words).code


def test_plan_shows_and_refuses(call: Any) -> None:
    """A plan that would be refused must fail in a script."""
    good, bad = call("plan", "echo"), call("plan", "--account", "me", "echo")

    assert (0, 1) == (good.code, bad.code)
    assert "Accepted" in good.stdout
    assert r"line \x1b[2J" in good.stdout
    assert "Refused because of: resources.account" in bad.stdout


def test_a_broken_backend_is_listed_with_its_fault(
    call: Any, session: Any, make_backend: Any
) -> None:
    """One broken plugin must not hide the others."""
    session.infos.append(
        make_backend(name="grid", ok=False, error="Traceback...\nImportError: x", capabilities=None)
    )

    result = call("backends")

    assert 0 == result.code
    assert "ImportError: x" in result.stdout
    assert "local" in result.stdout


@pytest.mark.parametrize(("health", "code"), [("ok", 0), ("warning", 0), ("error", 1)])
def test_the_doctor_fails_on_errors_alone(call: Any, session: Any, health: Any, code: int) -> None:
    session.findings = [Diagnosis(subject="x", health=Health(health), message="m", cure="do this")]

    result = call("doctor")

    assert code == result.code
    assert "m -> do this" in result.stdout


def test_spans_and_sizes_are_written_for_people() -> None:
    spans = [span(value) for value in (None, 0.85, 4.21, 59.99, 185, 7800, 356400)]

    assert ["", "850ms", "4.2s", "60.0s", "3m05s", "2h10m", "4d03h"] == spans
    assert ["", "512 B", "1.5 GiB"] == [size(n) for n in (None, 512, 1.5 * 2**30)]


def test_a_narrow_terminal_cuts_what_can_be_cut() -> None:
    """On 80 columns an id or a state must not be cut for the sake of a long name."""
    table = Table("ID", "NAME", "STATE", "ABOUT", elastic=frozenset({"NAME", "ABOUT"}), fold=False)
    table.row("0123456789ab", "n" * 30, "SUCCEEDED", "a" * 60)
    screen = Console(width=60, file=io.StringIO())
    screen.print(table.rich(60))
    drawn = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]

    assert 2 == len(drawn)
    assert max(map(len, drawn)) <= 60
    assert "0123456789ab" in drawn[1]
    assert "SUCCEEDED" in drawn[1]


def test_a_backend_that_is_away_is_not_called_broken(call: Any, session: Any) -> None:
    """One waits for a scheduler, the other is mended by whoever installed it."""
    session.engine = EngineStatus(
        running=True,
        backends=(
            BackendStatus(name="far", plugin="slurm", ok=False, error="no answer"),
            BackendStatus(name="odd", plugin="x", ok=False, error="no such module", broken=True),
        ),
    )
    rows = [line.split() for line in call("engine", "status").stdout.splitlines()]

    assert ["far", "slurm", "unreachable", "no", "answer"] in rows
    assert ["odd", "x", "broken", "no", "such", "module"] in rows
