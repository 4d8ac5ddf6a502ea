"""What a pool's fields do: how it grows and shrinks, and what its tasks get of it."""

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import pytest
from qarnot.exceptions import MissingPoolException
from qarnot.forced_constant import ForcedConstant
from qarnot.hardware_constraint import MinimumCoreHardware
from qarnot.pool import Pool
from qarnot.privileges import Privileges
from qarnot.retry_settings import RetrySettings
from qarnot.secrets import SecretAccessRightBySecret, Secrets, SecretsAccessRights

import drover
from drover_qarnot.server._profiles import shared_out
from drover_qarnot.server._scaling import (
    Bounds,
    Size,
    bounds_of_elastic,
    bounds_of_policy,
    resized,
)

from .conftest import Server, finished, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")

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
    pool.setup_elastic(maximum_total_slots=2, resize_factor=0.5, resize_period=600)
    pool.submit()
    tasks = [conn.create_task(f"step-{n}", pool, 1) for n in range(2)]
    for task in tasks:
        task.constants["DOCKER_CMD"] = "sleep 600"
        task.submit()

    def waiting() -> list[bool]:
        for one in (pool, *tasks):
            one.update(True)
        return ["Submitted" == task.state for task in tasks]

    try:
        until(lambda: waiting() == [False, True])
        assert 1 == pool.total_slot_capacity
        pool.elastic_resize_period = 1
        pool.commit()
        until(lambda: waiting() == [False, False])
        assert 2 == pool.total_slot_capacity
    finally:
        pool.delete()
    for task in tasks:
        finished(task)


def test_what_a_preparation_made_lies_before_its_tasks(conn: Any) -> None:
    """Between the pool's resources and their own; what it did not make stays its own."""
    pool = conn.create_pool("prepared", "docker-batch", 1)
    pool.preparation_command_line = (
        "sh -c 'echo made > made; echo changed > changed; mkdir -p a; echo 0 > a/deep; "
        "ln -s /etc/passwd link'"
    )
    below, above = conn.create_bucket("pool-below"), conn.create_bucket("pool-above")
    for key in ("changed", "kept"):
        below.add_string("below", key)
    above.add_string("above", "made")
    pool.resources.append(below)
    pool.submit()
    shown = []
    for resources in ([], [above]):
        task = conn.create_task("after it", pool, 1)
        task.constants["DOCKER_CMD"] = "sh -c 'find -type f | sort; cat made changed kept; ls'"
        task.resources = resources
        task.submit()
        assert "Success" == finished(task).state, task.errors
        shown.append(task.stdout(instanceId=0))
    pool.delete()

    files = "./a/deep\n./changed\n./kept\n./made\n"
    names = "a\nchanged\nkept\nmade\n"
    assert [
        f"{files}made\nchanged\nbelow{names}", f"{files}abovechanged\nbelow{names}"
    ] == shown  # fmt: skip


def test_tasks_get_what_their_pool_says(conn: Any, server: Server) -> None:
    """Secrets, credentials, forced constants, retries and its hardware, as a task of its own."""
    Secrets(conn).create_secret("pool/one", "first")
    pool = conn.create_pool("gives", "docker-batch", 1)
    pool.secrets_access_rights = SecretsAccessRights([SecretAccessRightBySecret("pool/one")], [])
    pool.privileges = Privileges(True)
    pool.default_retry_settings = RetrySettings(2, 1)
    pool.hardware_constraints = [MinimumCoreHardware(2)]
    pool.forced_constants = {"FORCED": ForcedConstant("by-the-pool")}
    command = "sh -c 'echo $QARNOT_SECRET__pool__one $QARNOT_CLIENT_TOKEN $FORCED; false'"
    pool.preparation_command_line = command.replace("; false", "")
    pool.submit()
    task = conn.create_task("is given", pool, 1)
    task.constants["DOCKER_CMD"] = command
    task.submit()
    finished(task)
    (ended,) = conn._get(f"/tasks/{task.uuid}").json()["completedInstances"]
    told = f"first {server.facts['token']} by-the-pool\n"

    assert (told, told * 2) == (pool.stdout(instanceId=0), task.stdout(instanceId=0))
    assert ("Failure", 2, 2) == (task.state, ended["executionAttemptCount"], ended["coreCount"])
    pool.delete()


def test_a_slot_is_its_part_of_a_node() -> None:
    """Four tasks of a node must not get its processors four times."""
    node = drover.Resources(cpus=6, memory=8 << 30, gpus=1)

    assert drover.Resources(cpus=1, memory=2 << 30, gpus=1) == shared_out(node, 4)
    assert node == shared_out(node, 1)


def test_a_pool_that_queues_too_long_fails_and_is_forgotten_in_time(conn: Any) -> None:
    """`max_time_queue_seconds`, then `completion_ttl`: nobody else looks after it."""
    filler = conn.create_task("filler", "docker-batch", os.cpu_count())
    filler.constants["DOCKER_CMD"] = "sleep 600"
    filler.submit()
    until(lambda: (filler.update(True), filler.state == "FullyExecuting")[1])
    pool = conn.create_pool("late", "docker-batch", 1)
    pool.preparation_command_line = "true"
    pool.max_time_queue_seconds = 1
    pool.completion_ttl = dt.timedelta(seconds=2)
    pool.submit()
    try:
        until(lambda: (pool.update(True), pool.state == "Failure")[1])
        assert "still queued after 1 s" == pool.errors[0].message

        def gone() -> bool:
            try:
                pool.update(True)
            except MissingPoolException:
                return True
            return False

        until(gone)
    finally:
        filler.abort()
        finished(filler)
