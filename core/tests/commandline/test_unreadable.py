"""Files of one job that cannot be read or deleted harm no other."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve
from tiny import Bench

from drover.models import Attempt, Phase, Verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Bench(home)


def placed(bench: Bench, count: int) -> Sequence[Attempt]:
    """Hand jobs over, and give them with their native ids."""
    attempts = [bench.attempt(number) for number in range(count)]
    answers = bench.backend.drover_submit(attempts)
    return [
        evolve(one, native_id=answer.native_id)
        for one, answer in zip(attempts, answers, strict=True)
    ]


@pytest.mark.parametrize("size", [1, 2])
def test_a_list_that_cannot_be_read_is_not_one_that_is_not_there(bench: Bench, size: int) -> None:
    """Its jobs were taken for missing, and LOST; a cancel was told to come too late."""
    attempts = placed(bench, size)
    (tasks,) = (bench.home / "backends/tiny").glob("*.tasks")
    kept = tasks.rename(tasks.with_suffix(".kept"))
    tasks.symlink_to(tasks.name)
    other = bench.another()
    order = bench.order(attempts[-1])

    told = other.drover_observe([attempts[-1]])
    assert [Phase.UNKNOWN] == [row.phase for row in told.observations]
    assert [] == other.drover_control([order])
    tasks.unlink()
    kept.rename(tasks)
    assert [Phase.QUEUED] == [
        row.phase for row in other.drover_observe([attempts[-1]]).observations
    ]
    assert [Verdict.DONE] == [answer.verdict for answer in other.drover_control([order])]


def test_what_cannot_be_deleted_keeps_nothing_else(bench: Bench) -> None:
    """What others had left stayed for ever, and nobody knew of it any more."""
    attempts = placed(bench, 2)
    for native_id in ("1.0", "1.1"):
        bench.world.execute(native_id)
    (bench.folder(attempts[0]) / "in-use").mkdir()

    assert bench.backend.drover_forget(attempts)
    assert bench.folder(attempts[0]).exists()
    assert not bench.folder(attempts[1]).parent.exists()


def test_a_folder_that_cannot_be_read_keeps_no_other_from_being_heard(bench: Bench) -> None:
    """The thread that listens died of it, and ends were known forty seconds late from then on."""
    attempts = placed(bench, 2)
    for native_id in ("1.0", "1.1"):
        bench.world.execute(native_id)
    claim = bench.folder(attempts[0]) / "claim.0"
    claim.unlink()
    claim.symlink_to("claim.0")

    bench.backend._news.look()

    assert [attempts[1].token] == [row.token for row in bench.reported]
    # Nor from being found where an answer got lost.
    found = bench.backend.drover_find([each.token for each in attempts])
    assert {"1.0", "1.1"} == {each.native_id for each in found}
