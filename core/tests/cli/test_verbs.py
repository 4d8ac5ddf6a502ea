"""What requests ask of the session, and how their verdicts are told."""

from typing import Any

import click
import pytest

from drover.models import Verb, Verdict
from drover.states import State


@pytest.fixture(autouse=True)
def two_jobs(session: Any, make_job: Any) -> Any:
    session.things += [make_job(id="a1"), make_job(id="b2")]


@pytest.mark.parametrize("verb", ["cancel", "hold", "release", "suspend", "resume", "requeue"])
def test_a_verb_asks_all_and_tells_each(call: Any, session: Any, verb: Any) -> None:
    """One line per job: a script finds out which one was refused."""
    result = call(verb, "a", "b", "--why", "because")
    asked, ids, details = session.asked[-1]

    assert (Verb(verb), ["a1", "b2"], "because") == (asked, ids, details["why"])
    said = "gone" if verb == "cancel" else "done"
    assert [["a1", said], ["b2", said]] == [line.split() for line in result.stdout.splitlines()]
    assert 0 == result.code


@pytest.mark.parametrize(
    ("verb", "verdict", "code"),
    [
        ("cancel", Verdict.DONE, 0),
        ("cancel", Verdict.TOO_LATE, 0),
        ("cancel", Verdict.SIGNALLED, 1),
        ("cancel", Verdict.REFUSED, 1),
        ("cancel", Verdict.OVERDUE, 1),
        ("hold", Verdict.DONE, 0),
        ("hold", Verdict.TOO_LATE, 1),
        ("suspend", Verdict.REFUSED, 1),
    ],
)
def test_the_exit_code_of_a_verb(
    call: Any, session: Any, verb: Any, verdict: Any, code: int
) -> None:
    """A cancel is well if the job is gone, by whatever cause; a hold only if it holds."""
    session.verdict = verdict

    assert code == call(verb, "a1").code


@pytest.mark.parametrize(
    ("words", "verb", "grace"),
    [
        ((), Verb.CANCEL, None),
        (("--kill",), Verb.KILL, None),
        (("--term",), Verb.TERMINATE, None),
        (("--grace", "0"), Verb.CANCEL, 0.0),
        (("--grace", "2m"), Verb.CANCEL, 120.0),
    ],
)
def test_ways_to_end_a_job(
    call: Any, session: Any, words: tuple[str, ...], verb: Any, grace: Any
) -> None:
    call("cancel", "a1", *words)
    asked, _, details = session.asked[-1]

    assert (verb, grace) == (asked, details["grace_s"])


@pytest.mark.parametrize("word", ["USR1", "SIGUSR1", "usr1", "10"])
def test_signals_by_name_and_number(call: Any, session: Any, word: Any) -> None:
    call("signal", word, "a1")

    assert 10 == session.asked[-1][2]["signal"]


@pytest.mark.parametrize("word", ["NOPE", "0", "9999"])
def test_no_such_signal(call: Any, session: Any, word: Any) -> None:
    assert isinstance(call("signal", word, "a1").exception, click.BadParameter)
    assert [] == session.asked


def test_retry_says_whether_it_may_run_twice(call: Any, session: Any) -> None:
    """Nobody may run a lost job twice by accident."""
    call("retry", "a1")
    call("retry", "a1", "--may-run-twice")

    assert [False, True] == [entry[2] for entry in session.asked]


def test_resolve_needs_a_state(call: Any, session: Any) -> None:
    call("resolve", "a1", "--as", "succeeded", "--why", "I saw it")

    assert [("resolve", ["a1"], State.SUCCEEDED, "I saw it")] == session.asked
    assert isinstance(call("resolve", "a1").exception, click.UsageError)
    assert isinstance(call("resolve", "a1", "--as", "running").exception, click.UsageError)


def test_purge_wants_to_know_which(call: Any, session: Any) -> None:
    """`drover purge` alone must delete nothing."""
    assert isinstance(call("purge").exception, click.UsageError)
    assert isinstance(call("purge", "a1", "--all").exception, click.UsageError)
    assert [] == session.asked
    assert "3 jobs forgotten\n" == call("purge", "--older-than", "7d", "--yes").stdout
    assert "3 jobs forgotten\n" == call("purge", "a1").stdout
