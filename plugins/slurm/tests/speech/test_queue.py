"""What squeue prints, of our jobs and of those of others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slurm_speech import Reply, known, page

from drover.commandline import Listing, Row
from drover.errors import UnreachableError, UnreadableReplyError
from drover.models import SYSTEM, USER, Phase, Reason, Source
from drover_slurm import _queue

LISTING = page("listing")["all kinds"]
DETAILS = page("details")
OUTAGES = page("outages")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Give the rows of the recorded listing by their keys."""
    found = _queue.read_list(LISTING)
    return {row.key.removeprefix("KEY-"): row for row in found}


def line(
    id: str = "7", word: str = "RUNNING", reason: str = "None", key: str = "KEY", index: str = "N/A"
) -> str:
    array = id.partition("_")[0]
    times = "2026-01-31T00:00:01|2026-01-31T00:00:02|2026-01-31T00:00:03"
    return f"{id}|{array}|{index}|{word}|{times}|{reason}|{key}"


def read(*lines: str) -> list[Row]:
    return _queue.read_list(Reply("".join(f"{text}\n" for text in lines)))


def test_one_command_asks_for_all_own_jobs() -> None:
    """A question per job is what administrators write mails about."""
    command = _queue.list_command("ann", 30.0)

    assert LISTING.argv == tuple("root" if word == "ann" else word for word in command.argv)


def test_our_jobs_alone_are_read(rows: dict[str, Row]) -> None:
    """Strangers write bars, blanks, tabs and line breaks into what is printed raw."""
    expected = {
        "absent", "again", "gaps", "gone", "held", "high", "killed", "later", "runs", "seven",
        "steps", "stopped", "unwritable", "wide", "zero",
    }  # fmt: skip
    # The first line of a comment of two lines looks like one of ours, with a key that is nobody's.
    assert {*expected, "two"} == set(rows)


def test_an_array_that_waits_is_one_row(rows: dict[str, Row]) -> None:
    """The controller collapses what waits; 10,000 elements are one line."""
    steps, gaps = rows["steps"], rows["gaps"]

    assert [0, 3, 6, 9] == [index for part in steps.indices for index in part]
    assert [0, 1, 2, 3, 4, 7, 9] == [index for part in gaps.indices for index in part]
    assert (steps.native_id, steps.submission) == (steps.submission, steps.native_id)
    listing = Listing([steps, gaps])
    for index in range(12):
        entry = known(f"{steps.native_id}_{index}", key="KEY-steps", index=index)
        assert (index in (0, 3, 6, 9)) is (listing.find(entry) is steps)


def test_an_element_that_runs_is_a_row_of_its_own() -> None:
    """It has its own start and its own end."""
    elements = [row for row in _queue.read_list(LISTING) if row.key == "KEY-runs"]

    assert ["0", "1", "2"] == [row.native_id.partition("_")[2] for row in elements]
    assert [()] * 3 == [row.indices for row in elements]
    assert 1 == len({row.submission for row in elements})
    assert Listing(elements).submissions() == {"KEY-runs": elements[0].submission}


@pytest.mark.parametrize(
    ("key", "phase", "word", "hold"),
    [
        ("absent", Phase.QUEUED, "PENDING (ReqNodeNotAvail, UnavailableNodes:node2)", set()),
        ("again", Phase.QUEUED, "PENDING (BeginTime)", set()),
        ("later", Phase.QUEUED, "PENDING (BeginTime)", set()),
        ("held", Phase.QUEUED, "PENDING (JobHeldAdmin)", {SYSTEM}),
        ("gaps", Phase.QUEUED, "PENDING (JobHeldUser)", {USER}),
        ("runs", Phase.RUNNING, "RUNNING", None),
        ("stopped", Phase.SUSPENDED, "SUSPENDED", None),
        ("zero", Phase.ENDED, "COMPLETED", None),
        ("gone", Phase.ENDED, "CANCELLED", None),
    ],
)
def test_phase_word_and_hold(
    rows: dict[str, Row], key: str, phase: Phase, word: str, hold: set[str] | None
) -> None:
    """Who holds a job decides who may release it; why it waits is told as Slurm tells it."""
    row = rows[key]

    assert (phase, word, hold) == (row.phase, row.word, None if row.hold is None else set(row.hold))


def test_a_job_that_can_never_run_says_so(rows: dict[str, Row]) -> None:
    """Slurm lets it wait for ever; the reason is all that a user gets to see."""
    told = "PENDING (PartitionNodeLimit: it asks for more nodes or time than the partition gives)"

    assert told == rows["wide"].word


def test_times_are_told_and_a_guess_of_the_start_is_not(rows: dict[str, Row]) -> None:
    """For a job that waits, %S is when Slurm thinks that it may start."""
    later, zero = rows["later"], rows["zero"]

    assert later.submitted_at is not None
    assert later.started_at is None
    assert zero.started_at is not None
    assert zero.end is not None
    assert later.submitted_at < zero.started_at <= zero.end.at


def test_the_word_alone_tells_some_ends(rows: dict[str, Row]) -> None:
    """FAILED without a status is no exit code."""
    ends = {key: rows[key].end for key in ("zero", "seven", "gone")}

    assert ends["zero"] is not None
    assert (0, None) == (ends["zero"].exit_code, ends["zero"].reason)
    assert ends["seven"] is not None
    assert (None, None) == (ends["seven"].exit_code, ends["seven"].signal)
    assert ends["gone"] is not None
    assert Reason.CANCELLED is ends["gone"].reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|",
        "7",
        line()[:-4],
        line()[:40],
        line(key="(null)"),
        line(key="two words"),
        line(key="a|b c"),
        line(key=""),
        line(id="x"),
        line(id="-7"),
        line(id="7+0"),
        "slurm_load_jobs: warning",
        "\\xff\\xfe|7|" + line(),
        " ".join(line().split("|")),
    ],
)
def test_a_line_that_is_not_ours_harms_nobody(text: str) -> None:
    """Cut lines, noise and strangers are passed over; the job on the next line is not."""
    found = read(text, line("8"))

    assert ["8"] == [row.native_id for row in found if row.key == "KEY"]


@pytest.mark.parametrize("word", ["HIBERNATING", "RUNNING*", "\\xff", "weiß nicht", "CANCELLED?"])
def test_a_word_that_nobody_knows_is_told_as_it_is(word: str) -> None:
    """A new word of a new Slurm is no reason to guess, nor to lose the row."""
    (row,) = read(line(word=word))

    assert (Phase.UNKNOWN, word, None) == (row.phase, row.word, row.end)


def test_a_reason_may_hold_anything() -> None:
    """Reasons are free text, bars included."""
    (row,) = read(line(word="PENDING", reason="a | b, c (d)"))

    assert ("PENDING (a | b, c (d))", "KEY") == (row.word, row.key)


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("7_[3]", [3]),
        ("7_[0-2]", [0, 1, 2]),
        ("7_[0-6:3,9]", [0, 3, 6, 9]),
        ("7_[1,4-5%10]", [1, 4, 5]),
        ("7_[0-9999%1]", list(range(10_000))),
        ("7_[1,...]", [1]),
    ],
)
def test_indices_of_every_form(text: str, indices: list[int]) -> None:
    """An index that is not read is a job that is listed nowhere."""
    found = [row for row in read(line(text, "PENDING")) if row.indices]

    assert [indices] == [[n for part in row.indices for n in part] for row in found] or (
        "..." in text
    )


@pytest.mark.parametrize("word", ["COMPLETING", "STAGE_OUT"])
def test_a_job_that_is_leaving_has_not_ended(word: str) -> None:
    """COMPLETING hides the end; a job whose processes still run is not over."""
    (row,) = read(line(word=word))

    assert (Phase.RUNNING, True, None) == (row.phase, row.is_leaving, row.end)


@pytest.mark.parametrize("name", [name for name in OUTAGES if name.endswith((": squeue", "ls"))])
def test_a_question_without_an_answer_says_nothing(name: str) -> None:
    """An empty list of a controller that is away would make every job LOST."""
    reply = OUTAGES[name]

    with pytest.raises(UnreachableError):
        _queue.read_list(reply)
    with pytest.raises(UnreachableError):
        _queue.read_details(reply)


def test_an_error_beside_exit_code_0_says_nothing() -> None:
    """Some ways of asking end with 0 and nothing but an error."""
    with pytest.raises(UnreachableError, match="away"):
        _queue.read_list(Reply("", "slurm_load_jobs error: away", 0))


@pytest.mark.parametrize("text", [line(), line("8") + "\n" + line()[:-3], "7"])
def test_a_listing_that_was_cut_off_says_nothing(text: str) -> None:
    """The job whose line is missing would be called gone."""
    with pytest.raises(UnreachableError, match="cut off"):
        _queue.read_list(Reply(text))
    with pytest.raises(UnreachableError, match="cut off"):
        _queue.read_details(Reply(text))


def test_a_long_reply_in_another_form_is_no_empty_queue() -> None:
    """A site's wrapper around squeue may print what it likes."""
    with pytest.raises(UnreadableReplyError):
        _queue.read_list(Reply("a line of another form\n" * 1000))


def test_no_jobs_are_no_jobs() -> None:
    """An empty queue is a good answer."""
    assert [] == read()


def test_details_tell_status_restarts_and_reason() -> None:
    """The status is a wait(2) status: codes of 128 and more are whole."""
    found = _queue.read_details(DETAILS["of many"])
    told = {
        (status, restarts, reason)
        for status, restarts, reason in found.values()
        if reason != "None"
    }

    assert {
        (1792, 0, "NonZeroExitCode"),
        (35072, 0, "NonZeroExitCode"),
        (9, 0, "JobLaunchFailure"),
        (4021, 0, "JobLaunchFailure"),
        (0, 1, "BeginTime"),
    } == told
    assert any("_1" in native_id for native_id in found)


def test_details_of_unknown_jobs_are_none() -> None:
    """A job that was purged is no reason to call the controller away."""
    assert {} == _queue.read_details(DETAILS["one that is unknown"])
    assert 1 == len(_queue.read_details(DETAILS["one unknown among them"]))


@pytest.mark.parametrize("text", ["", "7", "7|x", "|||", "JOBID|EXIT_CODE|RESTARTS|REASON"])
def test_details_that_cannot_be_read_are_passed_over(text: str) -> None:
    """Half a line has no status in it."""
    assert {} == _queue.read_details(Reply(text + "\n"))
    assert {"7": (None, 0, "r")} == _queue.read_details(Reply("7|N/A|N/A|r\n"))


@pytest.mark.parametrize(
    ("word", "raw", "code", "signal", "reason"),
    [
        ("COMPLETED", 0, 0, None, None),
        ("COMPLETED", None, 0, None, None),
        ("FAILED", 1792, 7, None, None),
        ("FAILED", 35072, 137, None, None),
        ("FAILED", 65280, 255, None, None),
        ("FAILED", 9, None, 9, None),
        ("FAILED", 0, 0, None, None),
        ("FAILED", None, None, None, None),
        ("FAILED", 4021, None, None, Reason.LAUNCH_FAILED),
        ("TIMEOUT", 9, None, 9, Reason.WALL_TIME),
        ("TIMEOUT", 1280, 5, None, Reason.WALL_TIME),
        ("TIMEOUT", 0, None, None, Reason.WALL_TIME),
        ("OUT_OF_MEMORY", 125, None, None, Reason.OUT_OF_MEMORY),
        ("NODE_FAIL", 0, None, None, Reason.NODE_LOST),
        ("NODE_FAIL", 1 << 8, 1, None, Reason.NODE_LOST),
        ("CANCELLED", 15, None, 15, Reason.CANCELLED),
        ("CANCELLED by 1000", 0, None, None, Reason.CANCELLED),
        ("PREEMPTED", 15, None, 15, Reason.PREEMPTED),
        ("DEADLINE", 0, None, None, Reason.DEADLINE),
        ("BOOT_FAIL", 1 << 8, 1, None, Reason.NODE_LOST),
    ],
)
def test_ends(
    word: str, raw: int | None, code: int | None, signal: int | None, reason: Reason | None
) -> None:
    """Word and status together tell the end, and never an exit code that nobody told."""
    end = _queue.end_of(word, "why", raw, 5.0, "7")

    assert end is not None
    assert (code, signal, reason) == (end.exit_code, end.signal, end.reason)
    assert (Source.QUEUE, 5.0, "7") == (end.source, end.at, end.native_id)
    assert reason is None or "why" in end.message


@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_noise_makes_a_row_of_another_key(lines: list[str]) -> None:
    """Whatever stands between them, our rows are ours and whole."""
    ours = [line("8"), line("9_[0-3]", "PENDING", "Resources")]
    text = "\n".join([*lines, ours[0], *lines, ours[1], *lines, ""])

    found = [row for row in _queue.read_list(Reply(text)) if row.key == "KEY"]

    assert ["8", "9"] == [row.native_id for row in found]
