"""What is the same on every batch system that is spoken to by commands."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tiny import Bench, Reply

from drover.commandline import Command, Talk, claims, converse, read_json
from drover.commandline.backend import REST
from drover.commandline.wrapper import CANCEL, UNRUN_EXIT
from drover.errors import UnreachableError
from drover.models import (
    Answer,
    Attempt,
    Condition,
    Elements,
    Health,
    Observation,
    Phase,
    Predecessor,
    Resources,
    Source,
    Started,
    Stream,
    Verb,
    Verdict,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Bench(home)


def place(bench: Bench, *attempts: Attempt) -> list[Attempt]:
    """Hand attempts over, and give them with their native ids."""
    answers = {each.token: each for each in bench.backend.drover_submit(attempts)}
    return [evolve(each, native_id=answers[each.token].native_id) for each in attempts]


def look(bench: Bench, *attempts: Attempt) -> list[Observation]:
    return list(bench.backend.drover_observe(attempts).observations)


def never(_argv: tuple[str, ...]) -> Reply | None:
    raise UnreachableError("tiny", "no answer within 30 s")


# --- talking -------------------------------------------------------------------------------------


def test_a_talk_is_told_what_could_not_be_executed(bench: Bench) -> None:
    """It decides itself whether it can go on without an answer."""
    bench.world.faults.append(never)

    def undaunted() -> Talk[str]:
        try:
            yield Command(argv=("tq",))
        except UnreachableError:
            return "went on"
        return "was told"

    def helpless() -> Talk[str]:
        yield Command(argv=("tq",))
        return "was told"

    assert "went on" == converse(bench.backend.context, undaunted())
    with pytest.raises(UnreachableError):
        converse(bench.backend.context, helpless())


# --- submission ----------------------------------------------------------------------------------


def test_like_jobs_go_as_one_array(bench: Bench) -> None:
    """A thousand jobs are not a thousand commands."""
    big = Resources(cpus=4)
    attempts = [bench.attempt(n) for n in range(5)] + [bench.attempt(5, resources=big)]

    answers = bench.backend.drover_submit(attempts)

    assert {"1.0", "1.1", "1.2", "1.3", "1.4", "2"} == {each.native_id for each in answers} or {
        "2.0", "2.1", "2.2", "2.3", "2.4", "1"
    } == {each.native_id for each in answers}  # fmt: skip
    assert {"5", "1"} == {argv[3] for argv in bench.world.log}
    assert {Answer.ACCEPTED} == {each.answer for each in answers}
    assert {each.token for each in attempts} == {each.token for each in answers}


def test_arrays_of_ours_stay_apart(bench: Bench) -> None:
    """Who waits for one of them need not wait for the other."""
    attempts = [
        evolve(bench.attempt(n), array_id=array, array_index=n)
        for n, array in enumerate(["a", "a", "b", "b", "b", None])
    ]
    bench.backend.drover_submit(attempts)

    assert ["1", "2", "3"] == sorted(argv[3] for argv in bench.world.log)


def test_a_task_behind_a_whole_array_reads_its_records(bench: Bench) -> None:
    """What the engine names is what the wrapper on the node finds."""
    first = [
        evolve(bench.attempt(n), job_id=f"a.{n}", token=f"store-a.{n}-1", array_id="a")
        for n in range(3)
    ]
    before = Predecessor(
        job="a", token="", native_id="", condition=Condition.SUCCEEDED, native_ids=("1",),
        elements=(Elements(attempt=1, indices="0-2"),),
    )  # fmt: skip
    attempts = [evolve(bench.attempt(n), predecessors=(before,)) for n in range(3, 6)]
    place(bench, *first)
    place(bench, *attempts)
    world = bench.world

    codes = [world.execute(native_id) for native_id in ("1.0", "2.0", "1.1", "1.2", "2.1", "2.2")]

    assert [0, UNRUN_EXIT, 0, 0, 0, 0] == codes


def test_an_array_is_as_large_as_the_system_takes(bench: Bench) -> None:
    """What is more goes as another."""
    bench.backend.drover_submit([bench.attempt(n) for n in range(250)])

    assert ["100", "100", "50"] == sorted((argv[3] for argv in bench.world.log), key=int)[::-1]


def test_jobs_of_different_folders_are_not_alike(bench: Bench, tmp_path: Path) -> None:
    """A scheduler starts all elements of an array in one working directory."""
    bench.backend.drover_submit(
        [bench.attempt(0, cwd=str(tmp_path)), bench.attempt(1, cwd=str(tmp_path / "other"))]
    )

    assert ["1", "1"] == [argv[3] for argv in bench.world.log]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Reply("", "no such queue", 1), Answer.REFUSED),
        (Reply("", "", 0), Answer.UNKNOWN),
        (UnreachableError("tsub", "no answer within 30 s"), Answer.UNKNOWN),
        (UnreachableError("tsub", "no such file", sent=False), Answer.REFUSED),
    ],
)
def test_the_three_answers(bench: Bench, reply: Any, answer: Answer) -> None:
    """Where a command may have been heard, nobody knows; where it was not, it is refused."""

    def fault(_argv: tuple[str, ...]) -> Reply:
        if isinstance(reply, BaseException):
            raise reply
        told: Reply = reply
        return told

    bench.world.faults.append(fault)
    answers = bench.backend.drover_submit([bench.attempt(0), bench.attempt(1)])

    assert [answer, answer] == [each.answer for each in answers]
    assert [None, None] == [each.native_id for each in answers]
    assert isinstance(reply, Reply) or answer is Answer.UNKNOWN or answers[0].retryable


def test_what_cannot_be_written_down_is_not_handed_over(bench: Bench) -> None:
    """The job would wait in the queue for days, and then run nothing."""
    (bench.home / "backends").write_text("a file in the place of the folder")

    (answer,) = bench.backend.drover_submit([bench.attempt()])

    assert (Answer.REFUSED, True, []) == (answer.answer, answer.retryable, bench.world.log)


def test_the_script_holds_no_word_of_the_users(bench: Bench) -> None:
    """What a shell reads is ours alone."""
    secret = "$(touch /tmp/oops) 'quoted'"
    place(bench, bench.attempt(0, "echo", secret, env={"A": secret}, name=secret))

    script = bench.world.jobs["1"].script.decode()
    assert "oops" not in script
    assert 2 == len(script.splitlines())


# --- search --------------------------------------------------------------------------------------


def test_a_lost_submission_is_found_in_the_queue(bench: Bench) -> None:
    """The answer was lost, the job was not; each element has its own id."""
    attempts = [bench.attempt(n) for n in range(3)]
    place(bench, *attempts)

    found = {each.token: each.native_id for each in bench.backend.drover_find(
        [attempts[2].token, "store-nobody-1"]
    )}  # fmt: skip

    assert {attempts[2].token: "1.2"} == found


def test_what_the_queue_forgot_is_searched_by_its_name(bench: Bench) -> None:
    """By another engine than the one that named it."""
    (attempt,) = place(bench, bench.attempt(0, name="my job"))
    bench.world.forgotten.add("1")

    found = bench.another().drover_find([attempt.token])

    assert ("tfind", "my job") == bench.world.log[-1]
    assert [(attempt.token, "1")] == [(each.token, each.native_id) for each in found]


def test_who_holds_the_claim_is_found_without_a_question(bench: Bench) -> None:
    """The wrapper has come: its claim says more than any listing."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.execute("1")
    asked = len(bench.world.log)

    found = bench.backend.drover_find([attempt.token])

    assert ["1"] == [each.native_id for each in found]
    assert asked == len(bench.world.log)


def test_a_search_without_an_answer_is_no_search(bench: Bench) -> None:
    """Not found and could not look are two things."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.faults.append(never)

    with pytest.raises(UnreachableError):
        bench.backend.drover_find([attempt.token])


# --- looking -------------------------------------------------------------------------------------


def test_the_exit_record_and_the_system_both_tell_the_end(bench: Bench) -> None:
    """Two channels, each with its source."""
    (attempt,) = place(bench, bench.attempt(0, "sh", "-c", "exit 3"))
    bench.world.execute("1")

    seen = look(bench, attempt)

    ends = [(row.source, row.end.exit_code) for row in seen if row.end is not None]
    assert [(Source.EXIT_RECORD, 3), (Source.ACCOUNTING, 3)] == ends


def test_a_job_in_the_queue_is_one_question(bench: Bench) -> None:
    """However many they are, they are listed together, and nothing more is asked."""
    attempts = place(bench, *(bench.attempt(n) for n in range(50)))
    asked = len(bench.world.log)

    seen = look(bench, *attempts)

    assert {Phase.QUEUED} == {row.phase for row in seen}
    assert (50, [("tq",)]) == (len(seen), bench.world.log[asked:])


def test_running_is_what_has_its_claim(bench: Bench) -> None:
    """A scheduler says running while the node still prepares: until then it may be closed."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.jobs["1"].state = "R"
    before = look(bench, attempt)

    claims.take(_made(bench.folder(attempt)), claims.Owner(native_id="1"))
    after = look(bench, attempt)

    assert ([Phase.QUEUED], [Phase.RUNNING]) == (
        [row.phase for row in before],
        [row.phase for row in after],
    )


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def test_the_claim_of_another_job_starts_nothing(bench: Bench) -> None:
    """The attempt runs under another id: this one never will."""
    (attempt,) = place(bench, bench.attempt())
    claims.take(_made(bench.folder(attempt)), claims.Owner(native_id="99"))
    bench.world.jobs["1"].state = "R"

    assert [Phase.QUEUED] == [row.phase for row in look(bench, attempt)]


def test_a_job_that_is_leaving_is_told_with_its_record(bench: Bench) -> None:
    """The wrapper has ended; the scheduler still tidies up."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.execute("1")
    bench.world.jobs["1"].state = "L"

    seen = look(bench, attempt)

    assert [(Source.EXIT_RECORD, Phase.ENDED), (Source.QUEUE, Phase.RUNNING)] == [
        (row.source, row.phase) for row in seen
    ]


def test_what_is_nowhere_is_not_told(bench: Bench) -> None:
    """Absence is no evidence: the engine counts the time."""
    (attempt,) = place(bench, bench.attempt())
    del bench.world.jobs["1"]

    observed = bench.backend.drover_observe([attempt])

    assert ((), True) == (observed.observations, observed.complete)


def test_where_not_all_could_be_asked_absence_is_worth_nothing(bench: Bench) -> None:
    """Accounting is away: nobody can say that it is nowhere."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.forgotten.add("1")
    bench.world.faults.append(lambda argv: Reply("", "away", 1) if argv[0] == "thist" else None)

    observed = bench.backend.drover_observe([attempt])

    assert ((), False) == (observed.observations, observed.complete)


def test_what_left_the_queue_is_remembered(bench: Bench) -> None:
    """It ended between two looks, and was purged."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.execute("1")
    bench.world.forgotten.add("1")

    sources = [row.source for row in look(bench, attempt)]

    assert [Source.EXIT_RECORD, Source.ACCOUNTING] == sources


def test_an_end_without_a_claim_was_no_start(bench: Bench) -> None:
    """Cancelled while it waited, or killed before its wrapper came."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.jobs["1"].state = "E"

    (row,) = look(bench, attempt)

    assert row.end is not None
    assert Started.NO is row.end.started


def test_an_end_under_the_claim_of_another_is_unclear(bench: Bench) -> None:
    """What ended is not what ran."""
    (attempt,) = place(bench, bench.attempt())
    claims.take(_made(bench.folder(attempt)), claims.Owner(native_id="99"))
    bench.world.jobs["1"].state = "E"

    ends = [row.end for row in look(bench, attempt) if row.end is not None]

    assert [Started.UNKNOWN] == [end.started for end in ends]


def test_a_job_whose_end_is_not_told_is_listed_and_unclear(bench: Bench) -> None:
    """Gone, and nobody says how: it is there, and no end of it is made up."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.jobs["1"].state = "X"

    (row,) = look(bench, attempt)

    assert (Phase.UNKNOWN, None, "X") == (row.phase, row.end, row.native_state)


def test_a_wrapper_that_ran_nothing_is_told_as_that(bench: Bench) -> None:
    """The attempt was closed before it came."""
    (attempt,) = place(bench, bench.attempt())
    claims.close(bench.folder(attempt), "engine: given up")
    bench.world.execute("1")

    seen = look(bench, attempt)

    assert [Phase.UNRUN] == [row.phase for row in seen]
    assert "given up" in seen[0].native_state


def test_a_row_of_another_key_is_not_ours(bench: Bench) -> None:
    """Ids are handed out again: a stranger's end is no end of ours."""
    (attempt,) = place(bench, bench.attempt())
    bench.world.jobs["1"].key = "somebody"
    bench.world.jobs["1"].state = "E"

    assert [] == look(bench, attempt)


def test_an_attempt_that_was_never_written_down_is_nowhere(bench: Bench) -> None:
    """A store that was damaged: nothing is known, and nothing is concluded."""
    stranger = evolve(bench.attempt(7), native_id="1")

    assert [] == look(bench, stranger)


def test_a_look_lets_go_of_what_is_not_looked_at(bench: Bench) -> None:
    """Else an engine grows with every job that it ever ran."""
    gone, here = place(bench, bench.attempt(0)), place(bench, bench.attempt(1))
    for _ in range(3):
        look(bench, *here)
    for path in bench.backend.folder.glob("*.tasks"):
        path.unlink()

    assert [] == list(bench.backend.places.find([gone[0].token]))
    assert [here[0].token] == list(bench.backend.places.find([here[0].token]))


def test_a_slow_listing_is_followed_by_a_rest(bench: Bench, monkeypatch: Any) -> None:
    """A controller that takes long is under load: it is asked less often."""
    times = iter([100.0, 103.0])
    monkeypatch.setattr("drover.commandline.looking.time.monotonic", lambda: next(times))

    assert 3.0 * REST == bench.backend.drover_observe([]).rest_s


# --- requests ------------------------------------------------------------------------------------


def test_a_cancel_before_the_start_is_done_at_once(bench: Bench) -> None:
    """The claim is shut: whatever the scheduler does now, nothing will run."""
    (attempt,) = place(bench, bench.attempt(0, "touch", str(bench.home / "ran")))

    (answer,) = bench.backend.drover_control([bench.order(attempt)])
    code = bench.world.execute("1")

    assert (Verdict.DONE, 118) == (answer.verdict, code)
    assert not (bench.home / "ran").exists()


def test_a_cancel_after_the_start_is_passed_on(bench: Bench) -> None:
    """Signalled is not gone."""
    (attempt,) = place(bench, bench.attempt())
    claims.take(_made(bench.folder(attempt)), claims.Owner(native_id="1"))

    (answer,) = bench.backend.drover_control([bench.order(attempt)])

    assert (Verdict.SIGNALLED, ("tdel", "1")) == (answer.verdict, bench.world.log[-1])


def test_a_grace_is_left_for_the_wrapper(bench: Bench) -> None:
    """The scheduler's own patience is not the user's, and it takes the wrapper along."""
    (attempt,) = place(bench, bench.attempt())
    claims.take(_made(bench.folder(attempt)), claims.Owner(native_id="1"))

    bench.backend.drover_control([bench.order(attempt, grace_s=5.0)])

    assert {"grace_s": 5.0} == read_json(bench.folder(attempt) / CANCEL)


def test_a_request_for_what_is_not_known_comes_too_late(bench: Bench) -> None:
    """Nothing is sent to an id that could be anybody's."""
    stranger = evolve(bench.attempt(7), native_id="1")

    (answer,) = bench.backend.drover_control([bench.order(stranger, Verb.KILL)])

    assert (Verdict.TOO_LATE, []) == (answer.verdict, bench.world.log)


# --- files ---------------------------------------------------------------------------------------


def test_a_client_reads_what_another_process_handed_over(bench: Bench) -> None:
    """Its own backend was made, and has read the lists, before the job was there."""
    client = bench.another()
    (first,) = place(bench, bench.attempt(0, "echo", "one"))
    bench.world.execute("1")
    read = [client.drover_read_output(first, Stream.STDOUT, 0, 100)]

    (second,) = place(bench, bench.attempt(1, "echo", "two"))
    bench.world.execute("2")
    read.append(client.drover_read_output(second, Stream.STDOUT, 0, 100))

    assert [b"one\n", b"two\n"] == [chunk.data for chunk in read if chunk is not None]


def test_what_is_forgotten_leaves_nothing(bench: Bench) -> None:
    """Neither files nor empty folders: a store lives for years."""
    attempts = place(bench, *(bench.attempt(n) for n in range(2)))
    for native_id in ("1.0", "1.1"):
        bench.world.execute(native_id)
    bench.backend.drover_forget(attempts)

    assert [] == list((bench.home / "jobs").iterdir())
    assert [] == list((bench.home / "backends/tiny/news").iterdir())
    assert ["__pycache__", "news", "wrapper.py"] == sorted(
        path.name for path in (bench.home / "backends/tiny").iterdir()
    )


def test_word_of_what_is_not_forgotten_stays(bench: Bench) -> None:
    """The engine's end of another job may be told there, and the engine has not looked yet."""
    first, second = place(bench, *(bench.attempt(n) for n in range(2)))
    for native_id in ("1.0", "1.1"):
        bench.world.execute(native_id)
    bench.backend.drover_forget([first])

    left = {path.name.rpartition(".")[0] for path in bench.backend.batches.news.iterdir()}
    assert {second.token} == left


def test_the_claims_of_a_closed_attempt_are_spared(bench: Bench) -> None:
    """A copy of the job may still come, and must find them."""
    (attempt,) = place(bench, bench.attempt())
    claims.close(_made(bench.folder(attempt)), "engine: given up")
    bench.world.execute("1")
    bench.backend.drover_forget([attempt])

    assert ["claim.0"] == [path.name for path in bench.folder(attempt).iterdir()]


def test_folders_that_the_wrapper_makes_are_private(bench: Bench) -> None:
    """Each of them, whatever the umask of the node is."""
    place(bench, bench.attempt())
    before = os.umask(0)
    try:
        bench.world.execute("1")
    finally:
        os.umask(before)

    folders = [bench.home / "jobs", bench.home / "jobs/job0", bench.home / "jobs/job0/1"]
    assert [0o700] * 3 == [stat.S_IMODE(folder.stat().st_mode) for folder in folders]


def test_the_commands_umask_is_the_nodes(bench: Bench) -> None:
    """Only our own folders are private; what the job makes is the user's."""
    (attempt,) = place(bench, bench.attempt(0, "sh", "-c", "umask"))
    before = os.umask(0o027)
    try:
        bench.world.execute("1")
    finally:
        os.umask(before)

    chunk = bench.backend.drover_read_output(attempt, Stream.STDOUT, 0, 10)
    assert chunk is not None
    assert b"0027\n" == chunk.data


# --- news and the doctor -------------------------------------------------------------------------


def test_word_of_a_wrapper_is_reported(bench: Bench) -> None:
    """An end is known long before the next look at the queue."""
    (attempt,) = place(bench, bench.attempt(0, "sh", "-c", "exit 4"))
    bench.world.execute("1")
    asked = len(bench.world.log)

    bench.backend._news.look()

    assert [(attempt.token, Phase.ENDED, 4)] == [
        (row.token, row.phase, row.end.exit_code) for row in bench.reported
    ]
    assert asked == len(bench.world.log)
    assert [] == list((bench.home / "backends/tiny/news").iterdir())


def test_the_doctor_looks_at_hard_links_and_asks_the_system(bench: Bench) -> None:
    """Without hard links there are no claims."""
    found = {each.subject: each for each in bench.backend.drover_diagnose()}

    assert {"claims": Health.OK, "tiny": Health.OK} == {k: v.health for k, v in found.items()}


def test_the_doctor_survives_a_system_that_is_away(bench: Bench) -> None:
    """That is what he is there for."""
    bench.world.faults.append(never)
    found = {each.subject: each for each in bench.backend.drover_diagnose()}

    assert Health.ERROR is found["scheduler"].health


def test_without_hard_links_the_doctor_says_so(bench: Bench, monkeypatch: Any) -> None:
    """Every job would refuse to run."""

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    found = {each.subject: each for each in bench.backend.drover_diagnose()}

    assert Health.ERROR is found["claims"].health
    assert "--home" in found["claims"].cure
