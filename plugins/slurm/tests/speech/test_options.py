"""What a specification asks for, in sbatch's words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slurm_speech import spec

from drover.models import RESOURCE_FIELDS, Condition, Predecessor, Resources
from drover_slurm import _options
from drover_slurm._options import COUNT, FLAG, LIST, NATIVE, OURS, TEXT

PLAIN = ("--ntasks=1", "--cpus-per-task=1", "--no-requeue")
RESOURCES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "tasks": ({"tasks": 3}, ("--ntasks=3",)),
    "cpus": ({"cpus": 4}, ("--cpus-per-task=4",)),
    "gpus": ({"gpus": 2}, ("--gres=gpu:2",)),
    "memory": ({"memory": "1500MiB"}, ("--mem=1536000K",)),
    "disk": ({"disk": 1025}, ("--tmp=2K",)),
    "nodes": ({"nodes": 2, "tasks": 2}, ("--nodes=2", "--ntasks=2")),
    "wall_time": ({"wall_time": 90061.5}, ("--time=1-01:01:02",)),
    "exclusive": ({"exclusive": True}, ("--exclusive",)),
    "queue": ({"queue": "short,batch"}, ("--partition=short,batch",)),
    "account": ({"account": "lab"}, ("--account=lab",)),
    "reservation": ({"reservation": "course"}, ("--reservation=course",)),
    "priority": ({"priority": -5}, ("--nice=5",)),
}


def options(native: Any = None, **fields: Any) -> tuple[str, ...]:
    return _options.options("slurm", spec(native={"slurm": native or {}}, **fields))


def test_a_plain_job_asks_for_one_cpu() -> None:
    """Slurm's defaults differ from site to site; a job must not."""
    assert PLAIN == options()


@pytest.mark.parametrize("field", RESOURCE_FIELDS)
def test_every_resource_is_asked_for(field: str) -> None:
    """A resource that is set and not asked for is ignored in silence."""
    fields, words = RESOURCES[field]

    given_words = options(resources=Resources(**fields))

    assert set(words) <= set(given_words)
    assert set(PLAIN).difference(given_words) == {
        word for word in PLAIN if word.partition("=")[0] in {w.partition("=")[0] for w in words}
    } - set(words)


def test_several_nodes_and_one_task_are_left_to_slurm() -> None:
    """`--ntasks=1` with two nodes would be taken back to one."""
    words = options(resources=Resources(nodes=2))

    assert "--nodes=2" in words
    assert not [word for word in words if word.startswith("--ntasks")]


@pytest.mark.parametrize(
    ("resources", "native", "words"),
    [
        ({"gpus": 2}, {}, ["--gres=gpu:2"]),
        ({"gpus": 2, "tasks": 2}, {}, ["--gpus-per-task=2"]),
        ({"gpus": 2, "nodes": 2}, {}, ["--gpus-per-task=2"]),
        ({"gpus": 2}, {"gres": "gpu:a100:2"}, ["--gres=gpu:a100:2"]),
        ({"gpus": 2}, {"gres": "lustre:1"}, ["--gres=gpu:2,lustre:1"]),
        ({"gpus": 2, "tasks": 2}, {"gres": "lustre:1"}, ["--gpus-per-task=2", "--gres=lustre:1"]),
        ({}, {"gres": "lustre:1"}, ["--gres=lustre:1"]),
        ({"gpus": 2, "tasks": 2}, {"gres": "gpu:2"}, ["--gres=gpu:2"]),
    ],
)
def test_gpus_and_other_generic_resources(
    resources: dict[str, Any], native: dict[str, Any], words: list[str]
) -> None:
    """Of two `--gres` sbatch takes the last: a licence must not cost the GPUs."""
    given_words = options(native, resources=Resources(**resources))

    assert words == [word for word in given_words if word.startswith(("--g",))]


def test_requeue_is_off_unless_asked_for() -> None:
    """A site's JobRequeue=1 would run a command twice that nobody allowed to."""
    assert "--no-requeue" in options()
    assert "--requeue" in options(requeue=True)
    assert "--no-requeue" not in options(requeue=True)


@pytest.mark.parametrize("option", sorted(set(NATIVE) - {"options", "dependencies", "signal"}))
def test_every_native_option_is_passed_on(option: str) -> None:
    """An option of the table that reaches nobody is a promise that nobody keeps."""
    kind = NATIVE[option]
    value: Any = {TEXT: "a b'c", COUNT: 3, FLAG: True}[kind]
    flag = "--" + option.replace("_", "-")

    assert "" == _options.native_problem("slurm", {option: value})
    assert (flag if kind == FLAG else f"{flag}={value}") in options({option: value})


def test_a_flag_that_is_off_says_nothing() -> None:
    """`--contiguous=false` is no word of sbatch's."""
    assert PLAIN == options({"contiguous": False, "hold": False})


@pytest.mark.parametrize("kind", [TEXT, COUNT, FLAG, LIST])
@pytest.mark.parametrize("value", [None, 1.5, [1], {}, "", "text", 3, True, ["--mem=1"]], ids=str)
def test_a_value_of_another_kind_is_refused(kind: str, value: object) -> None:
    """What sbatch would read in its own way must not reach it."""
    fits = {
        TEXT: value == "text",
        COUNT: value == 3,
        FLAG: value is True,
        LIST: value == ["--mem=1"],
    }
    option = next(name for name, its in NATIVE.items() if its == kind)

    why = _options.native_problem("slurm", {option: value})

    assert fits[kind] is (why == "")
    assert fits[kind] or option in why


def test_an_unknown_option_is_named() -> None:
    """A misspelt option that is dropped runs the job with another meaning."""
    assert "'partitoin'" in _options.native_problem("slurm", {"partitoin": "short"})


@pytest.mark.parametrize("letter", ["\0", "\n", "\r"])
@pytest.mark.parametrize("option", ["constraint", "options"])
def test_an_option_is_one_line(option: str, letter: str) -> None:
    """A line break in an option could end a line of somebody's log or listing."""
    value = f"a{letter}b" if option == "constraint" else [f"--constraint=a{letter}b"]

    assert "one line" in _options.native_problem("slurm", {option: value})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("USR1", "B:USR1"),
        ("USR1@60", "B:USR1@60"),
        ("B:USR2@300", "B:USR2@300"),
        ("R:10@5", "R:10@5"),
        ("BR:HUP", "BR:HUP"),
        ("SIGUSR1@60", "B:SIGUSR1@60"),
        ("INT+5", "B:INT+5"),
    ],
)
def test_a_warning_goes_to_the_wrapper(text: str, word: str) -> None:
    """Without B: Slurm signals the steps alone, of which a plain command is none."""
    assert "" == _options.native_problem("slurm", {"signal": text})
    assert f"--signal={word}" in options({"signal": text})


@pytest.mark.parametrize(
    "text", ["", "@60", "usr1", "USR1@", "USR1@x", "X:USR1", "USR1 @60", "BRB:USR1"]
)
def test_a_signal_that_cannot_be_read_is_refused(text: str) -> None:
    """Otherwise sbatch refuses it, long after the submission to us."""
    assert "signal" in _options.native_problem("slurm", {"signal": text})


@pytest.mark.parametrize("text", ["TERM@60", "SIGTERM", "15@60", "KILL", "B:9@5", "B:SIGKILL"])
def test_a_warning_that_looks_like_the_end_is_refused(text: str) -> None:
    """TERM and KILL are what Slurm sends to end a job; nobody could tell them apart."""
    assert "by itself" in _options.native_problem("slurm", {"signal": text})


@pytest.mark.parametrize("name", sorted(OURS))
@pytest.mark.parametrize("beside", [{}, {"signal": "USR1@60"}], ids=["alone", "with a signal"])
def test_what_drover_rests_on_is_not_the_users(name: str, beside: dict[str, str]) -> None:
    """A second name, comment or output would hide the job from us, or its claim."""
    for word in (f"--{name}", f"--{name}=x"):
        assert name in _options.native_problem("slurm", {"options": [word], **beside})


@pytest.mark.parametrize("word", ["--outp=x", "--job-n=x", "--comm=x", "--wra=x", "--arr=0-3"])
def test_what_sbatch_takes_for_an_option_of_ours_is_refused(word: str) -> None:
    """getopt_long(3) takes any beginning that fits one name alone."""
    assert "is given by drover" in _options.native_problem("slurm", {"options": [word]})


@pytest.mark.parametrize("word", ["", "x", "-p", "--", "---x", "-", "--=x", "--9", "script.sh"])
def test_a_raw_word_is_a_long_option(word: str) -> None:
    """A word without dashes would be the script."""
    assert "begins with --" in _options.native_problem("slurm", {"options": [word]})


def test_slurm_waits_for_others_and_gives_up_what_cannot_run() -> None:
    """Without --kill-on-invalid-dep a job whose predecessor failed waits for ever."""
    others = [
        Predecessor(job="j", token="t", native_id=native_id, condition=condition)
        for native_id, condition in (
            ("7", Condition.SUCCEEDED),
            ("8_1", Condition.FAILED),
            ("9", Condition.ENDED),
        )
    ]

    words = ["--dependency=afterok:7,afternotok:8_1,afterany:9", "--kill-on-invalid-dep=yes"]
    assert words == _options.dependencies(others)
    assert [] == _options.dependencies([])


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        (Condition.SUCCEEDED, "afterok"),
        (Condition.FAILED, "afterany"),
        (Condition.ENDED, "afterany"),
    ],
)
def test_slurm_waits_for_whole_arrays(condition: Condition, kind: str) -> None:
    """One element that failed is a failure of the array: afternotok wants one in each part."""
    whole = Predecessor(job="a", token="", native_id="", condition=condition, native_ids=("7", "8"))

    words = [f"--dependency={kind}:7:8", "--kill-on-invalid-dep=yes"]
    assert words == _options.dependencies([whole])


def test_raw_words_come_last_as_they_are() -> None:
    """Of two that contradict each other sbatch takes the later: the user's."""
    words = ["--constraint=odd", "--comment-of-mine=a b", "--mem=3G"]

    assert "" == _options.native_problem("slurm", {"options": words[::2]})
    assert (*PLAIN, *words[::2]) == options({"options": words[::2]})


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("-p long", "--partition=long"),
        ("-plong -t60", "--partition=long --time=60"),
        ("-t 1:00:00 -N 1 -n 4 -c 2", "--time=1:00:00 --nodes=1 --ntasks=4 --cpus-per-task=2"),
        ("--mem 3G --mem-per-cpu 1G", "--mem=3G --mem-per-cpu=1G"),
        ("--mem=3G --exclusive -H", "--mem=3G --exclusive --hold"),
        ("-k -O -s", "--no-kill --overcommit --oversubscribe"),
    ],
)
def test_words_may_be_written_as_people_type_them(text: str, long: str) -> None:
    """Programs that submit by DRMAA have them so in their native specifications."""
    words = text.split()

    assert "" == _options.native_problem("slurm", {"options": words})
    assert (*PLAIN, *long.split()) == options({"options": words})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-J mine", "--job-name is given by drover"),
        ("-o out", "--output is given"),
        ("-d afterok:7", "--dependency is given"),
        ("-a0-3", "--array is given"),
        ("-W", "--wait is given"),
        ("-p", "begins with --"),
        ("-p -H", "begins with --, not '-p'"),
        ("-Z3", "begins with --"),
        ("-Z 3", "begins with --"),
        ("-Hx", "begins with --"),
        ("--exclusive script.sh", "begins with --, not 'script.sh'"),
        ("-p long script.sh", "begins with --, not 'script.sh'"),
        ("-H script.sh", "begins with --, not 'script.sh'"),
    ],
)
def test_words_that_are_no_options_are_refused_in_short_as_well(text: str, why: str) -> None:
    """A word that is left over would be the script."""
    assert why in _options.native_problem("slurm", {"options": text.split()})


def test_options_of_another_backend_are_nothing_to_us() -> None:
    """One specification may hold options for several clusters."""
    ours = spec(native={"slurm": {"qos": "few"}, "other": {"qos": "many"}})

    assert (*PLAIN, "--qos=few") == _options.options("slurm", ours)
    assert (*PLAIN, "--qos=many") == _options.options("other", ours)


@given(st.floats(0.001, 10**8))
def test_a_wall_time_is_never_shortened(seconds: float) -> None:
    """A job must not be ended before its time because of how it was written."""
    days, _, rest = _options.clock(seconds).partition("-")
    hours, minutes, rest = rest.split(":")
    total = int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(rest)

    assert seconds <= total < seconds + 1
    assert (int(hours) < 24, int(minutes) < 60, int(rest) < 60) == (True, True, True)


@given(st.integers(1, 2**50))
def test_memory_is_never_less_than_asked_for(size: int) -> None:
    """Rounding down would kill a job that keeps to what it asked for."""
    (word,) = (w for w in options(resources=Resources(memory=size)) if w.startswith("--mem="))
    kib = int(word.removeprefix("--mem=").removesuffix("K"))

    assert size <= kib * 1024 < size + 1024
