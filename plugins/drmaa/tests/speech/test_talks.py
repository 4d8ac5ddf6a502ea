"""Submissions, requests and looks, with what a real Grid Engine and its library said."""

import json
import os
import pwd
import signal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ge_speech import CONFIG, FOLDER, SCRIPT, Reply, known, number_of, order, page, play, spec, told

from drover.commandline import Batch, Left, Listing, Row
from drover.errors import UnreachableError
from drover.models import Answer, Attempt, Health, Phase, Reason, Resources, Source, Verb, Verdict
from drover_drmaa import _control, _doctor, _submitting
from drover_drmaa._config import PLAIN, DrmaaConfig
from drover_drmaa._gridengine import GridEngine
from drover_drmaa._plain import PlainDrmaa

QUEUE = page("queue")
HELD = tuple(QUEUE[f"held by {who}"] for who in ("user", "operator", "system"))


def batch(count: int = 1, **fields: Any) -> Batch:
    made = spec(**fields)
    attempt = Attempt(job_id="j", number=1, token="KEY", spec=made)
    return Batch(
        key="KEY", spec=made, label="true", tokens=tuple(f"t{k}" for k in range(count)),
        tasks=Path("/s/KEY.tasks"), log=Path("/s/KEY.log"), attempt=attempt,
    )  # fmt: skip


def grid(**settings: Any) -> GridEngine:
    return GridEngine("drmaa", DrmaaConfig(**settings))


# --- submissions -------------------------------------------------------------------------------


def test_an_array_is_accepted_as_one() -> None:
    """Its elements are numbered from 1."""
    answer, commands = play(grid().submit(batch(3), SCRIPT), told(ids=["7.1", "7.2", "7.3"]))

    assert (Answer.ACCEPTED, "7") == (answer.answer, answer.native_id)
    question = json.loads(commands[0].input)
    assert 3 == question["count"]
    assert ":/s/KEY.log" == question["template"]["drmaa_output_path"]


@pytest.mark.parametrize(
    ("code", "text", "answer", "retryable"),
    [
        (17, 'Job was rejected because job requests unknown queue "x"', Answer.REFUSED, False),
        (17, "job rejected: only 3 jobs are allowed per user (current job count: 3)",
         Answer.REFUSED, True),
        (17, "MUNGE authentication failed: Invalid credential format", Answer.REFUSED, True),
        (4, "no such attribute", Answer.REFUSED, False),
        (16, "try later", Answer.REFUSED, True),
        (2, 'unable to contact qmaster using port 1 on host "h"', Answer.REFUSED, True),
        (2, "got send timeout", Answer.UNKNOWN, False),
        (1, "Error reading answer list from qmaster", Answer.UNKNOWN, False),
        (6, "out of memory", Answer.UNKNOWN, False),
        (0, "something", Answer.UNKNOWN, False),
    ],
)  # fmt: skip
def test_the_three_answers(code: int, text: str, answer: Answer, retryable: bool) -> None:
    """What is no clear no may have been accepted."""
    read = _submitting.read(told(1, error="E", code=code, text=text))

    assert (answer, retryable, text) == (read.answer, read.retryable, read.message)


def test_what_cannot_be_said_is_refused_when_it_is_handed_over() -> None:
    """A plan may have been passed by."""
    unfit = batch(resources=Resources(gpus=1, cpus=2))
    answer, commands = play(grid().submit(unfit, SCRIPT))

    assert (Answer.REFUSED, []) == (answer.answer, commands)


def test_what_differs_in_the_template_is_not_one_array() -> None:
    """An array has one template."""
    scheduler = grid()
    plain, held = spec(), spec(native={"drmaa": {"jobSubmissionState": "drmaa_hold"}})

    assert scheduler.options(plain) == scheduler.options(spec(name="other"))
    assert scheduler.options(plain) != scheduler.options(held)


# --- looks -------------------------------------------------------------------------------------


def test_one_question_where_nobody_holds_anything() -> None:
    """The master has thousands of users."""
    entry = known(number_of("run"), "KEY-run")
    rows, commands = play(grid().queue([entry]), QUEUE["listing"])

    assert [("qstat", "-xml", "-u")] == [command.argv[:3] for command in commands]
    row = Listing(rows).find(entry)
    assert row is not None
    assert Phase.RUNNING is row.phase


def test_ones_own_jobs_are_asked_for_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After `su` LOGNAME may be another's: none of one's own is in his list, and all were LOST."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    _, commands = play(grid().queue([]), QUEUE["listing"])

    assert pwd.getpwuid(os.geteuid()).pw_name == commands[0].argv[3]


def test_a_look_at_held_and_failed_jobs() -> None:
    """Who holds a job and why one failed costs a question each, and only then."""
    entries = [known(number_of(name), f"KEY-{name}") for name in ("waits", "failed")]
    rows, commands = play(grid().queue(entries), QUEUE["listing"], *HELD, QUEUE["why it failed"])

    assert ["prsz", "hu", "ho", "hs"] == [command.argv[-1] for command in commands[:4]]
    failed = Listing(rows).find(entries[1])
    assert failed is not None
    assert failed.word.startswith("Eqw (can't chdir to /nonexistent")


def left(name: str, row: Row | None = None, **facts: Any) -> Left:
    pages = page("accounts")[name]
    key = f"KEY-{name}"
    number = pages.argv[-1]
    return Left(known=known(number, key), row=row, **facts)


def ended(number: str) -> Row:
    return Row(native_id=number, key="KEY-held", phase=Phase.ENDED, source=Source.QUEUE, word="z")


def test_an_account_that_is_not_written_yet_is_waited_for() -> None:
    """Where nobody set it, it is written up to 15 seconds late."""
    number = page("accounts")["deleted before it ran"].argv[-1]
    gone = Left(known=known(number, "KEY-held"), row=ended(number), waited_s=1.0)
    recalled, _ = play(grid().recall([gone]), page("accounts")["deleted before it ran"])

    assert frozenset({number}) == recalled.not_yet
    assert [] == list(recalled.rows)


def test_one_that_ended_without_an_account_was_deleted_before_it_ran() -> None:
    """Grid Engine keeps no account of what never ran; one that ran has one."""
    number = page("accounts")["deleted before it ran"].argv[-1]
    reply = page("accounts")["deleted before it ran"]

    def reason(*, has_begun: bool) -> Reason | None:
        gone = Left(
            known=known(number, "KEY-held"), row=ended(number), waited_s=100.0, has_begun=has_begun
        )
        recalled, _ = play(grid().recall([gone]), reply)
        (row,) = recalled.rows
        assert row.end is not None
        return row.end.reason

    assert Reason.CANCELLED is reason(has_begun=False)
    assert None is reason(has_begun=True)


def test_one_that_was_put_back_and_deleted_has_not_run_again() -> None:
    """Its last account says "rescheduling", and it is listed as ended."""
    whole = page("accounts")["run again"]
    number, first = whole.argv[-1], whole.stdout.split("=" * 62)[1]
    row = evolve(ended(number), key="KEY-again")
    gone = Left(known=known(number, "KEY-again"), row=row, waited_s=100.0, has_begun=True)
    recalled, _ = play(grid().recall([gone]), Reply("=" * 62 + first))

    assert [Reason.CANCELLED] == [row.end.reason for row in recalled.rows if row.end]


def test_a_strangers_account_under_the_same_number_is_not_ours() -> None:
    """Numbers are handed out again, and accounts are kept for ever."""
    number = page("accounts")["exited"].argv[-1]
    gone = Left(known=known(number, "KEY-mine"), waited_s=100.0)
    unheard = told(status={number: {"error": "InvalidJobException", "code": 18, "text": ""}})
    recalled, _ = play(grid().recall([gone]), page("accounts")["exited"], unheard)

    assert [] == list(recalled.rows)


NOBODY = page("accounts")["deleted before it ran"]


def test_one_that_is_not_listed_as_ended_was_deleted_if_the_library_says_so() -> None:
    """With `finished_jobs 0` qmaster forgets at once; a job is not LOST for it."""

    def reasons(answer: Any, **facts: Any) -> list[Reason | None]:
        gone = Left(known=known("7"), **{"waited_s": 100.0, **facts})
        recalled, _ = play(grid().recall([gone]), NOBODY, told(status={"7": answer}))
        return [row.end.reason for row in recalled.rows if row.end]

    assert [Reason.CANCELLED] == reasons("failed")
    # It goes on, or its end is another: what is told of that is awaited.
    assert [] == reasons("running")
    assert [] == reasons("done")
    assert [] == reasons({"error": "InvalidJobException", "code": 18, "text": "none"})


def test_the_library_is_asked_about_none_that_may_have_run_or_may_yet_have_an_account() -> None:
    """Its `failed` is said of those that were killed while they ran, too."""
    begun = Left(known=known("7"), waited_s=100.0, has_begun=True)
    early = Left(known=known("8"), waited_s=1.0)
    recalled, asked = play(grid().recall([begun, early]), NOBODY, NOBODY)

    assert {"qacct"} == {command.argv[0] for command in asked}
    assert [] == list(recalled.rows)
    assert frozenset({"8"}) == recalled.not_yet


def test_a_library_that_does_not_answer_says_nothing_about_deleted_jobs() -> None:
    gone = Left(known=known("7"), waited_s=100.0)
    for reply in (UnreachableError("drmaa", "hangs"), told(1, error="E", code=2, text="no")):
        recalled, _ = play(grid().recall([gone]), NOBODY, reply)
        assert (True, []) == (recalled.complete, list(recalled.rows))


def test_of_two_jobs_none_takes_the_others_account() -> None:
    """The number of one is now that of the other's account: it is still to be waited for."""
    number = page("accounts")["exited"].argv[-1]
    mine = Left(known=known(number, "KEY-mine"), row=ended(number), waited_s=1.0)
    other = Left(known=known("999", "KEY-exits"), row=ended("999"), waited_s=1.0)
    nobody = page("accounts")["deleted before it ran"]
    recalled, _ = play(grid().recall([mine, other]), page("accounts")["exited"], nobody)

    assert frozenset({number, "999"}) == recalled.not_yet


def test_no_answer_of_accounting_says_nothing_about_any_job() -> None:
    """Absence is not evidence, least of all where nobody could look."""
    gone = Left(known=known("7"), row=ended("7"), waited_s=100.0)
    recalled, _ = play(grid().recall([gone]), UnreachableError("qacct", "no answer"))

    assert not recalled.complete
    assert [] == list(recalled.rows)


def test_where_accounts_cannot_be_read_nobody_asks_again_at_once() -> None:
    """Not every site lets its users read them."""
    scheduler = grid()
    gone = Left(known=known("7"), row=ended("7"), waited_s=100.0)
    off = Reply("", "error: accounting: Permission denied", 1)
    first, _ = play(scheduler.recall([gone]), off)
    second, commands = play(scheduler.recall([gone]))

    assert [] == commands
    assert [row.end.reason for row in (*first.rows, *second.rows) if row.end] == [None, None]


def test_a_submission_is_found_by_its_key() -> None:
    """The engine died before it heard the number."""
    reply = page("accounts")["by pattern"]
    found, commands = play(grid().search({"KEY-exits": ""}), reply)

    assert {"KEY-exits": page("accounts")["exited"].argv[-1]} == found
    assert "*+KEY-exits" == commands[0].argv[-1]


# --- requests ----------------------------------------------------------------------------------


def listed(phase: Phase, word: str) -> Row:
    return Row(native_id="7", key="KEY", phase=phase, source=Source.QUEUE, word=word)


ROWS = {phase: listed(phase, word) for phase, word in ((Phase.QUEUED, "qw"), (Phase.RUNNING, "r"))}


def ask(verb: Verb, phase: Phase, *replies: Reply | BaseException, **facts: Any) -> Any:
    """Give verdict, message and commands of one request."""
    request = order("7", verb, **facts)
    answers, commands = play(
        _control.talk([request], {"token-7": known("7")}, {"token-7": ROWS[phase]}, 5.0), *replies
    )
    verdict = answers[0].verdict if answers else None
    return verdict, [command.argv for command in commands], commands


@pytest.mark.parametrize(
    ("verb", "phase", "page_name", "argv"),
    [
        (Verb.HOLD, Phase.QUEUED, "hold", ("qhold", "-h", "u", "7")),
        (Verb.RELEASE, Phase.QUEUED, "release", ("qrls", "-h", "u", "7")),
        (Verb.SUSPEND, Phase.RUNNING, "suspend", ("qmod", "-sj", "7")),
        (Verb.RESUME, Phase.RUNNING, "resume", ("qmod", "-usj", "7")),
        (Verb.REQUEUE, Phase.RUNNING, "resume", ("qmod", "-rj", "7")),
    ],
)
def test_requests_that_grid_engine_carries_out(
    verb: Verb, phase: Phase, page_name: str, argv: tuple[str, ...]
) -> None:
    """Each by its own command, and it is so then."""
    assert (Verdict.DONE, [argv]) == ask(verb, phase, page("control")[page_name])[:2]


def test_what_waits_is_deleted() -> None:
    """Nothing runs that could be told."""
    told = ask(Verb.CANCEL, Phase.QUEUED, page("control")["delete"])

    assert (Verdict.SIGNALLED, [("qdel", "7")]) == told[:2]


@pytest.mark.parametrize(
    ("verb", "number", "why"),
    [(Verb.CANCEL, signal.SIGTERM, "cancel"), (Verb.TERMINATE, signal.SIGTERM, "signal"),
     (Verb.KILL, signal.SIGKILL, "cancel"), (Verb.SIGNAL, signal.SIGUSR1, "signal")],
)  # fmt: skip
def test_what_runs_is_told_by_its_wrapper(verb: Verb, number: int, why: str) -> None:
    """Grid Engine has KILL alone."""
    facts = {"signal": int(signal.SIGUSR1)} if verb is Verb.SIGNAL else {}
    verdict, argv, commands = ask(verb, Phase.RUNNING, Reply(), **facts)

    assert [("tell-wrapper",)] == argv
    line = {"folder": str(FOLDER), "restart": 0, "signal": int(number), "why": why}
    assert [line] == json.loads(commands[0].input)
    assert (Verdict.DONE if verb is Verb.SIGNAL else Verdict.SIGNALLED) is verdict


@pytest.mark.parametrize(
    ("verb", "phase", "page_name", "verdict"),
    [
        (Verb.CANCEL, Phase.QUEUED, "delete an unknown one", Verdict.TOO_LATE),
        (Verb.HOLD, Phase.QUEUED, "hold an unknown one", Verdict.TOO_LATE),
        (Verb.SUSPEND, Phase.RUNNING, "suspend an unknown one", Verdict.TOO_LATE),
        (Verb.SUSPEND, Phase.RUNNING, "suspend a waiting one", Verdict.REFUSED),
        (Verb.SUSPEND, Phase.RUNNING, "suspend again", Verdict.DONE),
        (Verb.RESUME, Phase.RUNNING, "resume again", Verdict.DONE),
    ],
)
def test_what_grid_engine_says_no_to(
    verb: Verb, phase: Phase, page_name: str, verdict: Verdict
) -> None:
    """Qmod ends with 0 also where it did nothing."""
    assert verdict is ask(verb, phase, page("control")[page_name])[0]


@pytest.mark.parametrize(
    "reply", [page("site")["no master to delete"], UnreachableError("qdel", "no answer")]
)
def test_what_nobody_heard_has_no_answer(reply: Reply | BaseException) -> None:
    """It is asked again."""
    assert None is ask(Verb.CANCEL, Phase.QUEUED, reply)[0]


def test_one_bad_id_among_many_harms_one() -> None:
    """The exit code does not say which one it was."""
    orders = [order(name) for name in ("1", "2", "999999")]
    rows = {f"token-{o.attempt.native_id}": ROWS[Phase.QUEUED] for o in orders}
    entries = {token: known(token[6:]) for token in rows}
    good, bad = page("control")["delete"], page("control")["delete an unknown one"]
    answers, commands = play(
        _control.talk(orders, entries, rows, 5.0),
        page("control")["delete one of each"], good, bad, good, bad,
    )  # fmt: skip

    verdicts = {a.token: a.verdict for a in answers}
    assert Verdict.SIGNALLED is verdicts["token-1"]
    assert Verdict.TOO_LATE is verdicts["token-999999"]
    assert ("qdel", "1", "2", "999999") == commands[0].argv


def test_one_that_is_gone_or_anothers_is_left_alone() -> None:
    """A number is no identity."""
    request = order("7", Verb.KILL)
    stranger = page("queue")["nobody's"]
    answers, commands = play(grid().control([request], {"token-7": known("7")}), stranger)

    assert [Verdict.TOO_LATE] == [row.verdict for row in answers]
    assert ["qstat"] == [command.argv[0] for command in commands]


# --- any other library -------------------------------------------------------------------------


def plain() -> PlainDrmaa:
    return PlainDrmaa("drmaa", DrmaaConfig(dialect=PLAIN))


def test_states_by_drmaas_own_words() -> None:
    """One question for all jobs; one that is not known is not listed."""
    status = {"7": "running", "8": "user_on_hold", "9": {"error": "E", "code": 18, "text": ""}}
    rows, _ = play(plain().queue([known(n) for n in ("7", "8", "9")]), told(status=status))

    assert [("7", Phase.RUNNING), ("8", Phase.QUEUED)] == [(r.native_id, r.phase) for r in rows]


def test_a_library_that_cannot_ask_has_said_nothing() -> None:
    """A job that is not told of has not ended."""
    status = {"7": {"error": "E", "code": 2, "text": "no master"}}
    with pytest.raises(UnreachableError):
        play(plain().queue([known("7")]), told(status=status))


def test_done_is_never_believed_without_the_exit_status() -> None:
    """On many systems it says only that the job is gone."""
    rows, _ = play(plain().queue([known("7")]), told(status={"7": "done"}))
    (row,) = rows
    gone = Left(known=known("7"), row=row)
    info = {"exited": True, "code": 3, "signalled": False, "signal": "", "core": False,
            "aborted": False, "usage": {"ru_utime": "1.5000", "end_time": "100.0000"}}  # fmt: skip
    recalled, _ = play(plain().recall([gone]), told(ended={"7": info}))
    nothing, _ = play(plain().recall([gone]), told(ended={"7": {"error": "E", "code": 18}}))

    assert None is row.end
    (ended_row,) = recalled.rows
    assert ended_row.end is not None
    assert (3, None, 1.5) == (
        ended_row.end.exit_code, ended_row.end.signal,
        ended_row.end.usage and ended_row.end.usage.cpu_user_s,
    )  # fmt: skip
    assert [] == list(nothing.rows)


def test_signal_core_and_abortion_by_drmaas_own_words() -> None:
    """A job that was aborted has no exit code, whatever number stands there."""

    def end(*, has_begun: bool = True, **info: Any) -> tuple[Any, ...]:
        gone = Left(known=known("7"), has_begun=has_begun)
        whole = {"exited": False, "code": 0, "signalled": False, "signal": "", "core": False,
                 "aborted": False, "usage": {}, **info}  # fmt: skip
        recalled, _ = play(plain().recall([gone]), told(ended={"7": whole}))
        report = recalled.rows[0].end
        assert report is not None
        return report.exit_code, report.signal, report.core_dumped, report.reason

    assert (None, 11, True, None) == end(signalled=True, signal="SIGSEGV", core=True)
    assert (None, None, False, Reason.CANCELLED) == end(aborted=True)
    assert (None, None, False, Reason.LAUNCH_FAILED) == end(aborted=True, has_begun=False)


def test_one_of_which_drmaa_has_no_usage_was_deleted_while_it_waited() -> None:
    """Its error 24, which has no class of its own."""
    recalled, _ = play(
        plain().recall([Left(known=known("7"))]), told(ended={"7": {"error": "E", "code": 24}})
    )

    assert [Reason.CANCELLED] == [row.end.reason for row in recalled.rows if row.end]


@pytest.mark.parametrize(
    ("verb", "action"),
    [(Verb.HOLD, "hold"), (Verb.RELEASE, "release"), (Verb.CANCEL, "terminate")],
)
def test_control_by_drmaas_own_actions(verb: Verb, action: str) -> None:
    """All that DRMAA can do is done by it."""
    answers, commands = play(
        plain().control([order("7", verb)], {"token-7": known("7")}),
        told(status={"7": "queued_active"}), told(done={"7": ""}),
    )  # fmt: skip

    assert action == json.loads(commands[1].input)["action"]
    wanted = Verdict.SIGNALLED if verb is Verb.CANCEL else Verdict.DONE
    assert [wanted] == [row.verdict for row in answers]


@pytest.mark.parametrize(
    ("code", "verdicts"), [(18, [Verdict.TOO_LATE]), (21, [Verdict.REFUSED]), (2, [])]
)
def test_control_that_fails(code: int, verdicts: list[Verdict]) -> None:
    """What nobody heard is asked again."""
    answers, _ = play(
        plain().control([order("7", Verb.HOLD)], {"token-7": known("7")}),
        told(status={"7": "queued_active"}),
        told(done={"7": {"error": "E", "code": code, "text": "no"}}),
    )

    assert verdicts == [row.verdict for row in answers]


# --- the doctor --------------------------------------------------------------------------------

SITE = page("site")
GOOD = told(system="SGE 8.1.9", version="1.0", library="/l/libdrmaa.so", implementation="SGE 8.1.9")


def diagnose(
    *replies: Reply | BaseException, **settings: Any
) -> dict[str, tuple[Health, str, str]]:
    findings, _ = play(_doctor.talk(DrmaaConfig(**settings)), *replies)
    return {row.subject: (row.health, row.message, row.cure) for row in findings}


def test_a_healthy_cluster() -> None:
    """Nothing to do, and who answers is said."""
    found = diagnose(
        GOOD, SITE["queues"], SITE["environments"], page("accounts")["deleted before it ran"]
    )

    assert {Health.OK} == {health for health, _, _ in found.values()}
    assert {"library", "master", "queue all.q@localhost", "parallel environment",
            "accounting"} == set(found)  # fmt: skip
    assert "SGE 8.1.9" in found["library"][1]


@pytest.mark.parametrize(
    ("answer", "subject", "health", "word"),
    [
        ({"failed": "library", "error": "RuntimeError", "text": "Could not find drmaa library",
          "library": ""}, "library", Health.WARNING, "no DRMAA library"),
        ({"failed": "library", "error": "OSError", "library": "/l.so",
          "text": "cannot allocate memory in static TLS block"}, "library", Health.ERROR, "/l.so"),
        ({"failed": "library", "error": "AttributeError", "library": "/libc.so.6",
          "text": "/libc.so.6: undefined symbol: drmaa_init"}, "library", Health.ERROR,
         "/libc.so.6 is no DRMAA library"),
        ({"failed": "library", "error": "OSError", "library": "/x", "text": "invalid ELF header"},
         "library", Health.ERROR, "/x cannot be loaded"),
        ({"failed": "session", "error": "E", "code": 2, "text": "no answer", "library": "/l.so"},
         "session", Health.ERROR, "master does not answer"),
        ({"failed": "session", "error": "E", "code": 1, "text": "SGE_ROOT", "library": "/l.so"},
         "session", Health.ERROR, "opens no session"),
        ({"system": "SLURM 23.02", "version": "1.0", "library": "/slurm.so"}, "library",
         Health.ERROR, "SLURM 23.02, which is no Grid Engine"),
        ({"failed": "system", "system": "PBS", "version": "1.0", "library": "/p.so"}, "library",
         Health.ERROR, "/p.so speaks DRMAA 1.0 to PBS, which is no Grid Engine"),
    ],
)  # fmt: skip
def test_libraries_that_will_not_do(
    answer: dict[str, Any], subject: str, health: Health, word: str
) -> None:
    """Each is named, and what to do about it."""
    findings, _ = play(_doctor.library(CONFIG), told(**answer))
    (row,) = findings

    assert (subject, health) == (row.subject, row.health)
    assert word in row.message
    assert row.cure


def test_the_static_tls_of_debians_library_has_a_cure() -> None:
    """It is the first thing that happens to users of Debian and Ubuntu."""
    text = "cannot allocate memory in static TLS block"
    answer = told(failed="library", error="OSError", library="/l.so", text=text)
    findings, _ = play(_doctor.library(CONFIG), answer)

    assert "GLIBC_TUNABLES" in findings[0].cure


def test_masters_and_cells_that_are_not_there() -> None:
    """A machine without a Grid Engine is no broken one."""
    nobody = UnreachableError("qstat", "No such file or directory", sent=False)

    assert Health.ERROR is diagnose(GOOD, SITE["no master"])["master"][0]
    assert Health.WARNING is diagnose(GOOD, SITE["no root"])["configuration"][0]
    assert Health.WARNING is diagnose(GOOD, nobody)["commands"][0]


def test_queues_that_take_no_jobs() -> None:
    """All jobs wait, and the doctor says why."""
    error = Reply(SITE["disabled"].stdout.replace("lx-amd64      d", "lx-amd64      auE"))
    rest = (SITE["environments"], page("accounts")["exited"])

    disabled = diagnose(GOOD, SITE["disabled"], *rest)["queue all.q@localhost"]
    broken = diagnose(GOOD, error, *rest)["queue all.q@localhost"]
    none = diagnose(GOOD, Reply("queuename\n"), *rest)["queues"]
    assert (Health.WARNING, True) == (disabled[0], "disabled" in disabled[1])
    assert (Health.ERROR, True) == (broken[0], "in the error state" in broken[1])
    assert "qmod -cq" in broken[2]
    assert Health.ERROR is none[0]


def test_a_parallel_environment_that_is_not_there() -> None:
    """Jobs of several cpus are refused until it is named."""
    found = diagnose(
        GOOD, SITE["queues"], SITE["environments"], page("accounts")["exited"], pe="other"
    )

    health, message, cure = found["parallel environment"]
    assert (Health.WARNING, True) == (health, "but smp" in message)
    assert "`pe`" in cure
