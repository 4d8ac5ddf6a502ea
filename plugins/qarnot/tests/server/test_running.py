"""What is told of instances that run: what they use, and how far they are."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drover_qarnot.server import _processes, _progress, runner
from drover_qarnot.server._processes import Birth, Processes, boot_id, read_birth
from drover_qarnot.server._progress import Progress, percent_of

from .conftest import finished, until

# Not for ever: nobody ends it if the tests themselves are killed.
BUSY = (
    "import time; held = b'x' * (64 << 20); print('step 3/10', flush=True); "
    "ends = time.monotonic() + 120\nwhile time.monotonic() < ends: pass"
)


def test_running_instances_tell_what_they_use_and_how_far_they_are(conn: Any) -> None:
    """A user who looks at a task must see which instance works, and which hangs."""
    task = conn.create_task("busy", "docker-batch", 2)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'if [ $INSTANCE_ID = 1 ]; then sleep 600; fi; ${PYTHON} -c \"$BUSY\"; true'"
    )
    task.constants["PYTHON"] = sys.executable
    task.constants["BUSY"] = BUSY
    task.constants["DOCKER_PROGRESS1"] = r"never (\d+)%"
    task.constants["DOCKER_PROGRESS2"] = r"step (\d+)/(\d+)"
    task.submit()

    def shown() -> Any:
        task.update(True)
        known = task.status and task.status.running_instances_info.per_running_instance_info
        ready = [one for one in known or () if one.progress or one.instance_id]
        return ready if len(ready) == 2 and ready[0].cpu_usage > ready[1].cpu_usage + 3 else None

    busy, idle = until(shown)
    status, progress = task.status, task.progress
    task.abort()

    assert ["execution"] * 2 == [busy.phase, idle.phase]
    assert 3 < busy.cpu_usage <= 100
    assert 64 < busy.current_memory_mb < busy.max_memory_mb
    assert 0 < busy.memory_usage < 1
    assert idle.current_memory_mb < 64
    assert [30.0, 0.0] == [busy.progress, idle.progress]
    assert 15.0 == status.execution_progress == progress
    assert 0 < busy.execution_time_sec <= status.execution_time_sec
    assert busy.cpu_model == status.execution_time_by_cpu_model[0].model != "unknown"
    average = status.running_instances_info.average_cpu_usage
    assert abs(average - (busy.cpu_usage + idle.cpu_usage) / 2) < 0.1
    assert "Cancelled" == finished(task).state
    assert 100.0 == task.progress
    assert not task.status.running_instances_info.per_running_instance_info
    ended = conn._get(f"/tasks/{task.uuid}").json()["completedInstances"]
    assert [busy.cpu_model] * 2 == [one["cpuModel"] for one in ended]


def test_a_progress_that_is_no_pattern_is_refused(api: Callable[..., Any]) -> None:
    """It would be 0 for ever, and nobody would know why."""
    constants = [{"key": "DOCKER_PROGRESS3", "value": "("}]
    body = {"name": "x", "profile": "docker-batch", "instanceCount": 1, "constants": constants}
    answer = api("POST", "/tasks", body)

    assert (400, ["constants.DOCKER_PROGRESS3"]) == (
        answer.status_code, list(answer.json()["errors"])
    )  # fmt: skip


@pytest.fixture
def sleeper(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """An instance that the runner has begun, and that sleeps."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "4.stdout").write_text("of the first attempt\n")
    plan = runner.Plan(instances="9", command_line="CMD", layers=[], argv=[])
    (tmp_path / "plan").write_bytes(runner.write_plan(plan))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", runner.__file__, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "DROVER_ARRAY_INDEX": "4",
             f"{runner.CARRIED}CMD": "sleep 600"},
    )  # fmt: skip
    yield process
    process.kill()
    process.wait(10)


def test_an_instance_is_known_by_more_than_its_number(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """A process that got the same number later, or on another machine, is not it."""
    birth = until(lambda: read_birth(tmp_path / "i" / "4"))

    assert Birth(boot_id(), sleeper.pid, birth.ticks, len("of the first attempt\n"), 0) == birth
    # While it becomes its command it has no memory for a moment.
    used = until(lambda: one if (one := Processes().used(birth)) and one.rss_bytes else None)
    assert used is not None
    assert 0 < used.rss_bytes < 1 << 30
    assert 0 <= used.age_s < 60
    assert Processes().used(birth._replace(ticks=birth.ticks + 1)) is None
    assert Processes().used(birth._replace(boot="elsewhere")) is None
    sleeper.kill()
    sleeper.wait(10)
    assert Processes().used(birth) is None


def test_what_an_earlier_attempt_noted_is_gone_whole(tmp_path: Path) -> None:
    """Behind a shorter line the end of a longer one would make both unreadable."""
    (tmp_path / "process").write_text(f"{boot_id()} 4194303 {'9' * 30} {'9' * 9} {'9' * 9}\n")

    runner._sign(str(tmp_path / "process"), [3, 5])

    birth = read_birth(tmp_path)
    assert birth is not None
    assert (os.getpid(), 3, 5) == (birth.pid, birth.stdout, birth.stderr)
    assert ["process"] == [path.name for path in tmp_path.iterdir()]


def test_one_look_serves_all_who_ask_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand tasks that are asked for must not be ten thousand looks at all processes."""
    looks = []

    def counted() -> Any:
        looks.append(1)
        return scan()

    scan = _processes._scan
    monkeypatch.setattr(_processes, "_scan", counted)
    processes, me = Processes(), Birth(boot_id(), os.getpid(), 0, 0, 0)
    for _ in range(1000):
        processes.used(me)
    assert 1 == len(looks)
    monkeypatch.setattr(_processes, "FRESH_S", 0.0)
    processes.used(me)
    assert 2 == len(looks)
    processes.used(me._replace(boot="elsewhere"))
    assert 2 == len(looks), "nothing of another machine is to be seen here"


@pytest.mark.parametrize("data", [b"", b"boot 1 2", b"boot 1 2 3 x", b"\xff 1 2 3 4 5"])
def test_a_note_that_is_none_is_none(tmp_path: Path, data: bytes) -> None:
    """It may be half written, by a runner that a full disk has stopped."""
    (tmp_path / "process").write_bytes(data)

    assert read_birth(tmp_path) is None


@pytest.mark.parametrize(
    ("groups", "percent"),
    [
        (["42"], 42.0), (["42.5"], 42.5), (["3", "10"], 30.0), (["3", None], 3.0),
        (["250"], 100.0), (["11", "10"], 100.0), (["3", "0"], None), (["x"], None), ([], None),
        (["-1"], None), (["nan"], None),
    ],
)  # fmt: skip
def test_a_match_is_a_percentage_or_a_share(groups: list[str | None], percent: float) -> None:
    """Nothing outside 0 to 100 is told, whatever a command writes."""
    assert percent == percent_of(groups)


BIRTH = Birth("boot", 1, 1, 0, 0)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task's folder, looked at as often as somebody asks."""
    monkeypatch.setattr(_progress, "FRESH_S", 0.0)
    (tmp_path / "out").mkdir()
    return tmp_path


def test_progress_is_read_as_it_comes(out: Path) -> None:
    """The last whole line that tells it counts, of both streams; nothing is read twice."""
    progress = Progress()
    stdout, stderr = out / "out" / "0.stdout", out / "out" / "0.stderr"
    told = []
    for path, text in (
        (stdout, "10%\nand 20% done\nnoise\n30"), (stdout, "%"), (stdout, "\n"),
        (stderr, "\r70%\r"), (stdout, "noise\n"),
    ):  # fmt: skip
        with path.open("a") as file:
            file.write(text)
        told.append(progress.of("task", out, [r"(\d+)%"], {0: BIRTH})[0])

    assert [20.0, 20.0, 30.0, 70.0, 70.0] == told
    again = BIRTH._replace(ticks=2, stdout=stdout.stat().st_size, stderr=stderr.stat().st_size)
    assert 0.0 == progress.of("task", out, [r"(\d+)%"], {0: again})[0], "a second attempt"


def test_a_pattern_that_takes_for_ever_stops_nobody(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after its time, and not tried with each request."""
    monkeypatch.setattr(_progress, "MATCH_S", 0.2)
    (out / "out" / "0.stdout").write_text("a" * 64 + "!\n")
    progress = Progress()
    assert {0: 0.0} == progress.of("task", out, ["(a+)+$"], {0: BIRTH})
    (out / "out" / "0.stdout").write_text("a" * 64 + "!\n" * 9)
    monkeypatch.setattr(_progress, "matched", None)

    assert {0: 0.0} == progress.of("task", out, ["(a+)+$"], {0: BIRTH})
