"""Whole talks: start, submit, list, recall, search, control."""

import os
from pathlib import Path
from typing import Any

import pytest
from slurm_speech import Reply, known, order, page, play, spec

from drover.commandline import Batch, Known, Left, Row
from drover.errors import ConfigError, UnknownFieldError, UnreachableError
from drover.models import Answer, Attempt, Reason, Resources, Source, Verdict
from drover_slurm._config import SlurmConfig
from drover_slurm._slurm import Slurm

SITE = page("site")
OUTAGES = page("outages")
NODES = Reply("batch|8|4000|2\n")
TIMES = "2026-01-31T00:00:01|2026-01-31T00:00:02|2026-01-31T00:01:10"


def slurm(**config: Any) -> Slurm:
    return Slurm("slurm", SlurmConfig(**config))


def batch(count: int = 1, **fields: Any) -> Batch:
    wanted = spec(**fields)
    return Batch(
        key="KEY", spec=wanted, label="true", tokens=tuple(map(str, range(count))),
        tasks=Path("/t"), log=Path("/l"),
        attempt=Attempt(job_id="j", number=1, token="0", spec=wanted),
    )  # fmt: skip


# --- start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "most"), [("1001", 1000), ("10001", 1000), ("101", 101), ("2", 2), ("x", 1000)]
)
def test_an_array_is_as_large_as_the_cluster_takes(size: str, most: int) -> None:
    """The largest index is one less than MaxArraySize, and ours begin with 0."""
    one = slurm()

    play(one.start(), Reply(SITE["config"].stdout.replace("10001", size)))

    assert most == one.most_elements


@pytest.mark.parametrize(
    ("words", "most"),
    [("max_array_tasks=100", 100), ("defer,Max_Array_Tasks=5,bf_x=7", 5), ("bf_y=3", 1000)],
)
def test_an_array_has_as_many_elements_as_the_cluster_takes(words: str, most: int) -> None:
    """A site may allow great indices in small arrays; a greater array is refused for good."""
    one = slurm()

    play(one.start(), Reply(SITE["config"].stdout.replace("batch_sched_delay=0", words)))

    assert most == one.most_elements


@pytest.mark.parametrize(("text", "kills"), [("5 sec", False), ("20 sec", True), ("", True)])
def test_slurms_own_grace_is_asked_of_the_cluster(text: str, kills: bool) -> None:
    """A longer one of the user's is not left to it."""
    one = slurm()
    config = SITE["config"].stdout.replace("KillWait                = 5 sec", f"KillWait = {text}")
    play(one.start(), Reply(config))
    wanted, there = order("7", grace_s=10.0), known("7")
    listed = Reply(f"7|7|N/A|RUNNING|{TIMES}|None|KEY\n")

    _, asked = play(one.control([wanted], {there.token: there}), listed, Reply())
    assert kills == (("scancel", "7") == asked[1].argv)


def test_ones_own_jobs_are_asked_for_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `su` LOGNAME may be another's: none of one's own is in his list, and all were LOST."""
    monkeypatch.setenv("LOGNAME", "nobody")
    _, asked = play(slurm().queue([]), Reply())

    assert str(os.geteuid()) == asked[0].argv[asked[0].argv.index("-u") + 1]


@pytest.mark.parametrize(
    ("tracking", "shared"), [("linuxproc", [15]), ("pgid", [15]), ("cgroup", [])]
)
def test_whom_signals_reach_is_asked_of_the_cluster(tracking: str, shared: list[int]) -> None:
    """With control groups the TERM of a cancel reaches the wrapper alone, and not the command."""
    one = slurm()
    play(
        one.start(),
        Reply(SITE["config"].stdout.replace("proctrack/linuxproc", f"proctrack/{tracking}")),
    )

    assert shared == list(one.settings.shared_signals)


def test_a_start_without_a_controller_says_so() -> None:
    """The engine tries again; what it would take for granted may be wrong."""
    with pytest.raises(UnreachableError):
        play(slurm().start(), OUTAGES["slurmctld is down: config"])


# --- submit --------------------------------------------------------------------------------------


def test_a_submission_is_one_command() -> None:
    """What the nodes have is asked for once."""
    one = slurm(submit_timeout_s=7.0)

    first, asked = play(one.submit(batch(), b"script"), NODES, Reply("7\n"))
    second, again = play(one.submit(batch(), b"script"), Reply("8\n"))

    assert ("7", "8") == (first.native_id, second.native_id)
    assert ["sinfo", "sbatch", "sbatch"] == [command.argv[0] for command in (*asked, *again)]
    assert (b"script", 7.0) == (asked[1].input, asked[1].timeout_s)


def test_what_no_node_can_run_is_refused_after_another_look() -> None:
    """Slurm would let it wait for ever; and nodes may have been added since."""
    one = slurm()
    wide = batch(resources=Resources(nodes=3))

    told, asked = play(one.submit(wide, b""), NODES)
    later, _ = play(one.submit(wide, b""), Reply("batch|8|4000|3\n"), Reply("7\n"))

    assert (Answer.REFUSED, False, 1) == (told.answer, told.retryable, len(asked))
    assert Answer.ACCEPTED is later.answer


@pytest.mark.parametrize(
    "nodes", [OUTAGES["slurmctld is down: sinfo"], UnreachableError("sinfo", "no answer")]
)
def test_without_a_look_at_the_nodes_sbatch_decides(nodes: Reply | BaseException) -> None:
    """A look that fails has submitted nothing: there is no doubt about it."""
    refused, _ = play(slurm().submit(batch(), b""), nodes, OUTAGES["slurmctld is down: sbatch"])
    accepted, _ = play(slurm().submit(batch(), b""), nodes, Reply("7\n"))

    assert (Answer.REFUSED, True) == (refused.answer, refused.retryable)
    assert Answer.ACCEPTED is accepted.answer


# --- the queue -----------------------------------------------------------------------------------


def test_restarts_are_asked_for_where_they_are_possible() -> None:
    """One more question for those that may be requeued, none for the others."""
    lines = f"7|7|N/A|RUNNING|{TIMES}|None|KEY\n8|8|N/A|RUNNING|{TIMES}|None|KEY\n"
    jobs = [known("7", requeue=True), known("8")]

    rows, asked = play(slurm().queue(jobs), Reply(lines), Reply("7|0|2|None\n"))
    plain, once = play(slurm().queue(jobs[1:]), Reply(lines))

    assert [2, None] == [row.restart for row in rows]
    assert "7" == asked[1].argv[asked[1].argv.index("-j") + 1]
    assert ([None, None], 1) == ([row.restart for row in plain], len(once))


# --- what has left -------------------------------------------------------------------------------


def listed(native_id: str, word: str = "FAILED", reason: str = "NonZeroExitCode") -> Row:
    rows, _ = play(
        slurm().queue([]), Reply(f"{native_id}|{native_id}|N/A|{word}|{TIMES}|{reason}|KEY\n")
    )
    return rows[0]


def left(entry: Known, row: Row | None, waited_s: float = 60.0, *, record: bool = False) -> Left:
    return Left(known=entry, row=row, waited_s=waited_s, has_record=record)


ACCOUNT = (
    "7|FAILED|7:0|2026-01-31T00:00:01|2026-01-31T00:00:02|2026-01-31T00:01:10|||"
    "|68||node1|true@KEY\n"
)


def test_accounting_tells_the_end() -> None:
    """One question for all that have left."""
    jobs = [left(known("7"), listed("7")), left(known("9"), None)]

    told, asked = play(slurm().recall(jobs), Reply(ACCOUNT))

    (row,) = told.rows
    assert row.end is not None
    assert (7, Source.ACCOUNTING) == (row.end.exit_code, row.end.source)
    assert (True, frozenset()) == (told.complete, told.not_yet)
    assert "7,9" == asked[0].argv[asked[0].argv.index("-j") + 1]


def test_accounting_that_lags_is_waited_for() -> None:
    """It is some seconds late, and knows what was used."""
    jobs = [left(known("7"), listed("7"), 1.0)]

    told, _ = play(slurm().recall(jobs), Reply())

    assert ([], frozenset({"7"}), True) == (list(told.rows), told.not_yet, told.complete)


def test_accounting_that_stays_silent_is_not_waited_for() -> None:
    """The controller still knows how the job ended."""
    jobs = [left(known("7"), listed("7"), 6.0)]

    told, asked = play(slurm().recall(jobs), Reply(), Reply("7|35072|0|NonZeroExitCode\n"))

    (row,) = told.rows
    assert row.end is not None
    assert (137, frozenset()) == (row.end.exit_code, told.not_yet)
    assert ["sacct", "squeue"] == [command.argv[0] for command in asked]


def test_where_the_wrapper_told_the_end_nobody_is_asked_for_it() -> None:
    """The exit record is there: the controller is left alone."""
    jobs = [left(known("7"), listed("7"), 6.0, record=True)]

    told, asked = play(slurm().recall(jobs), Reply())

    assert (0, 1) == (len(told.rows), len(asked))


def test_without_accounting_it_is_asked_no_more() -> None:
    """A cluster that keeps no accounts would say so at every end of a job."""
    one = slurm()
    jobs = [left(known("7"), listed("7"), 0.0)]
    details = Reply("7|1792|0|NonZeroExitCode\n")

    first, asked = play(one.recall(jobs), SITE["sacct, no accounting"], details)
    second, again = play(one.recall(jobs), details)

    assert (["sacct", "squeue"], ["squeue"]) == (
        [command.argv[0] for command in asked],
        [command.argv[0] for command in again],
    )
    for told in (first, second):
        (row,) = told.rows
        assert row.end is not None
        assert (7, True) == (row.end.exit_code, told.complete)


def test_a_site_may_forbid_to_ask_accounting() -> None:
    """Some databases are slow, and their administrators watchful."""
    jobs = [left(known("7"), listed("7"), 0.0)]

    _, asked = play(slurm(accounting=False).recall(jobs), Reply("7|1792|0|NonZeroExitCode\n"))

    assert ["squeue"] == [command.argv[0] for command in asked]


@pytest.mark.parametrize(
    "away", [OUTAGES["slurmdbd is down: sacct"], UnreachableError("sacct", "no answer")]
)
def test_accounting_that_is_away_proves_nothing(away: Reply | BaseException) -> None:
    """A job that is nowhere else must not be called lost while one cannot ask everywhere."""
    jobs = [left(known("7"), listed("7"), 1.0), left(known("9"), None)]

    told, _ = play(slurm().recall(jobs), away, Reply("7|1792|0|NonZeroExitCode\n"))

    assert (False, ["7"]) == (told.complete, [row.native_id for row in told.rows])


def test_a_job_that_could_not_begin() -> None:
    """Its output cannot be written: slurmd says 53, which is no signal of anybody's."""
    jobs = [left(known("7"), listed("7", "FAILED", "JobLaunchFailure"))]

    told, _ = play(slurm(accounting=False).recall(jobs), Reply("7|4021|0|JobLaunchFailure\n"))

    (row,) = told.rows
    assert row.end is not None
    assert (Reason.LAUNCH_FAILED, None) == (row.end.reason, row.end.signal)


def test_a_thousand_ends_are_few_questions() -> None:
    """A command line has an end, too."""
    jobs = [left(known(str(number)), None) for number in range(1000)]

    _, asked = play(slurm().recall(jobs), Reply(), Reply(), Reply())

    ids = [command.argv[command.argv.index("-j") + 1].split(",") for command in asked]
    assert [400, 400, 200] == [len(part) for part in ids]


# --- searching -----------------------------------------------------------------------------------


def test_a_submission_is_found_by_its_name() -> None:
    """Accounting keeps the comment back until the job ends, the name it has at once."""
    told, asked = play(
        slurm().search({"KEY": "true", "OTHER": "a|b"}), Reply(ACCOUNT.replace("7|F", "7_3|F"))
    )

    assert {"KEY": "7"} == dict(told)
    assert "true@KEY,a_b@OTHER" == asked[0].argv[asked[0].argv.index("--name") + 1]


def test_a_name_of_somebody_else_is_not_ours() -> None:
    """What sacct finds is for sacct to know; the key decides."""
    told, _ = play(slurm().search({"KEY": "true"}), Reply(ACCOUNT.replace("@KEY", "@YEK")))

    assert {} == dict(told)


@pytest.mark.parametrize(
    "away",
    [
        SITE["sacct, no accounting"],
        OUTAGES["slurmdbd is down: sacct"],
        UnreachableError("sacct", "no answer"),
    ],
)
def test_a_search_that_fails_finds_nothing(away: Reply | BaseException) -> None:
    """Not found proves nothing anyway; the claim does."""
    told, _ = play(slurm().search({"KEY": "true"}), away)

    assert {} == dict(told)


def test_where_accounting_is_off_nothing_is_searched() -> None:
    """Nobody to ask."""
    told, asked = play(slurm(accounting=False).search({"KEY": "true"}))

    assert ({}, []) == (dict(told), asked)


# --- control -------------------------------------------------------------------------------------


def test_an_id_that_was_handed_out_again_is_left_alone() -> None:
    """After a crash the controller gives ids anew: a cancel would hit a stranger's job."""
    line = f"7|7|N/A|RUNNING|{TIMES}|None|SOMEBODY\n"

    answers, asked = play(slurm().control([order("7")], {"token-7": known("7")}), Reply(line))

    assert [Verdict.TOO_LATE] == [answer.verdict for answer in answers]
    assert ["squeue"] == [command.argv[0] for command in asked]


def test_a_cancel_of_a_job_that_is_there() -> None:
    """One look, one command."""
    line = f"7|7|N/A|RUNNING|{TIMES}|None|KEY\n"

    answers, asked = play(
        slurm().control([order("7")], {"token-7": known("7")}), Reply(line), Reply()
    )

    assert [Verdict.SIGNALLED] == [answer.verdict for answer in answers]
    assert ("scancel", "7") == asked[1].argv


# --- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("poll_s", 0), ("poll_s", -1), ("poll_s", True), ("poll_s", "2"), ("accounting", 1),
        ("python", 3), ("cluster", None), ("submit_timeout_s", []),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_with_its_place(key: str, value: object) -> None:
    """A setting that is read in another way than it was meant shows up at night."""
    with pytest.raises(ConfigError, match=rf"backends\.hpc\.{key}"):
        SlurmConfig.read("hpc", {key: value})


def test_a_setting_that_is_not_there_is_refused() -> None:
    """A misspelt name changes nothing, in silence."""
    with pytest.raises(UnknownFieldError):
        SlurmConfig.read("hpc", {"pol_s": 2})


def test_settings_reach_what_they_are_for() -> None:
    """A setting that nobody reads is a lie."""
    table: dict[str, Any] = {
        "poll_s": 3, "idle_poll_s": 33.0, "settle_s": 4.0, "missing_grace_s": 5.0,
        "submit_timeout_s": 6.0, "command_timeout_s": 7.0,
    }  # fmt: skip
    one = Slurm("hpc", SlurmConfig.read("hpc", table))
    declared = one.capabilities
    _, asked = play(one.queue([]), Reply())
    _, submitted = play(one.submit(batch(), b""), NODES, Reply("1\n"))

    assert (3, 33.0, 4.0, 5.0) == (
        declared.poll_s, declared.idle_poll_s, declared.settle_s, declared.missing_grace_s
    )  # fmt: skip
    assert [7.0, 7.0, 6.0] == [command.timeout_s for command in (*asked, *submitted)]
