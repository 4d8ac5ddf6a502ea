"""What is said of an attempt, from the cloud's word and from the records of its runner."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drover.commandline import WRAPPER
from drover.errors import UnreachableError
from drover.models import Attempt, JobSpec, Observation, Phase, Reason, Source
from drover_qarnot._book import Member
from drover_qarnot._cloud import Stored
from drover_qarnot._observing import Observing, read_instance, unrecorded_end
from drover_qarnot._tools import RUNNER

REPLY: dict[str, Any] = json.loads((Path(__file__).parent / "replies/task.json").read_text())
ATTEMPT = Attempt(job_id="j", number=1, token="t-1", spec=JobSpec(argv=["true"]))
GRACE_S = 10.0


def task(state: str, *, ended: Any = (), running: Any = (), **changes: Any) -> Any:
    """Make the official package's object from a reply, as it makes it itself."""
    from qarnot.task import Task

    status = {
        "executionTimeByCpuModel": [], "executionTimeGhzByCpuModel": [],
        "runningInstancesInfo": {"perRunningInstanceInfo": list(running)},
    }  # fmt: skip
    told = {"state": state, "completedInstances": list(ended), "status": status, **changes}
    made = Task.from_json(None, {**REPLY, **told})
    made.auto_update = False
    return made


def member(**changes: Any) -> Member:
    facts: dict[str, Any] = {
        "token": "t-1", "batch": "batch", "instance": 3, "posted": True, "uuid": REPLY["uuid"],
        "ending": None, "requests": [], "ended": False,
    }  # fmt: skip
    return Member(**{**facts, **changes})


class Bucket:
    """Objects of an instance, and who asked for them."""

    def __init__(self, folder: Path | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.listed = 0
        if folder is not None:
            for path in sorted((folder / "batch/3").rglob("*")):
                if path.is_file():
                    self.objects[path.relative_to(folder).as_posix()] = path.read_bytes()

    def listing(self, _bucket: str, prefix: str) -> list[Stored]:
        self.listed += 1
        keys = [key for key in self.objects if key.startswith(prefix)]
        return [Stored(key=key, size=0, etag="") for key in keys]

    def get(self, _bucket: str, key: str) -> bytes | None:
        self.asked.append(key.rpartition("/")[2])
        return self.objects.get(key)


def node(folder: Path, *argv: str, closed: bool = False) -> Path:
    """Run an instance as the cloud would, and give the folder with what it left."""
    ours = folder / ".drover"
    ours.mkdir(parents=True)
    for program in (RUNNER, WRAPPER):
        (ours / program.name).write_bytes(program.read_bytes())
    own = {"token": "t-1", "base": "", "env": {}, "argv": list(argv), "cwd": None}
    common = {"version": 1, "requeue": False, "pass_env": ["INSTANCE_ID"]}
    plan = {"shared": False, "bases": {}, "common": common, "members": {"3": own}}
    (ours / "plan.json").write_text(json.dumps(plan))
    if closed:
        (ours / "closed.3").touch()
    subprocess.run(
        [sys.executable, "-I", "-S", str(ours / "runner.py"), "batch"], cwd=folder,
        env={"INSTANCE_ID": "3"}, capture_output=True, check=False,
    )  # fmt: skip
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "attempt"
    made.mkdir()
    return made


def observing(bucket: Any, home: Path) -> Observing:
    return Observing(bucket, lambda _attempt: home, lambda _batch: "out", GRACE_S)


def look(watch: Observing, seen: Any, whose: Member, at: float = 100.0) -> list[Observation]:
    return watch.look(ATTEMPT, whose, seen, 2, at)


@pytest.mark.parametrize(
    ("phase", "asked", "expected"),
    [
        ("execution", [], Phase.RUNNING),
        ("execution", ["suspend"], Phase.SUSPENDED),
        ("execution", ["suspend", "resume"], Phase.RUNNING),
        ("execution", ["suspend", "signal"], Phase.SUSPENDED),
        ("download", ["suspend"], Phase.QUEUED),
        ("dreaming", ["suspend"], Phase.UNKNOWN),
    ],
)
def test_an_instance_that_goes_on(
    home: Path, phase: str, asked: list[str], expected: Phase
) -> None:
    """A command stands still after it was asked to, and only where it had begun."""
    info = {"instanceId": 3, "phase": phase, "executionTimeSec": 2.5, "progress": 40}
    whose = member(requests=[{"why": why} for why in asked])
    (row,) = look(observing(Bucket(), home), task("PartiallyExecuting", running=[info]), whose)

    assert row.phase is expected
    assert row.progress is not None
    assert (row.progress.fraction, row.progress.text) == (0.4, phase)
    assert row.started_at == (None if expected is Phase.QUEUED else 97.5)


def test_an_answer_of_another_form_ends_nothing(home: Path) -> None:
    """The cloud's API may change; a guess at what it means would end jobs that run."""
    broken = task("Success")
    broken._completed_instances = [object()]
    (row,) = look(observing(Bucket(), home), broken, member())

    assert row.phase is Phase.UNKNOWN
    assert "unreadable" in (row.native_state or "")


def test_a_store_that_is_away_ends_nothing(home: Path) -> None:
    """The record is there and cannot be had: its end is told when it can."""

    def away(*_: object) -> None:
        raise UnreachableError("the object store", "it is gone")

    bucket = SimpleNamespace(listing=away)
    (row,) = look(observing(bucket, home), task("Success"), member())

    assert row.phase is Phase.UNKNOWN
    assert "no record yet" in (row.native_state or "")


def test_a_record_is_fetched_once_and_the_end_is_told_by_both(home: Path, tmp_path: Path) -> None:
    """The claim comes before the record that names it, and nobody asks for what is there."""
    bucket = Bucket(node(tmp_path / "node", "/bin/sh", "-c", "exit 7"))
    watch = observing(bucket, home)
    ended = task("PartiallyExecuting", ended=[{"instanceId": 3, "state": "Failure"}])
    rows = look(watch, ended, member())
    again = look(watch, ended, member())

    assert [(Phase.ENDED, Source.EXIT_RECORD), (Phase.ENDED, Source.SERVER)] == [
        (row.phase, row.source) for row in rows
    ]
    assert [7, 7] == [row.end.exit_code for row in rows if row.end]
    assert [f"{REPLY['uuid']}.3"] * 2 == [row.end.native_id for row in rows if row.end]
    assert rows[0].started_at is not None
    assert rows == again
    assert bucket.asked[-1] == "exit.0.json"
    assert "stdout.0" not in bucket.asked
    assert bucket.listed == 1


def test_no_key_of_the_bucket_leads_out(home: Path) -> None:
    """Whoever may write to the bucket must not write to files of this machine."""
    bucket = Bucket()
    bucket.objects["batch/3/exit./../../escaped"] = b"x"
    (row,) = look(observing(bucket, home), task("Success"), member())

    assert row.phase is Phase.ENDED
    assert bucket.asked == []


@pytest.mark.parametrize("ending", [None, {"verb": "cancel", "abort_at": 1.0}])
def test_an_instance_that_ran_nothing(
    home: Path, tmp_path: Path, ending: dict[str, Any] | None
) -> None:
    """It may be handed over anew, unless somebody wants its end."""
    bucket = Bucket(node(tmp_path / "node", "/bin/true", closed=True))
    ended = task("Failure", ended=[{"instanceId": 3, "state": "Failure"}])
    (row,) = look(observing(bucket, home), ended, member(ending=ending))

    if ending is None:
        assert (row.phase, row.native_state) == (Phase.UNRUN, "it was closed before it began")
    else:
        assert row.end is not None
        assert (row.phase, row.end.reason) == (Phase.ENDED, Reason.CANCELLED)


def test_a_record_may_come_late(home: Path) -> None:
    """An instance has ended and its results are on their way: it is waited for, not for ever."""
    watch = observing(Bucket(), home)
    lost = {"instanceId": 3, "state": "Failure", "execTimeSec": 1.0}
    going_on = task("PartiallyExecuting", ended=[lost])

    def phases(at: float) -> list[Phase]:
        return [row.phase for row in look(watch, going_on, member(), at)]

    assert [Phase.RUNNING] == phases(100.0)
    assert [Phase.RUNNING] == phases(100.0 + GRACE_S - 0.1)
    (row,) = look(watch, going_on, member(), 100.0 + GRACE_S)
    assert row.end is not None
    assert (row.phase, row.end.reason) == (Phase.ENDED, Reason.NODE_LOST)
    watch.forget("t-1")
    assert [Phase.RUNNING] == phases(200.0)
    # Once the whole task is over nothing more comes.
    (row,) = look(watch, task("Failure", ended=[lost]), member(), 200.0)
    assert row.phase is Phase.ENDED


def test_somebody_s_cancel_comes_before_dependencies() -> None:
    """Who cancels a job that waits in vain has cancelled it."""
    vain = {"dependsOn": None, "advancedDependsOn": None,
            "state": "dependencyConditionsNotFulfilled"}  # fmt: skip
    seen = read_instance(task("Cancelled", dependencies=vain), 3, alone=True)
    ending = {"verb": "cancel", "abort_at": 1.0}

    assert unrecorded_end(seen, member(ending=ending), "n", 5.0, unrun=False).reason is (
        Reason.CANCELLED
    )


@pytest.mark.parametrize(("told", "expected"), [(None, None), (0, None), (3, 3 * 2**20)])
def test_memory_that_was_not_measured_is_not_zero(told: int | None, expected: int | None) -> None:
    """A job that took nothing would be put anywhere the next time."""
    ended = {"instanceId": 3, "state": "Success", "wallTimeSec": 2.0, "peakMemoryMB": told}
    usage = read_instance(task("Success", ended=[ended]), 3, alone=True).usage

    assert usage is not None
    assert (usage.max_rss_bytes, usage.wall_s) == (expected, 2.0)
