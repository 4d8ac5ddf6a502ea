"""Ends that the library's session tells: which are asked for, how long, and what is believed."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from drover.errors import UnreachableError
from drover.models import EndReport, Observation, Phase, Reason, Source
from drover_drmaa import _ends
from drover_drmaa._ends import Ends

NOT_YET = {"error": "ExitTimeoutException", "code": 23, "text": "time-out condition"}
UNKNOWN = {"error": "InvalidJobException", "code": 18, "text": "none"}
NO_USAGE = {"error": "Exception", "code": 24, "text": "no usage information"}
USAGE = {"ru_utime": "1.5000", "ru_stime": "0.2500", "ru_maxrss": "2048.0000",
         "ru_wallclock": "3.0000", "end_time": "1000.0000"}  # fmt: skip


def exited(code: int, **more: Any) -> Mapping[str, Any]:
    """Give what the worker says of a job that exited."""
    return {"exited": True, "code": code, "signalled": False, "signal": "", "core": False,
            "aborted": False, "usage": USAGE, **more}  # fmt: skip


def recorded(native_id: str = "7", **end: Any) -> Observation:
    """Give an end as a wrapper records it."""
    given: dict[str, Any] = {"source": Source.EXIT_RECORD, "at": 900.0, "exit_code": 3, **end}
    return Observation(
        token=f"token-{native_id}", phase=Phase.ENDED, source=given["source"], at=901.0,
        native_id=native_id, restart=2, end=EndReport(**given),
    )  # fmt: skip


class Library:
    """Answers as it is told, and counts who asks."""

    def __init__(self, *answers: Mapping[str, Any] | UnreachableError) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[str]] = []
        self.reported: list[Observation] = []
        self.ends = Ends(self.ask, self.reported.extend)

    def ask(self, ids: Sequence[str]) -> Mapping[str, Any]:
        self.asked.append(ids)
        answer = self.answers.pop(0)
        if isinstance(answer, UnreachableError):
            raise answer
        return answer


def test_an_end_is_asked_for_until_it_is_told() -> None:
    """The node tells it up to a second after the wrapper."""
    library = Library({"7": NOT_YET}, {"7": exited(3)})
    library.ends.note([recorded()])
    for _ in range(3):
        library.ends.look()

    assert [["7"], ["7"]] == library.asked
    (row,) = library.reported
    assert row.end is not None
    assert row.end.usage is not None
    assert ("token-7", Phase.ENDED, 2, Source.QUEUE, 3, 1000.0) == (
        row.token, row.phase, row.restart, row.end.source, row.end.exit_code, row.end.at,
    )  # fmt: skip
    usage = row.end.usage
    assert (1.5, 0.25, 2048 * 1024, 3.0) == (
        usage.cpu_user_s, usage.cpu_system_s, usage.max_rss_bytes, usage.wall_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        recorded(exit_code=None, signal=9),
        recorded(reason=Reason.LAUNCH_FAILED),
        recorded(source=Source.ACCOUNTING),
        Observation(token="t", phase=Phase.RUNNING, source=Source.EXIT_RECORD, at=1.0),
    ],
    ids=["a signal", "a reason", "no record", "no end"],
)
def test_of_other_ends_accounting_tells_more(row: Observation) -> None:
    """A job over its limit was killed, says the library; over which, accounting does."""
    library = Library()
    library.ends.note([row])
    library.ends.look()

    assert ([], []) == (library.asked, library.reported)


@pytest.mark.parametrize(
    "answer",
    [UNKNOWN, NO_USAGE, exited(0, exited=False, signalled=True, signal="SIGKILL"),
     exited(0, aborted=True), {}],
    ids=["unknown", "no usage", "killed", "aborted", "nothing"],
)  # fmt: skip
def test_what_is_no_plain_end_is_left_to_the_looks(answer: Mapping[str, Any]) -> None:
    """What the library does not know it must not decide."""
    library = Library({"7": answer})
    library.ends.note([recorded()])
    for _ in range(2):
        library.ends.look()

    assert ([["7"]], []) == (library.asked, library.reported)


def test_a_worker_that_does_not_answer_is_not_asked_for_ever() -> None:
    """It may have died of this very question."""
    library = Library(UnreachableError("drmaa", "dead"), {"8": exited(3)})
    library.ends.note([recorded("7")])
    library.ends.look()
    library.ends.note([recorded("8")])
    library.ends.look()

    assert [["7"], ["8"]] == library.asked
    assert ["token-8"] == [row.token for row in library.reported]


def test_an_end_that_is_not_told_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of qmaster an end may come ten minutes late."""
    monkeypatch.setattr(_ends, "PATIENCE_S", 0.0)
    library = Library({"7": NOT_YET})
    library.ends.note([recorded()])
    for _ in range(2):
        library.ends.look()

    assert ([["7"]], []) == (library.asked, library.reported)
