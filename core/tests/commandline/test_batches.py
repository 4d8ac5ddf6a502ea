"""Submissions on the disk: the same members in the same order, whoever looks."""

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from drover.commandline import Batch, Batches, TaskSettings, wrapper
from drover.models import Attempt, Condition, Elements, JobSpec, Predecessor, Resources

SETTINGS = TaskSettings(
    pass_env=("SLURM*",), env={"IN": "here"}, shared_signals=(15,), launchers={"srun": ("srun",)}
)


def attempt(number: int = 0, **fields: Any) -> Attempt:
    spec = JobSpec(**{"argv": ("echo", str(number)), **fields})
    return Attempt(
        job_id=f"job{number}", number=1, token=f"token-{number}", spec=spec,
        variables=dict(spec.env), base_environment={"PATH": "/bin"}, base_digest="d1",
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "backend"


def batches(home: Path, settings: TaskSettings = SETTINGS) -> Batches:
    """Give what another engine would have."""
    return Batches(home, settings)


def make(
    home: Path, attempts: Sequence[Attempt], settings: TaskSettings = SETTINGS
) -> tuple[Batches, Batch]:
    made = batches(home, settings)
    folders = [home.parent / "jobs" / each.job_id for each in attempts]
    return made, made.make(attempts, folders)


def task(batch: Batch, index: int = 0) -> dict[str, Any]:
    """Read a task as the wrapper does."""
    return wrapper.read_listed_task(str(batch.tasks), index)


def test_another_engine_finds_the_same_members(home: Path) -> None:
    """The engine that submitted may be dead when the answer is looked for."""
    attempts = [attempt(number) for number in range(3)]
    first, batch = make(home, attempts)

    for index, each in enumerate(attempts):
        place = batches(home).places.get(each.token)
        assert place is not None
        assert place == first.places.get(each.token)
        assert (batch.key, index, 3) == (place.key, place.index, place.size)
        assert home.parent / "jobs" / each.job_id == place.folder
        assert f"77_{index}" == place.native_id("77", "{id}_{index}")


def test_a_single_job_is_no_array(home: Path) -> None:
    """Its native id is the id of the submission."""
    _, batch = make(home, [attempt()])
    place = batches(home).places.get("token-0")

    assert place is not None
    assert ("77", False) == (place.native_id("77", "{id}_{index}"), batch.is_array)


def test_another_engine_knows_what_it_was_called(home: Path) -> None:
    """Some schedulers find what they have forgotten by its name alone."""
    attempts = [attempt(number, name=f"train model {number}") for number in range(3)]
    _, batch = make(home, attempts)
    place = batches(home).places.get("token-1")

    assert place is not None
    assert ("train model", "train model") == (batch.label, place.label)


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["one"], "one"),
        (["a", "a"], "a"),
        (["step-1", "step-2", "step-10"], "step"),
        (["x1", "y2"], "x1"),
        (["é1", "é2"], "é1"),
    ],
)
def test_an_array_is_called_what_its_elements_share(
    home: Path, names: list[str], label: str
) -> None:
    """A queue with a thousand jobs named after the first of them tells nobody anything."""
    _, batch = make(home, [attempt(n, name=name) for n, name in enumerate(names)])

    assert label == batch.label


def test_what_is_forgotten_is_gone_with_its_last_member(home: Path) -> None:
    """A list stays as long as one of its tasks may be run."""
    made, batch = make(home, [attempt(0), attempt(1)])
    batch.log.write_text("a shell said this")

    made.places.forget(["token-0", "token-0", "unknown"])
    assert batch.tasks.exists()
    assert made.places.get("token-0") is None
    assert batches(home).places.get("token-1") is not None

    made.places.forget(["token-1"])
    assert ["news"] == sorted(path.name for path in home.iterdir())


def test_what_one_engine_forgot_is_forgotten_for_the_next(home: Path) -> None:
    """Else the list of an array that was forgotten in parts stays for ever."""
    made, _ = make(home, [attempt(number) for number in range(3)])
    made.places.forget(["token-1"])

    later = batches(home)

    assert later.places.get("token-1") is None
    place = later.places.get("token-2")
    assert place is not None
    assert (2, 3) == (place.index, place.size)
    later.places.forget(["token-0", "token-2"])
    assert ["news"] == sorted(path.name for path in home.iterdir())


def test_a_task_that_was_forgotten_is_not_run(home: Path) -> None:
    """Its folder is gone, and with it the claim that would have stopped it."""
    made, batch = make(home, [attempt(0), attempt(1)])
    made.places.forget(["token-0"])

    assert ["echo", "1"] == task(batch, 1)["argv"]
    with pytest.raises(wrapper.Unrun, match="struck off"):
        wrapper.make_folder(str(batch.tasks), 0, str(home.parent / "jobs/job0"))


@pytest.mark.parametrize(
    "head",
    [
        "", "{", "[]", "null", '"text"', "7", "{}", '{"members": 3}', '{"members": [["one"]]}',
        '{"members": [7]}', '{"members": [["t", 7]]}', '{"members": [[7, "f"]]}', "\xff",
    ],
)  # fmt: skip
def test_a_damaged_list_harms_no_other(home: Path, head: str) -> None:
    """A disk that broke one file must not hide all jobs."""
    make(home, [attempt(0)])
    (home / "broken.tasks").write_bytes(head.encode("latin-1") + b"\n")

    found = batches(home).places.get("token-0")

    assert found is not None
    assert batches(home).places.get("t") is None


def test_thousands_are_read_in_one_go(home: Path) -> None:
    """An engine with 10,000 jobs in the queue starts in a moment, and reads each list once."""
    make(home, [attempt(number) for number in range(5000)])
    made = batches(home)
    path = next(home.glob("*.tasks"))

    first = made.places.get("token-4999")
    path.unlink()
    last = made.places.get("token-0")

    assert first is not None
    assert last is not None
    assert (4999, 5000, 0) == (first.index, first.size, last.index)


def test_what_was_never_written_down_is_nowhere(home: Path) -> None:
    """A token of another store, or of a folder that was wiped."""
    assert batches(home).places.get("token-0") is None


def test_a_list_is_private(home: Path) -> None:
    """It holds the values of variables, which may be secret."""
    before = os.umask(0)
    try:
        _, batch = make(home, [attempt(env={"PASSWORD": "x"})])
    finally:
        os.umask(before)

    assert 0o600 == stat.S_IMODE(batch.tasks.stat().st_mode)
    assert 0o700 == stat.S_IMODE((home / "news").stat().st_mode)


def test_a_task_is_what_was_asked_for(home: Path) -> None:
    """What stands in the specification is what the wrapper reads."""
    fields: dict[str, Any] = {
        "cwd": "/w", "stdin": "in-%a", "stdout": "out-%j", "join_output": True, "requeue": True,
        "pre_launch": "pre", "post_launch": "post", "launcher": "srun", "env": {"A": "1\n'"},
        "resources": Resources(wall_time=60),
    }  # fmt: skip
    one = evolve(attempt(3, **fields), array_index=7)
    _, batch = make(home, [one])

    read = task(batch)

    expected = {
        "argv": ["srun", "echo", "3"], "cwd": "/w", "stdin": "in-7", "stdout": "out-job3",
        "join_output": True, "requeue": True, "pre_launch": "pre", "post_launch": "post",
        "wall_time": 60.0, "token": "token-3", "shared_signals": [15], "pass_env": ["SLURM*"],
        "env": {"PATH": "/bin", "A": "1\n'", "IN": "here"}, "news": str(home / "news"),
        "folder": str(home.parent / "jobs/job3"),
    }  # fmt: skip
    assert expected == {name: read[name] for name in expected}
    assert "stderr" not in read


def test_what_is_inherited_stands_once(home: Path) -> None:
    """A thousand copies of one environment would be some ten megabytes."""
    _, batch = make(home, [attempt(number) for number in range(100)])

    assert 1 == batch.tasks.read_bytes().count(b'"PATH"')
    assert "/bin" == task(batch, 99)["env"]["PATH"]


def test_without_a_shared_environment_each_has_its_own(home: Path) -> None:
    """Where nothing is inherited nothing may be taken from the neighbour."""
    alone = evolve(attempt(1, env={"A": "1"}), base_digest="", base_environment={})
    _, batch = make(home, [attempt(0), alone])

    assert {"A": "1", "IN": "here"} == task(batch, 1)["env"]


def test_predecessors_are_named_by_their_folders(home: Path) -> None:
    """The wrapper reads how they ended, whatever the scheduler believes."""
    first, _ = make(home, [attempt(0)])
    other = Predecessor(job="job0", token="token-0", native_id="7", condition=Condition.SUCCEEDED)
    gone = evolve(other, job="job9", token="token-9")
    one = evolve(attempt(1), predecessors=(other, gone))
    batch = first.make([one], [home / "1"])

    folders = [before["folder"] for before in task(batch)["after"]]

    assert [str(home.parent / "jobs/job0"), ""] == folders
    # There is no other task that could have found it out.
    assert "before" not in task(batch)


def whole(*elements: Elements) -> Predecessor:
    return Predecessor(
        job="a1", token="", native_id="", condition=Condition.ENDED, native_ids=("7",),
        elements=elements,
    )  # fmt: skip


def test_a_whole_array_is_named_by_the_folders_of_its_elements(home: Path) -> None:
    """Once for all tasks, whoever many they are."""
    before = whole(Elements(attempt=1, indices="0-98"), Elements(attempt=2, indices="99"))
    attempts = [evolve(attempt(n), predecessors=(before,)) for n in range(3)]
    store = home.parent / "\udcff"
    batch = Batches(home, SETTINGS, store).make(attempts, [home / str(n) for n in range(3)])

    entry = {
        "job": "a1", "condition": "ended",
        "elements": [[f"{store}/jobs/a1.", "/1", "0-98"], [f"{store}/jobs/a1.", "/2", "99"]],
    }  # fmt: skip
    assert [[entry]] * 3 == [task(batch, index)["after"] for index in range(3)]
    assert {f"{batch.tasks}.before"} == {task(batch, index)["before"] for index in range(3)}
    assert 1 == batch.tasks.read_text().count("0-98")
    folders = list(wrapper.folders_before(entry))
    assert 100 == len(folders)
    assert os.fsencode(f"{store}/jobs/a1.99/2") == os.fsencode(folders[-1])


def test_tasks_that_wait_for_different_jobs_each_say_for_which(home: Path) -> None:
    """A plugin may put together what is alike to its scheduler alone."""
    before = whole(Elements(attempt=1, indices="0-98"))
    attempts = [evolve(attempt(0), predecessors=(before,)), attempt(1)]
    batch = Batches(home, SETTINGS, home).make(attempts, [home / "0", home / "1"])

    tasks = [task(batch, index) for index in range(2)]
    assert [True, False] == ["after" in each for each in tasks]
    assert [False, False] == ["before" in each for each in tasks]


def test_what_was_found_of_others_goes_with_the_list(home: Path) -> None:
    """Nothing is left of what was forgotten."""
    before = whole(Elements(attempt=1, indices="0"))
    attempts = [evolve(attempt(n), predecessors=(before,)) for n in range(2)]
    made = Batches(home, SETTINGS, home)
    batch = made.make(attempts, [home.parent / "0", home.parent / "1"])
    Path(task(batch)["before"]).write_text("{}")
    made.places.forget(batch.tokens)

    assert ["news"] == sorted(path.name for path in home.iterdir())


def test_a_list_that_cannot_be_written_is_not_handed_over(tmp_path: Path) -> None:
    """A job whose task is not there would be accepted, wait for days, and run nothing."""
    (tmp_path / "backend").write_text("a file in the place of the folder")

    with pytest.raises(OSError, match="backend"):
        make(tmp_path / "backend", [attempt()])


def test_bytes_of_any_kind_survive(home: Path) -> None:
    """Paths and arguments are bytes on a node."""
    word = os.fsdecode(b"\xff\x00"[:1]) + "é\n"
    one = attempt(0, argv=("echo", word), cwd=word, env={"A": word})
    made = batches(home)
    batch = made.make([one], [home / word])

    assert batch.tasks.read_bytes().isascii()
    assert (word, word) == (task(batch)["argv"][1], task(batch)["env"]["A"])
    place = batches(home).places.get("token-0")
    assert place is not None
    assert home / word == place.folder
    assert json.loads(batch.tasks.read_text().splitlines()[1])["cwd"] == word
