"""Tasks, through the unmodified SDK."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
import qarnot
from qarnot.exceptions import (
    MissingTaskException,
    MissingTaskInstanceException,
    QarnotGenericException,
    UnauthorizedException,
)

from .conftest import Server, finished, run, until


def test_a_task_runs_and_tells_what_it_wrote(conn: Any) -> None:
    """The first sample of every manual must work as it stands."""
    task = run(conn, "echo hello world from node #${FRAME_ID}!", 3)

    assert "Success" == task.state
    assert "".join(f"{n}> hello world from node #{n}!\n" for n in range(3)) == task.stdout()
    assert "hello world from node #1!\n" == task.stdout(instanceId=1)
    assert [0, 1, 2] == [one.instance_id for one in task.completed_instances]
    assert ["Success"] * 3 == [one.state for one in task.completed_instances]
    assert "0-2" == task.status.succeeded_range
    assert task.previous_state == "UploadingResults"
    assert task.errors == []


def test_a_range_runs_its_instances_alone(conn: Any) -> None:
    """Instance 4 of a range must be told that it is 4, and nobody else run."""
    task = run(conn, "sh -c 'echo $INSTANCE_ID of $INSTANCE_COUNT'", "1,4-5")

    assert "1> 1 of 3\n4> 4 of 3\n5> 5 of 3\n" == task.stdout()
    assert "1,4-5" == task.advanced_range
    with pytest.raises(MissingTaskInstanceException):
        task.stdout(instanceId=2)


def test_a_failed_instance_fails_its_task_and_says_why(conn: Any) -> None:
    """Scripts read `errors[0]` as soon as they see Failure."""
    task = run(conn, "sh -c 'echo oops >&2; exit $INSTANCE_ID'", 2)

    assert "Failure" == task.state
    assert "Instance 1: exit code 1" == task.errors[0].message
    assert "0> oops\n1> oops\n" == task.stderr()
    assert ("0", "1") == (task.status.succeeded_range, task.status.failed_range)


def test_constants_reach_the_command_as_they_are(conn: Any) -> None:
    """A constant is a value: no shell of ours may read it, whatever is in it."""
    hostile = "$(touch pwned) `id` ; rm -rf / 'q\" \\ \u00e9\u4e2d ${DOCKER_CMD} %s \t"
    task = conn.create_task("hostile", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = 'sh -c \'printf "%s|%s" "$HOSTILE" "$DROVER_TOKEN"; ls\''
    task.constants["HOSTILE"] = hostile
    task.constants["LD_PRELOAD"] = "/nowhere.so"
    task.constants["PYTHONSTARTUP"] = "/nowhere.py"
    task.constants["NUMBER"] = 26
    task.submit()
    finished(task)

    shown, _, rest = task.stdout(instanceId=0).partition("|")
    assert hostile == shown
    assert "pwned" not in rest
    assert "26" == task.constants["NUMBER"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 2048}, "name"),
        ({"instanceCount": 0}, "instanceCount"),
        ({"instanceCount": 10_001}, "instanceCount"),
        ({"instanceCount": None}, "instanceCount"),
        ({"advancedRanges": "1-3"}, "instanceCount"),
        ({"instanceCount": None, "advancedRanges": "0-999999999"}, "advancedRanges"),
        ({"instanceCount": None, "advancedRanges": "../1"}, "advancedRanges"),
        ({"profile": "none-such"}, "profile"),
        ({"profile": None}, "profile"),
        ({"poolUuid": "11111111-1111-1111-1111-111111111111", "profile": None}, "poolUuid"),
        ({"jobUuid": "11111111-1111-1111-1111-111111111111"}, "jobUuid"),
        ({"shortname": "-no"}, "shortname"),
        ({"tags": ["x" * 512]}, "tags"),
        ({"constants": [{"key": "a b", "value": "x"}]}, "constants"),
        ({"constants": [{"key": "A", "value": "x\0y"}]}, "constants"),
        ({"constants": [{"key": "A", "value": "x" * 2049}]}, "constants"),
        ({"constants": [{"key": f"A{n}", "value": "x"} for n in range(151)]}, "constants"),
        ({"labels": {"x": "y" * (2 << 20)}}, "body"),
        ({"resultsWhitelist": "("}, "resultsWhitelist"),
        ({"resultBucket": "../../etc"}, "bucket"),
        ({"completionTimeToLive": "soon"}, "completionTimeToLive"),
        ({"targetedReservationName": "mine"}, "schedulingType"),
        ({"dependencies": {"dependsOn": ["x"]}}, "dependencies"),
        ({"hardwareConstraints": [{"discriminator": "Magic"}]}, "hardwareConstraints"),
    ],
)
def test_what_cannot_be_is_refused_and_named(
    api: Callable[..., Any], change: dict[str, Any], field: str
) -> None:
    """A wrong body is the client's to mend: 400, with the field, in both of the API's shapes."""
    body = {"name": "x", "profile": "docker-batch", "instanceCount": 1} | change
    answer = api("POST", "/tasks", body)

    assert 400 == answer.status_code
    assert any(field in name for name in answer.json()["errors"])
    assert field in answer.json()["message"]


def test_hardware_that_is_not_there_is_refused_as_the_sdk_expects(conn: Any) -> None:
    """The SDK tells hardware from money by the words of a 402."""
    task = conn.create_task("big", "docker-batch", 1)
    task.hardware_constraints = [qarnot.hardware_constraint.MinimumCoreHardware(4096)]

    with pytest.raises(QarnotGenericException, match="hardware constraint"):
        task.submit()


def test_an_abort_ends_what_runs(conn: Any) -> None:
    """After an abort nothing of the task may go on."""
    task = conn.create_task("long", "docker-batch", 2)
    task.constants["DOCKER_CMD"] = "sleep 600"
    task.submit()
    until(lambda: (task.update(True), task.state == "FullyExecuting")[1])
    running = task.status.running_instances_info.per_running_instance_info
    assert [0, 1] == [one.instance_id for one in running]
    assert 2 == task.running_instance_count
    task.abort()

    assert finished(task).state == "Cancelled"
    assert "0-1" == task.status.failed_range
    task.abort()  # of a task that has ended: `run` with a time limit always does


def test_run_with_a_time_limit_aborts(conn: Any) -> None:
    """`run` calls abort after its wait, also where the task has ended: that must not raise."""
    task = conn.create_task("short", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "true"
    task.run(job_timeout=1)
    assert finished(task).state in {"Success", "Cancelled"}

    task = conn.create_task("long", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "sleep 600"
    task.run(job_timeout=0.2)

    assert "Cancelled" == finished(task).state


def test_a_deleted_task_is_gone_at_once(conn: Any, server: Server) -> None:
    """A second delete is a 404, the name is free, and nothing stays on the disk."""
    task = conn.create_task("gone", "docker-batch", 1, shortname="to-be-deleted")
    task.constants["DOCKER_CMD"] = "sleep 600"
    task.submit()
    uuid = task.uuid
    folder = server.home / "tasks" / uuid
    until(lambda: (task.update(True), task.state == "FullyExecuting")[1])
    again = conn.retrieve_task(uuid)
    task.delete()

    with pytest.raises(MissingTaskException):
        again.delete()
    with pytest.raises(MissingTaskException):
        conn.retrieve_task("to-be-deleted")
    other = conn.create_task("gone", "docker-batch", 1, shortname="to-be-deleted")
    other.submit()
    until(lambda: not folder.exists())


def test_a_task_is_found_by_its_shortname_which_is_its_own(conn: Any) -> None:
    """A shortname is the key by which a client finds what it may have submitted."""
    task = conn.create_task("named", "docker-batch", 1, shortname="by-name-1")
    task.submit()

    assert task.uuid == conn.retrieve_task("by-name-1").uuid
    with pytest.raises(QarnotGenericException, match=task.uuid):
        conn.create_task("named", "docker-batch", 1, shortname="by-name-1").submit()


def test_fresh_output_is_what_came_since_and_whole_output_moves_nothing(conn: Any) -> None:
    """Each view of a stream has its own mark; reading all of it consumes nothing."""
    task = conn.create_task("talk", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = (
        "sh -c 'echo one; printf tw; while [ ! -e go ]; do sleep 0.05; done; echo o; echo three'"
    )
    task.submit()
    until(lambda: task.stdout(instanceId=0) == "one\ntw")

    assert "0> one\n" == task.fresh_stdout()
    assert "" == task.fresh_stdout()
    assert "one\ntw" == task.fresh_stdout(instanceId=0)
    task.abort()
    finished(task)
    assert "0> tw\n" == task.fresh_stdout()
    assert "0> one\n0> tw\n" == task.stdout()


def test_tags_and_constants_can_be_changed(conn: Any) -> None:
    """The SDK sends the whole object, of a task that it retrieved, without its buckets."""
    task = conn.create_task("tagged", "docker-batch", 1)
    task.tags = ["before"]
    task.submit()
    found = conn.retrieve_task(task.uuid)
    found.tags = ["after", "more"]
    found.commit()

    assert ["after", "more"] == conn.retrieve_task(task.uuid).tags
    assert [task.uuid] == [one.uuid for one in conn.all_tasks(tags_intersect=["after", "more"])]
    assert [] == list(conn.all_tasks(tags=["before"]))


def test_failed_instances_are_run_again_as_often_as_was_asked(conn: Any) -> None:
    """Per instance and in all: whichever is less."""
    task = conn.create_task("again", "docker-batch", 2)
    task.constants["DOCKER_CMD"] = "sh -c 'echo try; exit 1'"
    task.retry_settings = qarnot.retry_settings.RetrySettings(3, 2)
    task.submit()
    finished(task)

    tries = [one.execution_attempt_count for one in task.completed_instances]
    assert "Failure" == task.state
    assert 5 == sum(tries), "two runs, and three more in all"
    assert max(tries) <= 3
    assert 5 == task.stdout().count("> try")


def test_a_task_that_queues_too_long_fails(conn: Any) -> None:
    """`maxTimeQueueSeconds`: a task that cannot start must not wait for ever."""
    pool = conn.create_pool("narrow", "docker-batch", 1)
    pool.submit()
    first = conn.create_task("first", pool, 1)
    first.constants["DOCKER_CMD"] = "sleep 600"
    first.submit()
    late = conn.create_task("late", pool, 1)
    late.max_time_queue_seconds = 1
    late.submit()
    finished(late)

    assert "Failure" == late.state
    assert "still queued after 1 s" == late.errors[0].message
    pool.delete()


def test_a_task_is_forgotten_after_its_time(conn: Any) -> None:
    """`completion_ttl`: nobody else cleans up."""
    task = run(conn, "true", completion_ttl=dt.timedelta(seconds=1))

    def gone() -> bool:
        try:
            task.update(True)
        except MissingTaskException:
            return True
        return False

    until(gone)


def test_many_tasks_in_one_call_each_for_itself(conn: Any) -> None:
    """A bad one among them must not cost the others."""
    tasks = [conn.create_task(f"bulk-{n}", "docker-batch", 1) for n in range(3)]
    tasks[1]._name = ""
    with pytest.raises(QarnotGenericException, match="name"):
        conn.submit_tasks(tasks)

    assert [True, False, True] == [task.uuid is not None for task in tasks]
    assert "Success" == finished(tasks[2]).state


def test_pages_hold_each_task_once(conn: Any) -> None:
    """A listing over several pages must neither lose nor repeat."""
    tag = "paged"
    tasks = [conn.create_task(f"page-{n}", "docker-batch", 1) for n in range(5)]
    for task in tasks:
        task.tags = [tag]
    conn.submit_tasks(tasks)
    first = conn.tasks_page(tags=[tag], maximum=2)
    second = conn.tasks_page(tags=[tag], maximum=2, token=first.next_token)
    third = conn.tasks_page(tags=[tag], maximum=2, token=second.next_token)

    assert [True, True, False] == [one.is_truncated for one in (first, second, third)]
    found = [task.uuid for one in (first, second, third) for task in one.page_data]
    assert sorted(task.uuid for task in tasks) == sorted(found)
    assert {task.uuid for task in tasks} <= {task.uuid for task in conn.all_tasks()}


@pytest.mark.parametrize(
    ("leaf", "names"),
    [
        ({"operator": "Equal", "field": "Name", "value": "f-a"}, {"f-a"}),
        ({"operator": "NotEqual", "field": "name", "value": "f-a"}, {"f-b", "f-c"}),
        ({"operator": "In", "field": "NAME", "values": ["f-a", "f-c"]}, {"f-a", "f-c"}),
        ({"operator": "NotIn", "field": "Name", "value": ["f-a", "f-c"]}, {"f-b"}),
        ({"operator": "Like", "field": "Name", "value": "f-[ab]$"}, {"f-a", "f-b"}),
        ({"operator": "GreaterThan", "field": "InstanceCount", "value": 1}, {"f-b", "f-c"}),
        ({"operator": "LessThan", "field": "CreationDate", "value": "2001-01-01T00:00:00Z"}, set()),
        ({"operator": "Or", "filters": [
            {"operator": "Equal", "field": "Name", "value": "f-a"},
            {"operator": "Equal", "field": "InstanceCount", "value": 3}]}, {"f-a", "f-c"}),
    ],
)  # fmt: skip
def test_filters_choose(
    api: Callable[..., Any], filtered: str, leaf: dict[str, Any], names: set[str]
) -> None:
    """A filter that chose too much would delete what it should not."""
    tag = {"operator": "Equal", "field": "Tags", "value": filtered}
    body = {"filter": {"operator": "And", "filters": [tag, leaf]}, "maximumResults": 50}
    answer = api("POST", "/tasks/summaries/paginate", body)

    assert 200 == answer.status_code
    assert names == {row["name"] for row in answer.json()["data"]}


@pytest.mark.parametrize(
    "leaf",
    [
        {"operator": "Equal", "field": "Name' OR 1=1 --", "value": "x"},
        {"operator": "Sideways", "field": "Name", "value": "x"},
        {"operator": "Equal", "field": "Name", "value": {"a": 1}},
        {"operator": "Like", "field": "Name", "value": "("},
        {"operator": "And", "filters": "x"},
        [],
    ],
)
def test_filters_that_are_none_are_refused(api: Callable[..., Any], leaf: Any) -> None:
    """No text of a client may become SQL, or be taken for a filter that chooses all."""
    answer = api("POST", "/tasks/paginate", {"filter": leaf})

    assert 400 == answer.status_code


@pytest.fixture(scope="module")
def filtered(conn: Any) -> str:
    tasks = [conn.create_task(f"f-{name}", "docker-batch", n + 1) for n, name in enumerate("abc")]
    for task in tasks:
        task.tags = ["filtered"]
    conn.submit_tasks(tasks)
    return "filtered"


def test_a_profile_of_the_home_runs_its_own_words(conn: Any) -> None:
    """A profile's command is the operator's; its constants are the user's."""
    task = conn.create_task("noisy", "noisy", 1)
    task.constants["WORD"] = "x; exit 0"
    task.submit()
    finished(task)

    assert "Failure" == task.state
    assert "exit code 3" in task.errors[0].message
    assert ("x; exit 0\n", "bad\n") == (task.stdout(instanceId=0), task.stderr(instanceId=0))


def test_what_failed_is_run_again_as_a_new_task(conn: Any, api: Callable[..., Any]) -> None:
    """`retry` runs failed instances alone, `clone` all of them."""
    task = run(conn, "sh -c 'exit $INSTANCE_ID'", 3)
    retried = conn.retrieve_task(api("POST", f"/tasks/{task.uuid}/retry", None).json()["uuid"])
    cloned = api("POST", f"/tasks/{task.uuid}/clone", {"instanceCount": 1, "name": "one"})

    assert "1-2" == retried.advanced_range
    assert 1 == conn.retrieve_task(cloned.json()["uuid"]).instancecount
    assert 403 == api("POST", f"/tasks/{task.uuid}/resume", None).status_code


def test_what_a_user_may_not_see_is_not_there(server: Server, conn: Any) -> None:
    """Two users of one server must not even learn that the other's tasks exist."""
    task = run(conn, "true")
    other = server.connect(server.add_user("other@example.org"))

    with pytest.raises(MissingTaskException):
        other.retrieve_task(task.uuid)
    assert [] == list(other.all_tasks())
    assert "other@example.org" == other.user_info.email


def test_a_wrong_token_is_told_so(server: Server) -> None:
    """Everything but the public settings needs a token."""
    with pytest.raises(UnauthorizedException):
        server.connect("wrong").profiles_names()


def test_tokens_and_secrets_are_not_written_down(server: Server, conn: Any) -> None:
    """A copy of the database, or the log, must not let anybody in."""
    task = conn.create_task("hidden", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = "printenv QARNOT_SECRET__KEY"
    task.constants["QARNOT_SECRET__KEY"] = "hush-hush-hush"
    task.submit()
    finished(task)
    token = server.facts["token"].encode()
    files = [path for path in server.home.rglob("*") if path.is_file()]

    assert "hush-hush-hush\n" == task.stdout(instanceId=0)
    assert "[SECRET]" == task.constants["QARNOT_SECRET__KEY"]
    found = {path.relative_to(server.home).parts[0] for path in files
             if token in path.read_bytes() or b"hush-hush" in path.read_bytes()}  # fmt: skip
    assert {"tasks"} == found, "the task's own output alone"
    assert token.decode() not in server.log()
    assert "hush-hush" not in server.log()
    assert 0o600 == (server.home / "key").stat().st_mode & 0o777
    assert 0o600 == (server.home / "qarnot.db").stat().st_mode & 0o777


@pytest.mark.parametrize("path", ["//settings", "/v1/settings", "/settings/"])
def test_paths_are_taken_as_clients_write_them(
    server: Server, api: Callable[..., Any], path: str
) -> None:
    """The SDK's own sample configuration has a URL that ends in `/`."""
    del server
    assert {"storage"} == set(api("GET", path, None).json())


def test_bodies_that_are_no_json_or_too_large_are_refused(api: Callable[..., Any]) -> None:
    """Nothing that a client sends may end the server, or fill its memory."""
    assert 400 == api("POST", "/tasks", b"{").status_code
    assert 400 == api("POST", "/tasks", b"[" * 100_000).status_code
    assert 413 == api("POST", "/tasks", b'"' + b"x" * (33 << 20)).status_code
    assert 404 == api("GET", "/nowhere", None).status_code
    assert 200 == api("GET", "/info", None).status_code


def test_a_body_that_was_answered_makes_another_task(api: Callable[..., Any]) -> None:
    """Only what was never answered is taken for a repetition."""
    body = json.dumps({"name": "twin", "profile": "docker-batch", "instanceCount": 1}).encode()
    uuids = {api("POST", "/tasks", body).json()["uuid"] for _ in range(2)}

    assert 2 == len(uuids)


def test_profiles_and_hardware_are_listed(conn: Any) -> None:
    """Scripts look profiles up before they use them."""
    assert {"docker-batch", "python", "noisy"} <= set(conn.profiles_names())
    assert ("WORD", "word") in conn.retrieve_profile("noisy").constants
    assert 4 < len(list(conn.all_hardware_constraints()))
    found = conn.search_cpu_model_constraints("ryzen 7")
    assert "Ryzen 7 3700X" == found[0]._cpu_model
