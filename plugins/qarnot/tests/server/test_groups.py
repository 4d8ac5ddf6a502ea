"""Jobs, dependencies and pools, through the unmodified SDK."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from qarnot.exceptions import (
    MissingJobException,
    MissingPoolException,
    MissingTaskException,
    QarnotGenericException,
    UnauthorizedException,
)
from qarnot.pool import Pool
from qarnot.scaling import FixedScalingPolicy, ManagedTasksQueueScalingPolicy, Scaling

from .conftest import finished, until


def make_task(conn: Any, name: str, where: Any, command: str, job: Any = None) -> Any:
    task = conn.create_task(name, where, 1, job=job)
    task.constants["DOCKER_CMD"] = command
    return task


def in_state(thing: Any, *states: str) -> Callable[[], bool]:
    def look() -> bool:
        thing.update(True)
        return thing.state in states

    return look


def test_a_task_waits_for_the_tasks_it_depends_on(conn: Any) -> None:
    """The second must not start before the first has ended."""
    job = conn.create_job("chain", useDependencies=True)
    job.submit()
    first = make_task(conn, "first", "docker-batch", "sh -c 'sleep 0.5; date +%s%N'", job)
    first.submit()
    second = make_task(conn, "second", "docker-batch", "date +%s%N", job)
    second.set_task_dependencies_from_tasks([first])
    second.submit()

    assert "Submitted" == second.state
    assert "Success" == finished(second).state
    assert int(first.stdout(instanceId=0)) < int(second.stdout(instanceId=0))
    assert {"first", "second"} == {one["name"] for one in conn._get(
        f"/jobs/{job.uuid}/tasks").json()}  # fmt: skip


def test_a_dependency_that_ends_otherwise_cancels(conn: Any, api: Callable[..., Any]) -> None:
    """What waits for a success must not wait for ever behind a failure."""
    job = conn.create_job("broken", useDependencies=True)
    job.submit()
    first = make_task(conn, "first", "docker-batch", "false", job)
    first.submit()
    body = {"name": "w", "profile": "docker-batch", "instanceCount": 1, "jobUuid": job.uuid}
    uuids: list[str] = []
    for condition in (["Success"], ["failure", "cancelled"], None):
        depends = {"taskUuid": first.uuid, "taskFinalStateCondition": condition}
        answer = api("POST", "/tasks", body | {"dependencies": {"advancedDependsOn": [depends]}})
        uuids.append(answer.json()["uuid"])
    ends = [finished(conn.retrieve_task(uuid)) for uuid in uuids]

    assert ["Cancelled", "Success", "Success"] == [one.state for one in ends]
    assert "ended as Failure" in ends[0].errors[0].message
    shown = api("GET", f"/tasks/{uuids[0]}", None).json()["dependencies"]
    assert "dependencyConditionsNotFulfilled" == shown["state"]
    assert "Failure" == shown["advancedDependsOn"][0]["actualFinalState"]


def test_dependencies_outside_the_job_are_refused(conn: Any) -> None:
    """A dependency that could never be met would wait for ever."""
    job = conn.create_job("plain", useDependencies=False)
    job.submit()
    first = make_task(conn, "first", "docker-batch", "true", job)
    first.submit()
    second = make_task(conn, "second", "docker-batch", "true", job)
    second.set_task_dependencies_from_uuids([first.uuid])

    with pytest.raises(QarnotGenericException, match="useDependencies"):
        second.submit()


def test_a_terminated_job_ends_its_tasks_and_takes_no_more(conn: Any) -> None:
    """`terminate` is how a user stops a whole computation."""
    job = conn.create_job("stop", useDependencies=False)
    job.tags = ["mine"]
    job.submit()
    task = make_task(conn, "long", "docker-batch", "sleep 600", job)
    task.submit()
    until(in_state(task, "FullyExecuting"))
    assert "Active" == job.state
    job.terminate()

    assert "Cancelled" == finished(task).state
    until(in_state(job, "Completed"))
    with pytest.raises(QarnotGenericException, match="Completed"):
        make_task(conn, "late", "docker-batch", "true", job).submit()


def test_a_job_is_deleted_with_its_tasks_only_when_that_is_asked_for(conn: Any) -> None:
    """`delete()` of a job that works is refused, `delete(forceAbort=True)` is not."""
    job = conn.create_job("force", useDependencies=False)
    job.submit()
    task = make_task(conn, "long", "docker-batch", "sleep 600", job)
    task.submit()
    uuid = job.uuid
    with pytest.raises(UnauthorizedException, match="not ended"):
        conn.retrieve_job(uuid).delete()
    job.delete(forceAbort=True)

    with pytest.raises(MissingJobException):
        conn.retrieve_job(uuid)
    with pytest.raises(MissingTaskException):
        task.update(True)


def test_a_job_ends_after_its_wall_time(conn: Any) -> None:
    """`max_wall_time` is the user's protection against a computation that never ends."""
    job = conn.create_job("wall", useDependencies=False)
    job.max_wall_time = dt.timedelta(seconds=1)
    job.submit()
    task = make_task(conn, "long", "docker-batch", "sleep 600", job)
    task.submit()

    assert "Cancelled" == finished(task).state
    until(in_state(job, "Completed"))
    assert dt.timedelta(seconds=1) == conn.retrieve_job(job.uuid).max_wall_time


def test_jobs_are_listed_and_their_shortnames_are_their_own(conn: Any) -> None:
    """A job is found by what a user called it."""
    job = conn.create_job("named", shortname="job-by-name")
    job.submit()

    assert job.uuid == conn.retrieve_job("job-by-name").uuid
    assert job.uuid in {one.uuid for one in conn.all_jobs()}
    with pytest.raises(QarnotGenericException, match=job.uuid):
        conn.create_job("named", shortname="job-by-name").submit()


def test_a_pool_is_prepared_and_runs_no_more_than_its_slots(conn: Any) -> None:
    """A pool of one slot is a promise: two tasks of it never run at once."""
    pool = conn.create_pool("one", "docker-batch", 1)
    pool.preparation_command_line = "sh -c 'echo ready'"
    pool.constants["SHARED"] = "from-the-pool"
    pool.submit()
    tasks = [
        make_task(conn, f"t{n}", pool, "sh -c 'date +%s%N; sleep 0.2; date +%s%N; echo $SHARED'")
        for n in range(2)
    ]
    for task in tasks:
        task.submit()
    texts = [finished(task).stdout(instanceId=0).split() for task in tasks]
    (one_start, one_end, shared), (two_start, two_end, _) = sorted(texts)

    assert "from-the-pool" == shared
    assert int(one_start) < int(one_end) <= int(two_start) < int(two_end)
    assert "0> ready\n" == pool.stdout()
    pool.update(True)
    assert "FullyExecuting" == pool.state
    assert pool.uuid == conn.retrieve_task(tasks[0].uuid).pool.uuid
    pool.close()
    until(in_state(pool, "Closed"))
    with pytest.raises(QarnotGenericException, match="closed"):
        make_task(conn, "late", pool, "true").submit()
    uuid = pool.uuid
    pool.delete()
    with pytest.raises(MissingPoolException):
        conn.retrieve_pool(uuid)


def test_a_pool_that_cannot_be_prepared_fails(conn: Any) -> None:
    """Its tasks must not wait for a pool that never opens."""
    pool = conn.create_pool("bad", "docker-batch", 1)
    pool.preparation_command_line = "false"
    pool.submit()
    task = make_task(conn, "t", pool, "true")
    task.submit()

    assert "Cancelled" == finished(task).state
    until(in_state(pool, "Failure"))
    assert "preparation" in pool.errors[0].message


def test_an_elastic_pool_has_the_slots_that_its_tasks_need(conn: Any) -> None:
    """Between its bounds it grows with the queue; a job's pool is that of its tasks."""
    pool = Pool(conn, "elastic", "docker-batch")
    pool.setup_elastic(minimum_total_slots=0, maximum_total_slots=3)
    pool.submit()
    job = conn.create_job("in-pool", pool=pool)
    job.submit()
    tasks = [make_task(conn, f"e{n}", None, "sleep 600", job) for n in range(4)]
    for task in tasks:
        task.submit()

    def running() -> int:
        for task in tasks:
            task.update(True)
        return sum(task.state == "FullyExecuting" for task in tasks)

    try:
        # How many of them run at once is up to this machine's processors.
        until(lambda: running() and sum(task.state != "Submitted" for task in tasks) == 3)
    finally:
        pool.delete()
    for task in tasks:
        assert "Cancelled" == finished(task).state


def test_scaling_policies_come_back_as_they_went(conn: Any) -> None:
    """The SDK compares types; one that it does not know would break its next commit."""
    pool = conn.create_pool("scaled", "docker-batch")
    pool.scaling = Scaling(
        [
            FixedScalingPolicy(2, "weekend"),
            ManagedTasksQueueScalingPolicy(0, 4, name="rest"),
        ]
    )
    pool.submit()
    found = conn.retrieve_pool(pool.uuid)

    assert ["weekend", "rest"] == [one.name for one in found.scaling.policies]
    assert "weekend" == found.scaling.active_policy_name
    assert 2 == found.total_slot_capacity
    found.tags = ["changed"]
    found.commit()
    assert ["changed"] == conn.retrieve_pool(pool.uuid).tags
    assert pool.uuid in {one.uuid for one in conn.all_pools()}
    pool.delete()
