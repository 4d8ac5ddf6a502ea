"""Requests that are carried out at the cloud, without one: what is asked of whom, and when."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from drover.errors import UnreachableError
from drover.models import Attempt, JobSpec, Order, OrderAnswer, Request, Verb, Verdict
from drover_qarnot._book import Book
from drover_qarnot._cloud import RefusedError
from drover_qarnot._control import ABORT_MARGIN_S, Control

REPLY: dict[str, Any] = json.loads((Path(__file__).parent / "replies/task.json").read_text())
UUID: str = REPLY["uuid"]
AT = 1000.0
GRACE_S = 5.0


class Scene:
    """A task of two instances, and what was asked of the cloud about it."""

    def __init__(self, folder: Path) -> None:
        self.book = Book(folder / "book")
        self.book.begin("batch", {"results": "out"}, {"t0": 0, "t1": 1})
        self.book.will_post("batch")
        self.book.accepted("batch", UUID)
        self.put: dict[str, Any] = {}
        self.calls: list[str] = []
        self.closed: list[str] = []
        self.away = False
        self.deaf = False
        self.show("FullyExecuting", {0: "execution", 1: "execution"})
        cloud: Any = SimpleNamespace(
            task=self._task, ask=lambda call: call(None), put=self._keep, make_bucket=str
        )
        handing: Any = SimpleNamespace(mark_closed=lambda member: self.closed.append(member.token))
        self.control = Control("store", cloud, self.book, handing, GRACE_S)

    def show(self, state: str, phases: dict[int, str]) -> None:
        """Say how the cloud shows the task."""
        from qarnot.task import Task

        running = [{"instanceId": number, "phase": phase} for number, phase in phases.items()]
        status = {
            "executionTimeByCpuModel": [], "executionTimeGhzByCpuModel": [],
            "runningInstancesInfo": {"perRunningInstanceInfo": running},
        }  # fmt: skip
        self.task: Any = Task.from_json(None, {**REPLY, "state": state, "status": status})
        self.task.auto_update = False
        self.task.abort = lambda: self.calls.append("abort")
        self.task.update_resources = self._update_resources

    def _task(self, _name: str) -> Any:
        if self.away:
            raise UnreachableError("Qarnot", "it is gone")
        return self.task

    def _keep(self, _bucket: str, key: str, content: bytes) -> None:
        self.put[key.rpartition("/")[2]] = json.loads(content)

    def _update_resources(self) -> None:
        self.calls.append("update")
        if self.deaf:
            raise RefusedError("it is full")

    def obey(self, *asked: tuple[int, Request], native_id: str = "") -> list[OrderAnswer]:
        orders = [
            Order(
                attempt=Attempt(
                    job_id="j", number=1, token=f"t{number}", spec=JobSpec(argv=["true"]),
                    native_id=native_id or f"{UUID}.{number}",
                ),
                request=request,
            )
            for number, request in asked
        ]  # fmt: skip
        return self.control.obey(orders, AT)

    def is_aborted(self, at: float) -> bool:
        """Look at what is due at a time; tell whether the task was aborted."""
        self.calls.clear()
        members = list(self.book.members(["t0", "t1"]).values())
        self.control.abort_if_due(members, {"batch": self.task}, at)
        return "abort" in self.calls


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def request(verb: Verb, **fields: Any) -> Request:
    return Request(id=f"{verb.value}-1", verb=verb, by="me", at=AT, **fields)


def verdicts(answers: Sequence[OrderAnswer]) -> list[Verdict]:
    return [answer.verdict for answer in answers]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(Verb.CANCEL), {"signal": 15, "why": "cancel", "grace_s": GRACE_S, "ends": True}),
        (request(Verb.CANCEL, grace_s=1.5),
         {"signal": 15, "why": "cancel", "grace_s": 1.5, "ends": True}),
        (request(Verb.TERMINATE), {"signal": 15, "why": "signal", "ends": True}),
        (request(Verb.KILL), {"signal": 9, "why": "signal", "ends": True}),
        (request(Verb.SUSPEND), {"signal": 19, "why": "suspend"}),
        (request(Verb.RESUME), {"signal": 18, "why": "resume"}),
        (request(Verb.SIGNAL, signal=10), {"signal": 10, "why": "signal"}),
    ],
    ids=lambda value: value.verb.value if isinstance(value, Request) else "",
)  # fmt: skip
def test_a_request_lies_where_the_instance_looks(
    scene: Scene, asked: Request, expected: dict[str, Any]
) -> None:
    """The runner is told a signal and why, and is brought the file at once."""
    answers = scene.obey((1, asked))

    assert [Verdict.SIGNALLED] == verdicts(answers)
    assert {"requests.1": [{"id": asked.id, **expected}]} == scene.put
    assert ["update"] == scene.calls


def test_requests_for_one_task_are_brought_together(scene: Scene) -> None:
    """A thousand instances that are cancelled are one update, and none is aborted for that."""
    answers = scene.obey((0, request(Verb.CANCEL)), (1, request(Verb.CANCEL)))

    assert [Verdict.SIGNALLED] * 2 == verdicts(answers)
    assert {"requests.0", "requests.1"} == set(scene.put)
    assert ["update"] == scene.calls


def test_an_update_that_is_refused_is_not_the_request_s_end(scene: Scene) -> None:
    """The request lies there, and the abort comes when it is due."""
    scene.deaf = True

    assert [Verdict.SIGNALLED] == verdicts(scene.obey((0, request(Verb.CANCEL))))


@pytest.mark.parametrize("number", [0, 65, 1000])
def test_a_signal_that_there_is_not_is_refused(scene: Scene, number: int) -> None:
    """The runner could do nothing with it."""
    answers = scene.obey((0, evolve(request(Verb.SIGNAL), signal=number)))

    assert [Verdict.REFUSED] == verdicts(answers)
    assert {} == scene.put


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.SUSPEND])
def test_another_task_s_id_is_too_late(scene: Scene, verb: Verb) -> None:
    """Ids alone are no identity: what is asked of another task must not reach this one."""
    answers = scene.obey((0, request(verb)), native_id="another.0")

    assert [Verdict.TOO_LATE] == verdicts(answers)
    assert ({}, []) == (scene.put, scene.calls)
    assert scene.book.members(["t0"])["t0"].ending is None


def test_a_task_that_is_over_takes_no_request(scene: Scene) -> None:
    """What has ended is told as it ended."""
    scene.show("Success", {})

    assert [Verdict.TOO_LATE] == verdicts(scene.obey((0, request(Verb.CANCEL))))
    assert ({}, []) == (scene.put, scene.calls)


def test_without_an_answer_there_is_none(scene: Scene) -> None:
    """The engine asks again; a verdict that nobody gave would be believed."""
    scene.away = True

    assert [] == scene.obey((0, request(Verb.CANCEL)))
    # That somebody wants the end is known all the same.
    assert scene.book.members(["t0"])["t0"].ending is not None


def test_what_does_not_run_yet_cannot_be_suspended(scene: Scene) -> None:
    """There is no command to stop, and it would start all the same."""
    scene.show("Submitted", {})

    assert [Verdict.REFUSED] == verdicts(scene.obey((0, request(Verb.SUSPEND))))
    assert ({}, []) == (scene.put, scene.calls)


def test_one_instance_that_waits_is_shut_out(scene: Scene) -> None:
    """The cloud aborts whole tasks: the other instance must go on."""
    scene.show("PartiallyExecuting", {0: "execution", 1: "download"})

    assert [Verdict.SIGNALLED] == verdicts(scene.obey((1, request(Verb.CANCEL))))
    assert (["t1"], ["update"], {}) == (scene.closed, scene.calls, scene.put)


def test_a_task_that_waits_and_nobody_wants_is_aborted(scene: Scene) -> None:
    """It need not start only to find that it is closed."""
    scene.show("Submitted", {})
    scene.obey((0, request(Verb.CANCEL)), (1, request(Verb.KILL)))

    assert ["t0", "t1"] == scene.closed
    assert set(scene.calls) == {"abort"}


@pytest.mark.parametrize(
    ("verb", "grace_s", "due"),
    [
        (Verb.CANCEL, None, AT + GRACE_S + ABORT_MARGIN_S),
        (Verb.CANCEL, 60.0, AT + 60.0 + ABORT_MARGIN_S),
        (Verb.KILL, None, AT + ABORT_MARGIN_S),
        (Verb.TERMINATE, None, None),
    ],
)
def test_what_does_not_end_in_its_grace_is_aborted(
    scene: Scene, verb: Verb, grace_s: float | None, due: float | None
) -> None:
    """Not before, and not at all after TERM alone, which may be heeded at leisure."""
    asked = request(verb) if grace_s is None else request(verb, grace_s=grace_s)
    scene.obey((0, asked), (1, asked))

    if due is None:
        assert not scene.is_aborted(AT + 1e6)
    else:
        assert (False, True) == (scene.is_aborted(due - 0.1), scene.is_aborted(due))


def test_no_task_is_aborted_for_one_instance(scene: Scene) -> None:
    """The others' work would be lost; that one is killed by its runner."""
    scene.obey((0, request(Verb.KILL)))

    assert not scene.is_aborted(AT + 1e6)
    scene.book.note_ended("t1")
    assert scene.is_aborted(AT + 1e6)
