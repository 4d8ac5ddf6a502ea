"""Requests, many with one command; and what their answers are worth."""

import signal
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import pytest
from attrs import evolve
from slurm_speech import Reply, known, order, page, play

from drover.commandline import KILLER, Command, Known, Row
from drover.errors import UnreachableError
from drover.models import Order, OrderAnswer, Phase, Source, Verb, Verdict
from drover_slurm import _control

OUTAGES = page("outages")
CONTROL = page("control")
GOOD = Reply()
UNKNOWN = "Invalid job id specified for job {}\nslurm_suspend error: Invalid job id specified\n"
DENIED = "Access/permission denied for job 7\nslurm_suspend error: Access/permission denied\n"


def row(phase: Phase = Phase.RUNNING, word: str = "RUNNING", **more: bool) -> Row:
    return Row(native_id="", key="KEY", phase=phase, source=Source.QUEUE, word=word, **more)


def jobs(
    orders: Sequence[Order], sizes: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Known]:
    """Give the jobs that orders are about; of an array of so many where a size is said."""
    entries = [
        known(native_id, size=sizes.get(native_id.partition("_")[0], 1))
        for one in orders
        if (native_id := one.attempt.native_id)
    ]
    return {entry.token: entry for entry in entries}


def carry_out(
    orders: Sequence[Order],
    *replies: Reply | BaseException,
    rows: dict[str, Row | None] | None = None,
) -> tuple[dict[str, OrderAnswer], list[Command]]:
    """Carry orders out on jobs that run, where nothing else is said."""
    there: dict[str, Row | None] = {one.attempt.token: row() for one in orders}
    answers, asked = play(_control.talk(orders, jobs(orders), there | (rows or {}), 5.0), *replies)
    return {answer.token.removeprefix("token-"): answer for answer in answers}, asked


def controller(answer: Callable[[tuple[str, ...]], Reply], talk_orders: Sequence[Order]) -> int:
    """Count the commands of a talk with a controller that answers by itself."""
    there = {one.attempt.token: row() for one in talk_orders}
    talk = _control.talk(talk_orders, jobs(talk_orders), there, 5.0)
    count = 0
    try:
        command = next(talk)
        while True:
            count += 1
            command = talk.send(answer(command.argv))
    except StopIteration:
        return count


@pytest.mark.parametrize(
    ("verb", "phase", "words"),
    [
        (Verb.CANCEL, Phase.QUEUED, "scancel 7"),
        (Verb.CANCEL, Phase.RUNNING, "scancel 7"),
        (Verb.TERMINATE, Phase.QUEUED, "scancel 7"),
        (Verb.TERMINATE, Phase.RUNNING, "scancel --signal=15 --full 7"),
        (Verb.KILL, Phase.QUEUED, "scancel 7"),
        (Verb.KILL, Phase.RUNNING, f"scancel --signal={KILLER} --batch 7"),
        (Verb.KILL, Phase.SUSPENDED, "scancel 7"),
        (Verb.HOLD, Phase.QUEUED, "scontrol uhold 7"),
        (Verb.RELEASE, Phase.QUEUED, "scontrol release 7"),
        (Verb.SUSPEND, Phase.RUNNING, "scontrol suspend 7"),
        (Verb.RESUME, Phase.SUSPENDED, "scontrol resume 7"),
        (Verb.SIGNAL, Phase.RUNNING, "scancel --signal=10 --batch 7"),
    ],
)
def test_each_request_has_its_command(verb: Verb, phase: Phase, words: str) -> None:
    """The same word may need another command before and after the start."""
    number = signal.SIGUSR1 if verb is Verb.SIGNAL else None

    answers, asked = carry_out(
        [order("7", verb, signal=number)], GOOD, rows={"token-7": row(phase, phase.upper())}
    )

    assert [words] == [" ".join(command.argv) for command in asked]
    assert (Verdict.SIGNALLED if verb.ends_job else Verdict.DONE) is answers["7"].verdict


@pytest.mark.parametrize("verb", [Verb.TERMINATE, Verb.SIGNAL])
def test_what_the_wrapper_passes_on_goes_to_the_wrapper(verb: Verb) -> None:
    """Where it passes TERM on, a TERM to all processes would reach the command twice."""
    one = order("7", verb, signal=15) if verb is Verb.SIGNAL else order("7", verb)
    talk = _control.talk([one], jobs([one]), {one.attempt.token: row()}, 5.0, shared=())

    _, asked = play(talk, Reply())
    assert ["scancel --signal=15 --batch 7"] == [" ".join(command.argv) for command in asked]


def test_stopped_by_a_signal_it_is_resumed_by_one() -> None:
    """`scontrol resume` knows only what `scontrol suspend` did."""
    there: dict[str, Row | None] = {"token-7": row(Phase.SUSPENDED, "STOPPED")}

    _, asked = carry_out([order("7", Verb.RESUME)], GOOD, rows=there)

    assert ("scancel", f"--signal={int(signal.SIGCONT)}", "--full", "7") == asked[0].argv


def test_what_is_leaving_is_cancelled_once_more() -> None:
    """Its batch shell is gone: there is nobody left to pass a signal on."""
    there: dict[str, Row | None] = {"token-7": row(is_leaving=True)}

    _, asked = carry_out([order("7", Verb.KILL)], GOOD, rows=there)

    assert ("scancel", "7") == asked[0].argv


@pytest.mark.parametrize("gone", [None, row(Phase.ENDED, "COMPLETED")], ids=["unlisted", "ended"])
@pytest.mark.parametrize("verb", sorted(set(Verb) - {Verb.RETRY}))
def test_what_is_not_there_is_not_touched(verb: Verb, gone: Row | None) -> None:
    """Its id may have been handed out again: a stranger would be cancelled."""
    answers, asked = carry_out([order("7", verb)], rows={"token-7": gone})

    assert ([], Verdict.TOO_LATE) == (asked, answers["7"].verdict)


@pytest.mark.parametrize(
    ("verb", "phase"),
    [(Verb.HOLD, Phase.RUNNING), (Verb.RELEASE, Phase.RUNNING), (Verb.RETRY, Phase.QUEUED)],
)
def test_what_slurm_cannot_do_is_refused_here(verb: Verb, phase: Phase) -> None:
    """Slurm would hold a job that runs for its next life, which it may not have."""
    answers, asked = carry_out([order("7", verb)], rows={"token-7": row(phase)})

    assert ([], Verdict.REFUSED) == (asked, answers["7"].verdict)
    assert answers["7"].message


def test_ten_thousand_cancels_are_few_commands() -> None:
    """A storm of scancel is what brings a controller down."""
    orders = [order(str(number)) for number in range(10_000)]

    answers, asked = carry_out(orders, *[GOOD] * 10)

    assert 10 == len(asked)
    assert {Verdict.SIGNALLED} == {answer.verdict for answer in answers.values()}
    assert [str(number) for number in range(10_000)] == [
        word for command in asked for word in command.argv[1:]
    ]


def test_requests_of_one_kind_go_together() -> None:
    """One command holds all that are held, another cancels all that are cancelled."""
    orders = [
        *(order(str(number), Verb.HOLD) for number in range(3)),
        *(order(str(number)) for number in range(3, 6)),
    ]
    there: dict[str, Row | None] = {f"token-{n}": row(Phase.QUEUED) for n in range(3)}

    _, asked = carry_out(orders, GOOD, GOOD, rows=there)

    assert [("scontrol", "uhold", "0,1,2"), ("scancel", "3", "4", "5")] == [c.argv for c in asked]


def test_one_bad_id_among_a_thousand_costs_few_commands() -> None:
    """The exit code does not say which one it was; asking for each would be a storm."""
    orders = [order(str(number), Verb.SUSPEND) for number in range(1000)]

    def answer(argv: tuple[str, ...]) -> Reply:
        bad = "617" in argv[2].split(",")
        return Reply("", UNKNOWN.format(617), 1) if bad else GOOD

    count = controller(answer, orders)

    assert count <= 25


def test_a_bad_id_is_told_and_harms_no_other() -> None:
    """Each request has an answer of its own."""
    orders = [order(str(number), Verb.SUSPEND) for number in (7, 8, 9)]
    bad = Reply("", UNKNOWN.format(8), 1)

    answers, asked = carry_out(orders, bad, GOOD, bad, bad, GOOD)

    assert ["7,8,9", "7", "8,9", "8", "9"] == [command.argv[2] for command in asked]
    assert [Verdict.DONE, Verdict.TOO_LATE, Verdict.DONE] == [
        answers[native_id].verdict for native_id in "789"
    ]
    assert "Invalid job id" in answers["8"].message


def carry_out_on_arrays(
    elements: Sequence[str], *replies: Reply
) -> tuple[dict[str, OrderAnswer], list[str]]:
    """Cancel elements of arrays, which have 3 each."""
    orders = [order(native_id) for native_id in elements]
    there = {one.attempt.token: row() for one in orders}
    talk = _control.talk(orders, jobs(orders, {"7": 3, "8": 3}), there, 5.0)
    answers, asked = play(talk, *replies)
    return (
        {answer.token.removeprefix("token-"): answer for answer in answers},
        [" ".join(command.argv[1:]) for command in asked],
    )


def test_a_whole_array_is_named_by_its_own_id() -> None:
    """One word cancels 1,000 jobs, those that wait as one record included."""
    answers, asked = carry_out_on_arrays(["7_0", "7_1", "7_2", "8_0", "8_2"], GOOD)

    assert ["7 8_0 8_2"] == asked
    assert 5 == len(answers)


def test_an_array_that_is_refused_is_asked_for_by_its_elements() -> None:
    """One that has ended is no reason to leave the others alone."""
    bad = Reply("", "scancel: error: Invalid job id 7_1\n", 1)

    answers, asked = carry_out_on_arrays(["7_0", "7_1", "7_2"], bad, GOOD, bad, bad, GOOD)

    assert ["7", "7_0", "7_1 7_2", "7_1", "7_2"] == asked
    assert [Verdict.SIGNALLED, Verdict.TOO_LATE, Verdict.SIGNALLED] == [
        answers[f"7_{index}"].verdict for index in range(3)
    ]


@pytest.mark.parametrize(
    ("verb", "name", "verdict"),
    [
        (Verb.HOLD, "hold one that has ended", Verdict.TOO_LATE),
        (Verb.SUSPEND, "suspend one that waits", Verdict.REFUSED),
        (Verb.CANCEL, "cancel what is no id", Verdict.TOO_LATE),
        (Verb.CANCEL, "cancel one of many that is unknown", Verdict.SIGNALLED),
        (Verb.RELEASE, "release one that is held", Verdict.DONE),
        (Verb.SIGNAL, "signal", Verdict.DONE),
    ],
)
def test_real_answers(verb: Verb, name: str, verdict: Verdict) -> None:
    """The words are those of a real Slurm."""
    phase = Phase.QUEUED if verb in (Verb.HOLD, Verb.RELEASE) else Phase.RUNNING

    answers, _ = carry_out([order("7", verb)], CONTROL[name], rows={"token-7": row(phase)})

    assert verdict is answers["7"].verdict


def test_suspend_without_being_operator_stops_the_processes() -> None:
    """Operators alone may suspend; anybody may stop what is his own."""
    orders = [order(str(number), Verb.SUSPEND) for number in (7, 8)]

    answers, asked = carry_out(orders, Reply("", DENIED, 1), GOOD)

    stop = ("scancel", f"--signal={int(signal.SIGSTOP)}", "--full", "7", "8")
    assert [("scontrol", "suspend", "7,8"), stop] == [command.argv for command in asked]
    assert {Verdict.DONE} == {answer.verdict for answer in answers.values()}


@pytest.mark.parametrize("verb", [Verb.HOLD, Verb.RESUME, Verb.CANCEL])
def test_what_is_not_ours_to_do_is_refused(verb: Verb) -> None:
    """An administrator's hold is not the user's to lift, and is not tried again."""
    phase = Phase.QUEUED if verb is Verb.HOLD else Phase.SUSPENDED

    answers, _ = carry_out(
        [order("7", verb)], Reply("", DENIED, 1), rows={"token-7": row(phase, phase.upper())}
    )

    assert Verdict.REFUSED is answers["7"].verdict
    assert "permission denied" in answers["7"].message


@pytest.mark.parametrize("command", ["scancel", "scontrol"])
@pytest.mark.parametrize("daemon", ["slurmctld is down", "slurmctld hangs"])
def test_a_request_that_nobody_heard_has_no_answer(command: str, daemon: str) -> None:
    """A controller that is away has refused nothing: it is asked again, once and not for each."""
    verb = Verb.CANCEL if command == "scancel" else Verb.SUSPEND
    orders = [order(str(number), verb) for number in range(500)]

    answers, asked = carry_out(orders, OUTAGES[f"{daemon}: {command}"])

    assert ({}, 1) == (answers, len(asked))


def test_a_command_that_cannot_be_executed_costs_no_other_its_answer() -> None:
    """What was carried out before was carried out, and must not be asked for again."""
    orders = [order("7", Verb.SIGNAL, signal=10), order("8")]

    answers, asked = carry_out(orders, GOOD, UnreachableError("scancel", "no answer within 5 s"))

    assert (["7"], 2) == (list(answers), len(asked))


def test_what_is_asked_twice_of_half_an_array_harms_no_other_half() -> None:
    """Two cancels of one element were as many as the array has, and it was cancelled as a whole."""
    first = order("7_0")
    again = evolve(first, request=evolve(first.request, id="again"))

    entries = {entry.token: entry for entry in (known("7_0", size=2), known("7_1", size=2))}
    talk = _control.talk([first, again], entries, {first.attempt.token: row()}, 5.0)

    answers, asked = play(talk, GOOD)
    assert [("scancel", "7_0", "7_0")] == [command.argv for command in asked]
    assert {first.request.id, "again"} == {answer.request_id for answer in answers}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGABRT, "scancel --signal=6 --batch 7"),
        (signal.SIGRTMIN + 3, f"scancel --signal={signal.SIGRTMIN + 3} --batch 7"),
        (signal.SIGKILL, f"scancel --signal={KILLER} --batch 7"),
        (signal.SIGTSTP, "scancel --signal=20 --full 7"),
        (signal.SIGWINCH, "scancel --signal=28 --full 7"),
        (signal.SIGALRM, None),
        (signal.SIGSEGV, None),
        (KILLER, None),
    ],
)
def test_a_signal_ends_no_wrapper(number: int, words: str | None) -> None:
    """With it went the record of the end, and a command that may have waited for the signal."""
    one = order("7", Verb.SIGNAL, signal=int(number))
    answers, asked = carry_out([one], *([] if words is None else [GOOD]))

    assert ([] if words is None else [words]) == [" ".join(command.argv) for command in asked]
    assert (Verdict.REFUSED if words is None else Verdict.DONE) is answers["7"].verdict


@pytest.mark.parametrize(
    ("grace_s", "phase", "words"),
    [
        (60.0, Phase.RUNNING, "scancel --signal=15 --full 7"),
        (30.0, Phase.RUNNING, "scancel 7"),
        (None, Phase.RUNNING, "scancel 7"),
        (60.0, Phase.QUEUED, "scancel 7"),
    ],
)
def test_a_grace_that_slurm_would_cut_short_is_kept_by_the_wrapper(
    grace_s: float | None, phase: Phase, words: str
) -> None:
    """Slurm kills when its own is over, and the wrapper with it."""
    one = order("7", grace_s=grace_s)
    there: dict[str, Row | None] = {"token-7": row(phase, phase.upper())}
    _, asked = play(_control.talk([one], jobs([one]), there, 5.0, kill_wait_s=30.0), GOOD)

    assert [words] == [" ".join(command.argv) for command in asked]
