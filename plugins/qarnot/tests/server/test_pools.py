"""What a pool's fields do: how it grows and shrinks, and what its tasks get of it."""

from collections.abc import Callable
from typing import Any

import pytest
from qarnot.pool import Pool

from drover_qarnot.server._scaling import (
    Bounds,
    Size,
    bounds_of_elastic,
    bounds_of_policy,
    resized,
)

from .conftest import finished, until

ELASTIC = Bounds(least=1, most=8, idle=1, idle_s=30.0, period_s=90.0, ramp=0.25)


def sizes(bounds: Bounds, *moments: tuple[float, int]) -> list[int]:
    """Tell the slots at each moment, of which each has a time and what is queued."""
    known = None
    found = []
    for at, queued in moments:
        size = resized(known, bounds, queued, at)
        known = size.write()
        found.append(size.slots)
    return found


def test_a_pool_grows_by_its_factor_in_each_period() -> None:
    """A quarter of eight every ninety seconds, to what is needed and no further."""
    moments = ((1000.0, 9), (1089.0, 9), (1090.0, 9), (1180.0, 9), (1270.0, 9), (1360.0, 9))

    assert [3, 3, 5, 7, 8, 8] == sizes(ELASTIC, *moments)
    assert [2, 3, 3] == sizes(ELASTIC, (1000.0, 1), (1001.0, 2), (1002.0, 3)), "in all of a period"


def test_idle_slots_are_kept_for_their_time() -> None:
    """Whoever submits one task after the other must not wait for each anew."""
    moments = ((1000.0, 2), (1010.0, 0), (1039.0, 0), (1040.0, 0))
    assert [3, 3, 3, 1] == sizes(ELASTIC, *moments)
    again = ((1000.0, 2), (1010.0, 0), (1020.0, 2), (1030.0, 0), (1059.0, 0), (1060.0, 0))

    assert [3, 3, 3, 3, 3, 1] == sizes(ELASTIC, *again), "the time begins anew"


def test_other_bounds_count_at_once() -> None:
    """A user who lowers the limit of a pool wants it lower."""
    known = Size(slots=8, period_at=1000.0, grown=2).write()

    assert 2 == resized(known, Bounds(least=0, most=2, idle=0, idle_s=90.0), 9, 1001.0).slots
    assert 4 == resized(None, Bounds(least=4, most=8, idle=0, idle_s=0.0), 0, 1001.0).slots


@pytest.mark.parametrize(
    ("read", "idle_s", "period_s"),
    [(bounds_of_elastic, 0.0, 0.0), (bounds_of_policy, 90.0, 0.0)],
)
def test_what_is_not_said_has_its_default(
    read: Callable[[dict[str, Any]], Bounds], idle_s: float, period_s: float
) -> None:
    """Those of the SDK, and of the real service."""
    told = Bounds(least=0, most=1, idle=0, idle_s=idle_s, period_s=period_s, ramp=1.0)

    assert told == read({}) == read(dict.fromkeys(("minTotalSlots", "minIdleTimeSeconds")))
    assert 5.0 == read({"minIdleTimeSeconds": 5}).idle_s


@pytest.mark.parametrize(
    "change",
    [
        {"elasticProperty": {"isElastic": True, "maxTotalSlots": "many"}},
        {"elasticProperty": {"isElastic": True, "minIdleTimeSeconds": -1}},
        {"multiSlotsSettings": {"slotsPerNode": [1]}},
        {"scaling": {"policies": [{"type": "Fixed", "slotsCount": 10**9}]}},
    ],
)
def test_sizes_that_are_none_are_refused(api: Callable[..., Any], change: dict[str, Any]) -> None:
    """Each later look at the pool would fail of them."""
    answer = api("POST", "/pools", {"name": "x", "profile": "docker-batch", **change})

    assert 400 == answer.status_code
    assert next(iter(answer.json()["errors"])) in {*change, "policies"}


def test_an_elastic_pool_grows_step_by_step(conn: Any) -> None:
    """Half of two at first, the rest a period later: no more tasks run meanwhile."""
    pool = Pool(conn, "steps", "docker-batch")
    pool.setup_elastic(maximum_total_slots=2, resize_factor=0.5, resize_period=2)
    pool.submit()
    tasks = [conn.create_task(f"step-{n}", pool, 1) for n in range(2)]
    for task in tasks:
        task.constants["DOCKER_CMD"] = "sleep 600"
        task.submit()

    def states() -> list[bool]:
        for task in tasks:
            task.update(True)
        return ["Submitted" == task.state for task in tasks]

    try:
        until(lambda: states() == [False, True])
        pool.update(True)
        assert 1 == pool.total_slot_capacity
        until(lambda: states() == [False, False])
        pool.update(True)
        assert 2 == pool.total_slot_capacity
    finally:
        pool.delete()
    for task in tasks:
        finished(task)
