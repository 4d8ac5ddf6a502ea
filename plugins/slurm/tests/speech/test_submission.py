"""What sbatch answers: accepted, refused, or nobody knows."""

from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from slurm_speech import Reply, page, spec

from drover.commandline import Batch
from drover.models import Answer, Attempt
from drover_slurm import _submitting

SAID = page("submission")
OUTAGES = page("outages")
PREFIX = "sbatch: error: Batch job submission failed: "
REFUSED = (
    "no such partition", "no such account", "no such qos", "no such feature", "no such gres",
    "no such licence", "no such reservation", "no such node", "no such option", "a bad value",
    "an array beyond the limit", "no script",
)  # fmt: skip
IN_DOUBT = (
    "Socket timed out on send/recv operation",
    "Unable to contact slurm controller (send failure)",
    "Unable to contact slurm controller (receive failure)",
    "Unable to contact slurm controller (shutdown failure)",
    "Zero Bytes were transmitted or received",
    "Unexpected message received",
    "Communication connection failure",
    "Connection reset by peer",
    "Connection timed out",
    "No error",
    "Unspecified error",
    "Slurm backup controller in standby mode",
    "Interrupted system call",
    "Something that a later Slurm says in its own words",
)
"""Source: slurm_errno.c, 22.05 to 24.11."""
LIMITS = (
    "Resource temporarily unavailable",
    "AssocMaxSubmitJobLimit",
    "Slurm temporarily unable to accept job, sleeping and retrying",
    "Rate limit exceeded, please retry momentarily",
)


def read(stderr: str = "", stdout: str = "", code: int = 1) -> _submitting.Submission:
    return _submitting.read(Reply(stdout, stderr, code))


@pytest.mark.parametrize("name", [name for name in SAID if name.startswith("accepted")])
def test_an_id_is_an_acceptance(name: str) -> None:
    """Where sbatch prints an id, there is a job."""
    reply = SAID[name]

    told = _submitting.read(reply)

    expected = Answer.ACCEPTED if reply.returncode == 0 else Answer.REFUSED
    assert (expected, reply.stdout.strip() or None) == (told.answer, told.native_id)


@pytest.mark.parametrize(
    "stdout", ["7\n", "7", "7;cluster\n", "  7 \n", "Welcome to node 3!\n7\n", "7\nHave fun.\n"]
)
@pytest.mark.parametrize("code", [0, 1])
def test_an_id_counts_among_noise_and_with_any_exit_code(stdout: str, code: int) -> None:
    """A banner, or a plug-in that fails behind it, does not take a job back."""
    told = read("sbatch: lua: a word of welcome", stdout, code)

    assert (Answer.ACCEPTED, "7") == (told.answer, told.native_id)


@pytest.mark.parametrize(
    "stdout", ["", "\n", "x", "You have 7", "7\n8\n", "7 8", "-7", "7;a b", "\uff17"]
)
def test_what_is_no_id_is_not_taken_for_one(stdout: str) -> None:
    """A number in a sentence is no job: we would wait for somebody else's."""
    assert Answer.UNKNOWN is read(stdout=stdout, code=0).answer


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_for_good_and_says_why(name: str) -> None:
    """What can never be accepted must not be handed over again and again."""
    told = _submitting.read(SAID[name])

    assert (Answer.REFUSED, False) == (told.answer, told.retryable)
    assert not told.message.startswith("sbatch")
    assert len(told.message) > 10


@pytest.mark.parametrize("words", IN_DOUBT)
def test_what_may_have_been_heard_is_in_doubt(words: str) -> None:
    """A controller that hangs accepts when it wakes: submitted again, the job would run twice."""
    told = read(f"sbatch: error: Batch job submission failed: {words}\n")
    silent = read(f"sbatch: {words}\n")

    expected = Answer.REFUSED if words.startswith("Something") else Answer.UNKNOWN
    assert (expected, Answer.UNKNOWN) == (told.answer, silent.answer)


def test_a_real_controller_that_hangs_leaves_a_doubt() -> None:
    """The words above are those of a real one."""
    assert Answer.UNKNOWN is _submitting.read(OUTAGES["slurmctld hangs: sbatch"]).answer


@pytest.mark.parametrize("daemon", ["slurmctld", "munged"])
def test_what_was_never_heard_may_be_said_again(daemon: str) -> None:
    """Nobody has taken the job, and it is not the job's fault."""
    told = _submitting.read(OUTAGES[f"{daemon} is down: sbatch"])

    assert (Answer.REFUSED, True) == (told.answer, told.retryable)


@pytest.mark.parametrize("words", LIMITS)
def test_a_limit_passes(words: str) -> None:
    """A full queue is not the job's fault: it is handed over later."""
    told = read(PREFIX + words)

    assert (Answer.REFUSED, True) == (told.answer, told.retryable)


def test_a_predecessor_that_was_forgotten_is_found_out() -> None:
    """Slurm forgets jobs that have ended; ours are known, and the job is handed over again."""
    told = _submitting.read(SAID["a dependency on nothing"])

    assert (Answer.REFUSED, True) == (told.answer, told.retryable)


def test_a_real_limit_passes() -> None:
    """The words above are those of a real one."""
    told = _submitting.read(SAID["too many jobs"])

    assert (Answer.REFUSED, True) == (told.answer, told.retryable)


@pytest.mark.parametrize("code", [-9, -15, 0])
@pytest.mark.parametrize("stderr", ["", PREFIX + "Invalid partition name specified"])
def test_an_sbatch_that_was_killed_leaves_a_doubt(code: int, stderr: str) -> None:
    """It may have been killed after the controller took the job."""
    assert Answer.UNKNOWN is read(stderr, code=code).answer


WORDS = st.sampled_from((
    "7", "8;c", "sbatch:", "error:", PREFIX, "Invalid partition name specified", "limit",
    'Try "sbatch --help"', "temporarily", "Job", "violates", "0", "x", *IN_DOUBT, *LIMITS,
))  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=6).map(" ".join),
    st.lists(WORDS, max_size=6).map("\n".join),
)


@given(TEXT, TEXT, st.integers(-15, 255))
def test_nothing_is_accepted_or_refused_for_good_that_does_not_say_so(
    stdout: str, stderr: str, code: int
) -> None:
    """Whatever a site's sbatch says: a guess would lose a job, or run it twice."""
    told = read(stderr, stdout, code)

    if told.answer is Answer.ACCEPTED:
        assert told.native_id is not None
        assert told.native_id in [line.strip().partition(";")[0] for line in stdout.splitlines()]
    elif told.answer is Answer.REFUSED:
        assert code > 0
        assert told.message
        assert told.retryable or "error" in stderr.lower() or "--help" in stderr
        assert not any(words in stderr for words in IN_DOUBT[:-1])


BATCH = Batch(
    key="store-job-1", spec=spec(), label="train", tokens=("a",), tasks=Path("/t"),
    log=Path("/home/x.log"), attempt=Attempt(job_id="j", number=1, token="a", spec=spec()),
)  # fmt: skip


def test_the_key_stands_in_name_and_comment() -> None:
    """By the comment it is found in the queue, by the name in accounting."""
    command = _submitting.command((), spec(), BATCH, b"script", 40.0)

    assert {"--job-name=train@store-job-1", "--comment=store-job-1"} <= set(command.argv)
    assert (b"script", 40.0) == (command.input, command.timeout_s)
    assert not [word for word in command.argv if word.startswith("--array")]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/home/%u/x.log", "/home/%%u/x.log"),
        ("/home/a\\b/x.log", "/home/a\\\\b/x.log"),
        # A backslash anywhere turns all replacements off: tried with Slurm 22.05.
        ("/home/%u/a\\b/x.log", "/home/%u/a\\\\b/x.log"),
    ],
)
def test_a_path_stands_for_itself(path: str, written: str) -> None:
    """Otherwise sbatch would put the user's name for %u, and write elsewhere."""
    batch = evolve(BATCH, log=Path(path))

    command = _submitting.command((), spec(cwd="/w%u"), batch, b"", 1.0)

    assert f"--output={written}" in command.argv
    assert "--chdir=/w%u" in command.argv


def test_several_jobs_are_one_array() -> None:
    """An array counts from 0, whatever the indices of the jobs are."""
    batch = evolve(BATCH, tokens=("a", "b", "c"))

    assert "--array=0-2" in _submitting.command((), spec(), batch, b"", 1.0).argv


@given(st.text(max_size=300), st.from_regex(r"[\w.-]{1,40}", fullmatch=True))
@example("\u4e2d" * 200, "KEY")
def test_a_name_is_one_plain_word_for_slurm(label: str, key: str) -> None:
    """A name is printed raw: a bar or a line break in it would make rows of its own."""
    name = _submitting.job_name(label, key)

    assert name.rpartition("@")[2] == key
    assert name.isprintable()
    assert "|" not in name
    # Accounting keeps 255 bytes, and the key is the end.
    assert len(name.encode()) <= _submitting.NAME_LENGTH + 1 + len(key)
