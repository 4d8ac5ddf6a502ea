"""Options of the cloud that change what runs, on a server of our own."""

import time
from typing import Any

import pytest
from qarnot_live import Place

import drover
from drover.models import Outcome, Reason, Resources, Started, Verb
from drover.states import State
from drover_qarnot import job_of, task_of


def native(**options: Any) -> dict[str, Any]:
    return {"qarnot": options}


def end(job: drover.Job) -> Outcome:
    assert job.outcome is not None, [str(entry.event) for entry in job.history()]
    return job.outcome


def test_what_has_failed_is_run_again(away: Place) -> None:
    """The cloud tries again as often as it was told, and the last end is the job's."""
    bucket = f"tries-{time.monotonic_ns()}"
    options = {"retries": {"total": 5, "per_instance": 2}, "snapshot_whitelist": "no"}
    job = away.run("sh", "-c", "echo tried; exit 4", name=bucket, native=native(**options))
    task = task_of(away.session, job)
    (instance,) = task.completed_instances

    assert (Reason.EXITED, 4) == (end(job).reason, end(job).exit_code)
    assert 3 == instance.execution_attempt_count
    assert "tried\n" == job.stdout.read()
    assert {"maxTotalRetries": 5, "maxPerInstanceRetries": 2} == task.retry_settings.to_json()


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.TERMINATE])
def test_what_was_ended_is_not_run_again(away: Place, verb: Verb) -> None:
    """A command that exits in its own way after TERM has failed, to the cloud."""
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    job = away.submit("sh", "-c", script, native=native(retries={"total": 5}))
    away.until("up", lambda: job.stdout.read_bytes() == b"up\n")
    away.session.ask([job], verb, grace_s=20)
    job.wait(60)
    task = task_of(away.session, job)
    (instance,) = task.completed_instances
    keys = [row.key for row in task.resources[-1].list_files()]

    assert (State.CANCELLED, 3) == (job.state, end(job).exit_code)
    assert 1 == instance.execution_attempt_count
    # Should its node have been lost meanwhile, what runs in its place heeds this.
    assert f"run/{task.shortname}/.drover/closed.0" in keys


def test_what_is_forced_wins(away: Place) -> None:
    """A constant that is forced overrules the other, and both reach the command."""
    options = {
        "constants": {"MINE": "asked", "OTHER": "asked"},
        "forced_constants": {"MINE": {"value": "forced", "access": "ReadOnly", "export": True}},
        "forced_network_rules": [{"inbound": True, "proto": "tcp", "port": 8080}],
    }
    job = away.run("sh", "-c", 'echo "$MINE $OTHER"', native=native(**options))
    task = task_of(away.session, job)

    assert "forced asked\n" == job.stdout.read()
    assert [{"inbound": True, "proto": "tcp", "port": "8080"}] == [
        rule.to_json() for rule in task.forced_network_rules
    ]


def test_credentials_and_secrets_reach_the_command(away: Place, connection: Any) -> None:
    """A job that was given rights can use them: the variables come through the runner."""
    from qarnot.secrets import Secrets

    name = f"key_{time.monotonic_ns()}"
    Secrets(connection).create_secret(f"options/{name}", "hidden")
    variable = f"QARNOT_SECRET__options__{name}"
    script = 'printenv "$0"; echo "${#QARNOT_CLIENT_TOKEN} $AWS_ACCESS_KEY_ID"'
    rights = {"secrets": {"prefixes": ["options"]}, "export_credentials": True}
    with_rights = away.run("sh", "-c", script, variable, native=native(**rights))
    without = away.run("sh", "-c", script, variable)

    token = len(connection._http.headers["Authorization"])
    assert f"hidden\n{token} {connection.user_info.email}\n" == with_rights.stdout.read()
    assert "0 \n" == without.stdout.read()


@pytest.mark.parametrize("by", ["slug", "uuid"])
def test_a_task_is_the_project_s(away: Place, connection: Any, by: str) -> None:
    """Whose budget pays is said by a name that people know."""
    (project,) = connection.user_info.projects
    job = away.run("true", native=native(project=getattr(project, by)))

    assert (Reason.EXITED, project.uuid) == (
        end(job).reason, task_of(away.session, job).project.uuid
    )  # fmt: skip


def test_a_project_that_is_not_there_is_told(away: Place) -> None:
    """Nobody else pays instead."""
    job = away.run("true", native=native(project="no-such"))

    assert (Reason.REFUSED, Started.NO) == (end(job).reason, end(job).started)
    assert "no project 'no-such'; there are: default" in end(job).message


def test_snapshots_go_where_they_are_told(away: Place, connection: Any) -> None:
    """What a running job has made lies in a bucket of its own, apart from the results."""
    name = f"snapshots-{time.monotonic_ns()}"
    bucket = connection.create_bucket(name)
    options = {"snapshot_interval": 1, "snapshot_whitelist": r"\.part$",
               "snapshot_bucket": name, "snapshot_prefix": "soon/"}  # fmt: skip
    job = away.submit("sh", "-c", "echo 1 >x.part; exec sleep 60", native=native(**options))

    away.until("there", lambda: [row.key for row in bucket.list_files()] == ["soon/x.part"])
    assert job.cancel(grace_s=1, timeout=60).gone


def test_the_cloud_s_job_bears_tags(away: Place, connection: Any) -> None:
    """Jobs of the cloud are found by tags, as tasks are."""
    name = f"tagged-{time.monotonic_ns()}"
    job = away.run("true", native=native(job={"name": name, "tags": [name]}))
    whole = job_of(away.session, job)

    whole.update(flushcache=True)
    assert [name] == whole.tags
    whole.terminate()


def test_a_reserved_node_is_asked_for(away: Place, connection: Any) -> None:
    """What stands behind a reservation is seen at the cloud."""
    job = away.run("true", resources=Resources(reservation="r"))
    task = task_of(away.session, job)

    assert ("Reserved", "r") == (
        task.scheduling_type.schedulingType,
        task.targeted_reservation_name,
    )
