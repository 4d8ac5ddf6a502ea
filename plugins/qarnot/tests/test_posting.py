"""What is posted: the official package's own JSON, with what the user asked for."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from drover.models import (
    RESOURCE_FIELDS,
    SPEC_FIELDS,
    Attempt,
    Condition,
    JobSpec,
    Predecessor,
    Resources,
    Support,
    Transfer,
)
from drover_qarnot._config import QarnotConfig
from drover_qarnot._options import JOB, NATIVE, native_problem
from drover_qarnot._plan import EMULATED, IGNORED, LOCAL_ONLY, REFUSED, judge, make_plan
from drover_qarnot._posting import group, masked, runner_plan, stdin_name, task_json
from drover_qarnot._states import MOST_INSTANCES

STORE = "store"
SHARED = QarnotConfig(shared_files=True)
AWAY = QarnotConfig()


def attempt(number: int = 1, *, array: str | None = None, **fields: Any) -> Attempt:
    spec = JobSpec(**{"argv": ["echo", "hi"], "cwd": "/here", **fields})
    return Attempt(
        job_id=f"j{number}",
        number=1,
        token=f"store-j{number}-1",
        spec=spec,
        array_id=array,
        array_index=None if array is None else number,
        base_environment={"PATH": "/bin"},
        base_digest="d",
        variables={"DROVER_JOB_ID": f"j{number}"},
    )


def posted(config: QarnotConfig = AWAY, **fields: Any) -> dict[str, Any]:
    (work,) = group([attempt(**fields)])
    return task_json(work, config, "qarnot", STORE)


def with_native(**options: Any) -> dict[str, Any]:
    assert native_problem(options) == ""
    return posted(native={"qarnot": options})


def test_the_user_s_words_are_not_in_the_task() -> None:
    """A command line that the cloud splits and expands changes words; it holds none of them."""
    body = posted(argv=["sh", "-c", "rm ${HOME} 'x'"], env={"PASSWORD": "hunter2"})
    command = {entry["key"]: entry["value"] for entry in body["constants"]}["DOCKER_CMD"]

    assert command == f"python3 -I -S .drover/runner.py {body['shortname']}"
    assert "hunter2" not in json.dumps(body)


def test_the_token_is_in_name_and_tags() -> None:
    """Whoever has lost the answer finds the task by its token, and nobody can make a second."""
    first, again, other = posted(number=1), posted(number=1), posted(number=2)

    assert first["shortname"] == again["shortname"] != other["shortname"]
    assert first["tags"] == ["drover", first["shortname"], "drover-token=store-j1-1"]


def test_an_array_is_one_task() -> None:
    """Elements are instances, by their own indices."""
    (whole,) = group([attempt(n, array="a") for n in (2, 0, 1)])
    (part,) = group([attempt(n, array="a") for n in (1, 3, 4, 5)])

    assert task_json(whole, AWAY, "qarnot", STORE)["instanceCount"] == 3
    body = task_json(part, AWAY, "qarnot", STORE)
    assert (body["advancedRanges"], "instanceCount" in body) == ("1,3-5", False)
    plan = runner_plan(part, AWAY, "qarnot")
    assert sorted(plan["members"]) == ["1", "3", "4", "5"]
    assert plan["common"]["argv"] == ["echo", "hi"]


def test_an_array_that_differs_is_several_tasks() -> None:
    """Another attempt, or other predecessors, cannot be in a task that is there already."""
    first, second, third = (attempt(n, array="a") for n in range(3))
    before = Predecessor(job="p", token="t-p", native_id="u.0", condition=Condition.ENDED)
    second = evolve(second, number=2)
    third = evolve(third, predecessors=(before,))

    assert [1, 1, 1] == [len(work.attempts) for work in group([first, second, third])]
    assert 3 == len({work.name for work in group([first, second, third])})


def test_a_task_has_no_more_instances_than_the_cloud_takes() -> None:
    """An array of 5000 is three tasks, of neighbours each, whatever the order they come in."""
    count = 2 * MOST_INSTANCES + 10
    works = group([attempt(n, array="a") for n in reversed(range(count))])

    assert [MOST_INSTANCES, MOST_INSTANCES, 10] == [len(work.attempts) for work in works]
    assert [0, MOST_INSTANCES, 2 * MOST_INSTANCES] == [min(w.instances.values()) for w in works]
    assert "2048-4095" == task_json(works[1], AWAY, "qarnot", STORE)["advancedRanges"]


def test_each_element_has_the_stdin_that_it_names() -> None:
    """One file for all is uploaded once; one for each is told apart by its index."""
    each = attempt(4, array="a", stdin="in.%a")
    common = attempt(4, array="a", stdin="in")

    assert ("stdin.4", "stdin") == (stdin_name(each, 4), stdin_name(common, 4))
    (work,) = group([each])
    assert "stdin.4" == runner_plan(work, AWAY, "qarnot")["members"]["4"]["stdin"]
    assert "in.4" == runner_plan(work, SHARED, "qarnot")["members"]["4"]["stdin"]


def test_a_plan_says_where_and_how_long() -> None:
    """The node has a folder of its own unless it sees ours, and the wall time is the runner's."""
    (work,) = group([attempt(resources=Resources(wall_time=60))])
    away, shared = (runner_plan(work, config, "qarnot") for config in (AWAY, SHARED))

    assert (None, "/here") == tuple(plan["members"]["0"]["cwd"] for plan in (away, shared))
    assert (False, True) == (away["shared"], shared["shared"])
    assert 60.0 == away["members"]["0"]["wall_time"]
    # What all have is told apart only where there are several.
    assert "argv" not in away["common"]


def test_a_long_name_is_cut() -> None:
    """The cloud takes no longer ones, and the name is for people alone."""
    assert "x" * 200 == posted(name="x" * 250)["name"]


def test_the_record_of_a_command_that_was_ended_comes_back() -> None:
    """Without it nobody knows its exit code; the cloud would keep it back."""
    assert posted()["uploadResultsOnCancellation"] is True


def test_jobs_that_are_no_array_are_tasks_of_their_own() -> None:
    """What is submitted apart is cancelled, purged and paid for apart."""
    assert len(group([attempt(1), attempt(2)])) == 2


def test_a_plan_holds_each_environment_once() -> None:
    """Two thousand elements with an environment of 4 KB each would be 8 MB."""
    (work,) = group([attempt(n, array="a") for n in range(3)])
    plan = runner_plan(work, AWAY, "qarnot")

    assert plan["bases"] == {"d": {"PATH": "/bin"}}
    assert plan["members"]["2"]["env"] == {"DROVER_JOB_ID": "j2"}


def test_inputs_are_resources_and_later_ones_lie_over_earlier_ones() -> None:
    """The user's buckets come first, so that nothing in them replaces the runner."""
    body = posted(
        inputs=[Transfer(source="a", target="b")],
        native={"qarnot": {"resources": ["mine", {"bucket": "other", "prefix": "p/", "strip": "p/",
                                                  "cache_ttl_s": 60}]}},
    )  # fmt: skip
    rows = body["advancedResourceBuckets"]

    assert [row["bucketName"] for row in rows[:2]] == ["mine", "other"]
    assert rows[0]["filtering"] == {}
    assert rows[1] == {
        "bucketName": "other",
        "filtering": {"prefixFiltering": {"prefix": "p/"}},
        "resourcesTransformation": {"stripPrefix": {"prefix": "p/"}},
        "cacheTTLSec": 60,
    }
    prefixes = [row["filtering"]["prefixFiltering"]["prefix"] for row in rows[2:]]
    assert [prefix.split("/")[0] for prefix in prefixes] == ["in", "tools", "run"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"constants": {"A": "1", "B": 2, "C": True}}, None),
        ({"constraints": {"c": "v"}}, {"constraints": [{"key": "c", "value": "v"}]}),
        ({"labels": {"l": "v"}}, {"labels": {"l": "v"}}),
        ({"hardware_constraints": [{"minimum_cores": 4}, {"ssd": True}, {"cpu_model": "x"}]},
         {"hardwareConstraints": [
             {"discriminator": "MinimumCoreHardwareConstraint", "coreCount": 4},
             {"discriminator": "SSDHardwareConstraint"},
             {"discriminator": "CpuModelHardwareConstraint", "cpuModel": "x"}]}),
        ({"result_bucket": "mine"}, {"resultBucket": "mine"}),
        ({"snapshot_whitelist": "a", "snapshot_blacklist": "b"},
         {"snapshotWhitelist": "a", "snapshotBlacklist": "b"}),
        ({"auto_delete": True, "completion_ttl": 30 * 3600},
         {"autoDeleteOnCompletion": True, "completionTimeToLive": "1.06:00:00"}),
        ({"completion_ttl": "00:10:00"}, {"completionTimeToLive": "00:10:00"}),
        ({"max_time_queue_s": 60}, {"maxTimeQueueSeconds": 60}),
        ({"upload_results_on_cancellation": False}, {"uploadResultsOnCancellation": False}),
        ({"wait_for_pool_resources": True, "pool": "p"},
         {"waitForPoolResourcesSynchronization": True, "poolUuid": "p", "profile": None}),
        ({"resources_cache_ttl_s": 5}, {"defaultResourcesCacheTTLSec": 5}),
        ({"export_credentials": True},
         {"privileges": {"exportApiAndStorageCredentialsInEnvironment": True}}),
        ({"scheduling": "OnDemand"}, {"schedulingType": "OnDemand"}),
        ({"reservation_machine": "m"}, {"targetedReservedMachineKey": "m"}),
        ({"secrets": {"keys": ["k"], "prefixes": ["p"]}},
         {"secretsAccessRights": {"bySecret": [{"key": "k"}], "byPrefix": [{"prefix": "p"}]}}),
        ({"forced_constants": {"A": "1", "B": {"value": "2", "export": False,
                                               "access": "ReadOnly"}}},
         {"forcedConstants": [
             {"constantName": "A", "forcedValue": "1"},
             {"constantName": "B", "forcedValue": "2", "forceExportInEnvironment": False,
              "access": "ReadOnly"}]}),
        ({"forced_network_rules": [
             {"inbound": False, "proto": "udp", "name": "n", "application_type": "ssh",
              "port": 22, "to": "a", "public_host": "h", "public_port": "8000-8010",
              "forwarder": "f", "priority": "1", "description": "d", "to_qbox": True,
              "to_payload": False}]},
         {"forcedNetworkRules": [
             {"inbound": False, "proto": "udp", "name": "n", "applicationType": "ssh",
              "port": "22", "to": "a", "publicHost": "h", "publicPort": "8000-8010",
              "forwarder": "f", "priority": "1", "description": "d", "toQBox": True,
              "toPayload": False}]}),
        ({"retries": {"total": 3}},
         {"retrySettings": {"maxTotalRetries": 3, "maxPerInstanceRetries": None}}),
        ({"retries": {"per_instance": 2}},
         {"retrySettings": {"maxTotalRetries": None, "maxPerInstanceRetries": 2}}),
        ({"project": "p"}, {"projectUuid": "p"}),
        ({"results_cache_ttl_s": 7}, {"ResultsCacheTTLSec": 7}),
        ({"job": {"name": "n"}}, {"jobUuid": "n", "profile": "docker-batch"}),
        ({"job": {"name": "n", "pool": "p"}}, {"jobUuid": "n", "profile": None}),
    ],
)  # fmt: skip
def test_an_option_is_asked_of_the_cloud(
    options: Mapping[str, Any], expected: Mapping[str, Any] | None
) -> None:
    """An option that does not reach the cloud has no effect, and nobody would know."""
    body = with_native(**options)
    if expected is None:
        told = {entry["key"]: entry["value"] for entry in body["constants"]}
        assert (told["A"], told["B"], told["C"]) == ("1", "2", "true")
    else:
        assert {key: body[key] for key in expected} == expected


def test_the_user_s_tags_are_beside_ours() -> None:
    """Tags are how people find their tasks at the cloud."""
    assert with_native(tags=["mine"])["tags"][3:] == ["mine"]


@pytest.mark.parametrize(
    ("options", "kept", "left"),
    [
        ({}, [], ["work.txt"]),
        ({"results_whitelist": r"\.txt$"}, ["work.txt"], ["work.bin"]),
        ({"results_blacklist": r"exit|json|txt"}, [], ["work.txt"]),
        ({"results_whitelist": "(?i)TXT$", "results_blacklist": "^private"}, ["a.txt"],
         ["private.txt"]),
    ],
)  # fmt: skip
def test_filters_never_keep_our_records_back(
    options: dict[str, Any], kept: list[str], left: list[str]
) -> None:
    """Without its record nobody knows how a command ended."""
    body = with_native(**options)
    white, black = body["resultsWhitelist"], body.get("resultsBlacklist")

    def comes(name: str) -> bool:
        return bool(re.search(white, name)) and not (black and re.search(black, name))

    assert comes(f"{body['shortname']}/0/exit.0.json")
    assert [name for name in kept if not comes(name)] == []
    assert [name for name in left if comes(name)] == []


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpus": 1}, []),
        ({"cpus": 2}, [("coreCount", 2)]),
        ({"memory": 2**20}, [("minimumMemoryMB", 1)]),
        ({"memory": 2**20 + 1}, [("minimumMemoryMB", 2)]),
    ],
)
def test_a_node_has_at_least_what_was_asked_for(
    resources: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    """Half a megabyte less is less, and one core is what every node has."""
    rows = posted(resources=Resources(**resources))["hardwareConstraints"]

    assert expected == [(key, row[key]) for row in rows for key in row if key != "discriminator"]


def test_resources_are_constraints_and_a_reservation() -> None:
    """What a job needs is asked of the cloud in its own words."""
    wanted = Resources(cpus=4, memory="3GiB", gpus=1, queue="docker-network", reservation="r")
    body = posted(resources=wanted)

    assert body["profile"] == "docker-network"
    assert [row["discriminator"] for row in body["hardwareConstraints"]] == [
        "MinimumCoreHardwareConstraint", "MinimumRamHardwareConstraint", "GpuHardwareConstraint",
    ]  # fmt: skip
    assert body["hardwareConstraints"][1]["minimumMemoryMB"] == 3072
    assert (body["schedulingType"], body["targetedReservationName"]) == ("Reserved", "r")


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (None, ("python", "3.12-slim")),
        ("ubuntu", ("ubuntu", "latest")),
        ("registry:5000/a/b:7", ("registry:5000/a/b", "7")),
        ("registry:5000/a/b", ("registry:5000/a/b", "latest")),
        ("a/b:7@sha256:0123", ("a/b", "7")),
    ],
)
def test_a_container_is_repository_and_tag(
    container: str | None, expected: tuple[str, str]
) -> None:
    """An image of another name is another program."""
    told = {entry["key"]: entry["value"] for entry in posted(container=container)["constants"]}

    assert (told["DOCKER_REPO"], told["DOCKER_TAG"]) == expected


def test_an_image_of_the_user_s_own_constants_stays() -> None:
    """Who has set the profile's constants knows the profile."""
    body = with_native(constants={"DOCKER_REPO": "mine"})
    told = {entry["key"]: entry["value"] for entry in body["constants"]}

    assert ("mine", None) == (told["DOCKER_REPO"], told.get("DOCKER_TAG"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"no_such": 1}, "no option 'no_such'"),
        ({"constants": ["a"]}, "'constants' is a mapping"),
        ({"snapshot_interval": 0}, "'snapshot_interval' is a whole number, 1 or more"),
        ({"completion_ttl": "soon"}, "'completion_ttl' is seconds"),
        ({"results_whitelist": "("}, "no regular expression"),
        ({"scheduling": "Now"}, "one of Flex, OnDemand, Reserved"),
        ({"tags": ["t"] * 7}, "room for 6"),
        ({"job": {}}, "needs a name"),
        ({"job": {"nam": "n"}}, "no option 'job.nam'"),
        ({"job": {"name": "n", "tags": "t"}}, "'job.tags' is a list"),
        ({"job": {"name": "n"}, "pool": "p"}, "as 'job.pool'"),
        ({"dependencies": True}, "needs 'job'"),
        ({"hardware_constraints": [{"minimum_cores": 0}]}, "'minimum_cores' is int, not 0"),
        ({"hardware_constraints": [{"x": 1}]}, "no hardware constraint 'x'"),
        ({"hardware_constraints": ["ssd"]}, "each hardware constraint is one of"),
        ({"resources": [{"prefix": "p"}]}, "names its bucket"),
        ({"resources": [{"bucket": "b", "x": 1}]}, "a mapping with bucket, prefix"),
        ({"secrets": {"keys": "k"}}, "'keys' and 'prefixes', lists"),
        ({"purge_results": True}, "name it as 'result_bucket'"),
        ({"purge_resources": True}, "name them as 'resources'"),
        ({"constants": {"DOCKER_CMD": "x"}}, "the job's argv"),
        ({"forced_constants": {"DOCKER_CMD": "x"}}, "the job's argv"),
        ({"forced_constants": ["A"]}, "'forced_constants' is a mapping"),
        ({"forced_constants": {"A": 1}}, "'A': 'value' is a text, not 1"),
        ({"forced_constants": {"A": {"export": True}}}, "'A': it has no 'value'"),
        ({"forced_constants": {"A": {"value": "1", "export": "yes"}}}, "'export' is true or false"),
        ({"forced_constants": {"A": {"value": "1", "access": "None"}}}, "ReadOnly, ReadWrite"),
        ({"forced_constants": {"A": {"value": "1", "x": 1}}}, "no key 'x'"),
        ({"forced_network_rules": ["ssh"]}, "rule 1 is a mapping with inbound"),
        ({"forced_network_rules": [{"proto": "tcp"}]}, "rule 1: it has no 'inbound'"),
        ({"forced_network_rules": [{"inbound": True}]}, "rule 1: it has no 'proto'"),
        ({"forced_network_rules": [{"inbound": True, "proto": "icmp"}]}, "one of tcp, udp"),
        ({"forced_network_rules": [{"inbound": True, "proto": "tcp", "port": "ssh"}]}, "a port"),
        ({"forced_network_rules": [{"inbound": True, "proto": "tcp", "port": True}]}, "a port"),
        ({"forced_network_rules": [{"inbound": 1, "proto": "tcp"}]}, "'inbound' is true or false"),
        ({"retries": {}}, "'retries' is empty"),
        ({"retries": {"total": 0}}, "each a whole number, 1 or more"),
        ({"retries": {"per_node": 1}}, "total and per_instance"),
        ({"snapshot_bucket": "b"}, "needs 'snapshot_interval'"),
        ({"snapshot_prefix": "p"}, "needs 'snapshot_interval'"),
        ({"project": 1}, "'project' is text"),
    ],
)  # fmt: skip
def test_a_bad_option_is_refused(options: dict[str, Any], named: str) -> None:
    """An option that is passed over is worse than an error, and its user must know which."""
    spec = JobSpec(argv=["true"], native={"qarnot": options})
    entry = judge("qarnot", "native", spec, AWAY)

    assert entry.support is Support.REFUSED
    assert named in entry.note


def test_every_field_is_judged() -> None:
    """A field that drover adds later must be looked at here."""
    honoured = {
        "argv", "name", "cwd", "env", "inherit_env", "stdin", "join_output", "after", "array",
        "retry", "tags", "hold", "not_before", "deadline", "expires_after", "container", "parent",
        "native", "resources.gpus", "resources.queue", "resources.reservation",
    }  # fmt: skip
    every = {*SPEC_FIELDS, *(f"resources.{name}" for name in RESOURCE_FIELDS)} - {"resources"}

    assert honoured | set(REFUSED) | set(IGNORED) | set(EMULATED) | set(LOCAL_ONLY) == every


@pytest.mark.parametrize("field", sorted({*LOCAL_ONLY}))
def test_paths_of_this_machine_are_refused_where_it_is_not_seen(field: str) -> None:
    """A file that is written on a node that nobody sees is lost."""
    spec = JobSpec(argv=["true"], **{field: "f"})

    assert judge("qarnot", field, spec, AWAY).support is Support.REFUSED
    assert judge("qarnot", field, spec, SHARED).support is Support.HONOURED


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b"])
def test_transfers_stay_in_the_job_s_folder(path: str) -> None:
    """On the node there is nothing else that is the job's."""
    into = JobSpec(argv=["true"], inputs=[Transfer(source="a", target=path)])
    out = JobSpec(argv=["true"], outputs=[Transfer(source=path, target="a")])

    assert judge("qarnot", "inputs", into, AWAY).support is Support.REFUSED
    assert judge("qarnot", "outputs", out, AWAY).support is Support.REFUSED


def test_a_plan_shows_the_task_without_secrets() -> None:
    """Plans are pasted into mails; passwords of registries are constants."""
    options = {"constants": {"DOCKER_REGISTRY_PASSWORD": "hunter2"},
               "forced_constants": {"ALSO": "hunter2"}}  # fmt: skip
    spec = JobSpec(argv=["true"], native={"qarnot": options})
    body = with_native(**options)
    plan = make_plan("qarnot", spec, AWAY, body)

    assert json.dumps(body).count("hunter2") == 2
    assert "hunter2" not in plan.script
    assert json.loads(plan.script) == masked(body)
    assert plan.command[-1] == body["shortname"]


def test_a_plan_shows_every_option() -> None:
    """Who looks at the plan sees all that would be asked for; it is the posted JSON itself."""
    options: dict[str, Any] = {
        "retries": {"total": 3}, "project": "mine", "resources_cache_ttl_s": 5,
        "secrets": {"keys": ["k"]}, "export_credentials": True,
        "forced_constants": {"A": {"value": "1", "access": "ReadOnly"}},
        "forced_network_rules": [{"inbound": True, "proto": "tcp", "port": 22}],
    }  # fmt: skip
    spec = JobSpec(argv=["true"], native={"qarnot": options})
    shown = json.loads(make_plan("qarnot", spec, AWAY, with_native(**options)).script)

    assert (3, "mine", 5) == (
        shown["retrySettings"]["maxTotalRetries"], shown["projectUuid"],
        shown["defaultResourcesCacheTTLSec"],
    )  # fmt: skip
    assert [{"key": "k"}] == shown["secretsAccessRights"]["bySecret"]
    assert shown["privileges"]["exportApiAndStorageCredentialsInEnvironment"] is True
    assert [{"constantName": "A", "forcedValue": "***", "access": "ReadOnly"}] == (
        shown["forcedConstants"]
    )
    assert ["22"] == [rule["port"] for rule in shown["forcedNetworkRules"]]


def test_options_are_documented() -> None:
    """The page has a row for every option."""
    page = Path(__file__).parents[3] / "docs/plugins/qarnot.md"
    if not page.exists():
        pytest.skip("the documentation is out of sight (nox -s wheels)")
    text = page.read_text(encoding="utf-8")

    assert [name for name in NATIVE if f"`{name}`" not in text] == []
    assert [name for name in JOB if f"`job.{name}`" not in text] == []


@pytest.mark.parametrize("field", sorted(REFUSED))
def test_what_the_cloud_cannot_do_is_refused_with_a_reason(field: str) -> None:
    """A job must not run without what it asked for."""
    entry = judge("qarnot", field, JobSpec(argv=["true"]), SHARED)

    assert (entry.support, bool(entry.note)) == (Support.REFUSED, True)


def test_an_order_is_left_out_only_where_that_is_allowed() -> None:
    """Some jobs run late without their priority; none must without its user's word."""
    spec = JobSpec(argv=["true"], resources=Resources(priority=10))
    plan = make_plan("qarnot", spec, AWAY, posted())

    assert [entry.field for entry in plan.refused()] == ["resources.priority"]
    assert plan.refused(allow=["resources.priority"]) == ()
