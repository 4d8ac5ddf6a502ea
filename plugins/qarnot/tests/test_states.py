"""Every word of the cloud is one of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from drover.models import EndReport, Phase, Reason, Source, Started
from drover_qarnot._book import Member
from drover_qarnot._observing import (
    phase_of,
    read_instance,
    reason_beside,
    unrecorded_end,
)
from drover_qarnot._states import (
    FINAL,
    INSTANCE_ENDS,
    INSTANCE_PHASES,
    TASK_STATES,
    read_ranges,
    write_ranges,
)

# Source: the documentation of the API, and the package's own lists.
DOCUMENTED = {
    "Submitted", "PartiallyDispatched", "FullyDispatched", "PartiallyExecuting", "FullyExecuting",
    "DownloadingResults", "UploadingResults", "PendingCancel", "Cancelled", "Success", "Failure",
    "PendingDelete",
}  # fmt: skip
REPLY: dict[str, Any] = json.loads((Path(__file__).parent / "replies/task.json").read_text())


def task(**changes: Any) -> Any:
    """Make the official package's object from a reply, as it makes it itself."""
    from qarnot.task import Task

    made = Task.from_json(None, {**REPLY, **changes})
    made.auto_update = False
    return made


def member(**changes: Any) -> Member:
    facts: dict[str, Any] = {
        "token": "t", "batch": "b", "instance": 0, "posted": True, "uuid": "u", "ending": None,
        "requests": [], "ended": False,
    }  # fmt: skip
    return Member(**{**facts, **changes})


def test_every_state_is_mapped() -> None:
    """A word without a meaning freezes a job."""
    assert set(TASK_STATES) == DOCUMENTED
    assert {"Success", "Failure", "Cancelled", "PendingDelete"} == FINAL
    assert {"Success", "Failure", "Cancelled"} == INSTANCE_ENDS
    assert set(INSTANCE_PHASES) == {
        "download", "dispatch", "environment", "execution", "shutdown", "upload"
    }  # fmt: skip


@pytest.mark.parametrize("state", sorted(DOCUMENTED - FINAL))
def test_the_cloud_s_own_word_is_kept(state: str) -> None:
    """What people see at the cloud is what they see here: the mapping loses nothing."""
    seen = read_instance(task(state=state, status=None), 0, alone=True)

    assert seen.native_state == state
    assert phase_of(seen) is TASK_STATES[state]


def test_a_word_that_is_not_known_says_nothing() -> None:
    """A guess would end or start jobs."""
    seen = read_instance(task(state="Contemplating", status=None), 0, alone=True)

    assert phase_of(seen) is Phase.UNKNOWN
    assert not seen.is_over


def test_an_instance_has_a_state_of_its_own() -> None:
    """Of a task whose instances differ, each element tells what its own came to."""
    running = {"instanceId": 3, "phase": "execution", "executionTimeSec": 2.5, "progress": 40}
    ended = {"instanceId": 1, "state": "Failure", "execTimeSec": 1.0, "wallTimeSec": 2.0}
    status = {
        "executionTimeByCpuModel": [], "executionTimeGhzByCpuModel": [],
        "runningInstancesInfo": {"perRunningInstanceInfo": [running]},
    }  # fmt: skip
    mixed = task(state="PartiallyExecuting", completedInstances=[ended], status=status)
    seen = {number: read_instance(mixed, number, alone=False) for number in (1, 3, 5)}

    assert (seen[1].end, seen[1].is_over) == ("Failure", True)
    assert (seen[3].phase, seen[3].executed_s) == ("execution", 2.5)
    assert [phase_of(seen[3]), phase_of(seen[5])] == [Phase.RUNNING, Phase.QUEUED]


@pytest.mark.parametrize(
    ("state", "changes", "expected"),
    [
        ("Success", {}, (None, 0, Started.YES)),
        ("Cancelled", {}, (Reason.CANCELLED, None, Started.NO)),
        ("PendingDelete", {}, (Reason.CANCELLED, None, Started.NO)),
        ("Failure", {}, (Reason.LAUNCH_FAILED, None, Started.NO)),
        ("Failure", {"executed": 3.0}, (Reason.NODE_LOST, None, Started.UNKNOWN)),
    ],
)
def test_an_end_without_a_record_is_the_cloud_s_word(
    state: str, changes: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """An exit code that nobody saw is not made up."""
    done = {"instanceId": 0, "state": state, "execTimeSec": changes.get("executed", 0.0)}
    ended = task(state=state, completedInstances=[done] if changes else [])
    end = unrecorded_end(read_instance(ended, 0, alone=True), member(), "u.0", 5.0, unrun=False)

    assert (end.reason, end.exit_code, end.started) == expected


@pytest.mark.parametrize(
    ("state", "record", "ending", "expected"),
    [
        ("Cancelled", {"signal": 15}, None, Reason.CANCELLED),
        ("Cancelled", {"exit_code": 0}, None, None),
        ("Cancelled", {"signal": 15, "reason": Reason.WALL_TIME}, None, Reason.WALL_TIME),
        ("Failure", {"signal": 15}, None, None),
        ("PendingCancel", {"signal": 15}, None, Reason.CANCELLED),
        ("Failure", {"signal": 15}, {"why": "cancel"}, Reason.CANCELLED),
    ],
)
def test_a_signal_of_the_cloud_s_own_is_a_cancel(
    state: str, record: dict[str, Any], ending: dict[str, str] | None, expected: Reason | None
) -> None:
    """Somebody ended the task at the cloud; that its record was saved makes it no failure."""
    report = EndReport(source=Source.EXIT_RECORD, at=5.0, **record)
    seen = read_instance(task(state=state), 0, alone=True)

    assert reason_beside(report, member(ending=ending), seen) is expected


def test_waiting_in_vain_is_no_cancel() -> None:
    """A task that the cloud gives up for another one's end has failed by its dependency."""
    dependencies = {
        "dependsOn": None, "advancedDependsOn": None, "state": "dependencyConditionsNotFulfilled",
    }  # fmt: skip
    seen = read_instance(task(state="Cancelled", dependencies=dependencies), 0, alone=True)

    assert unrecorded_end(seen, member(), "u.0", 5.0, unrun=False).reason is (
        Reason.DEPENDENCY_FAILED
    )


@pytest.mark.parametrize("text", ["", "0", "0-4", "1,3-8,9,12-19"])
def test_ranges_are_read_and_written(text: str) -> None:
    """An index that gets lost between is a job that never runs."""
    joined = text.replace("3-8,9", "3-9")

    assert write_ranges(read_ranges(text)) == joined
