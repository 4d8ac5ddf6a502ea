"""What the official package's own objects tell of jobs of drover's, and do to them.

Source: the pages `qarnot.task.Task` and `qarnot.job.Job` of the package's manual.
"""

import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from qarnot_live import LiveServer, Place

import drover
from drover.models import Array, Reason
from drover.states import State
from drover_qarnot import job_of, task_of

OPTIONS: dict[str, Any] = {
    "constants": {"MINE": "7"}, "constraints": {"size": "large"}, "tags": ["asked"],
    "labels": {"a": "b"}, "result_bucket": "official-results",
    "snapshot_whitelist": "w1", "snapshot_blacklist": "b1",
    "results_whitelist": r"\.txt$", "results_blacklist": "secret",
    "hardware_constraints": [{"minimum_cores": 1}], "resources_cache_ttl_s": 60,
    "auto_delete": True, "completion_ttl": 30 * 3600, "max_time_queue_s": 600,
    "wait_for_pool_resources": True, "upload_results_on_cancellation": False,
    "scheduling": "OnDemand", "export_credentials": True, "secrets": {"keys": ["official/key"]},
}  # fmt: skip
SCRIPT = (
    'echo "out $INSTANCE_ID $MINE"; echo err >&2; echo 1 >"$INSTANCE_ID.txt"; echo 2 >secret.txt; '
    "exit $INSTANCE_ID"
)


@frozen(kw_only=True)
class Ended:
    """An array of two instances that has ended, its second one badly, and its task."""

    array: drover.JobArray
    task: Any


@pytest.fixture(scope="module")
def ended(away: Place, connection: Any) -> Ended:
    connection.create_bucket("official-results")
    spec = drover.JobSpec(
        argv=("sh", "-c", SCRIPT), name="official", array=Array(indices=2), cwd=str(away.folder),
        native={"qarnot": OPTIONS},
    )  # fmt: skip
    array = away.session.submit(spec)
    assert isinstance(array, drover.JobArray)
    array.wait(60)
    return Ended(array=array, task=task_of(away.session, array[0]))


def in_time(moment: Any) -> bool:
    """Tell whether a moment was lately. Some come as text, as the package leaves them."""
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    return abs(dt.datetime.now(dt.UTC) - moment.replace(tzinfo=dt.UTC)) < dt.timedelta(minutes=5)


def test_run_is_a_command_of_drover_s(qarnot_server: LiveServer, tmp_path: Path) -> None:
    """Submit, wait and bring back what it said: in one line, from any terminal."""
    config = {**qarnot_server.config, "shared_files": False, "image": ""}
    lines = [f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
             for key, value in config.items()]  # fmt: skip
    (tmp_path / "drover.toml").write_text("\n".join(["[backends.qarnot]", *lines, ""]))
    environment = {**os.environ, "DROVER_HOME": str(tmp_path / "home")}

    def type_in(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "drover", *words], cwd=tmp_path, env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    try:
        done = type_in("run", "--backend", "qarnot", "--", "sh", "-c", "echo hello; exit 3")
    finally:
        type_in("engine", "stop")

    assert (3, "hello\n") == (done.returncode, done.stdout), done.stderr


def test_the_task_tells_what_was_asked(away: Place, ended: Ended, connection: Any) -> None:
    """Whoever reads the task by the official package finds what was asked of drover."""
    task = ended.task
    raw = connection._get(f"/tasks/{task.uuid}").json()

    assert ("official", "docker-batch", 2, None) == (
        task.name, task.profile, task.instancecount, task.advanced_range
    )  # fmt: skip
    assert connection.retrieve_task(task.shortname).uuid == task.uuid
    assert (["asked"], {"a": "b"}, "7") == (task.tags[3:], task.labels, task.constants["MINE"])
    # The package sends constraints, and never reads them back.
    assert [{"key": "size", "value": "large"}] == raw["constraints"]
    assert ("w1", "b1") == (task.snapshot_whitelist, task.snapshot_blacklist)
    assert r"\.txt$" in task.results_whitelist
    assert "secret" in task.results_blacklist
    assert (True, "1.06:00:00", 600) == (
        task.auto_delete, task.completion_ttl, task.max_time_queue_seconds
    )  # fmt: skip
    assert (True, False, 60) == (
        task.wait_for_pool_resources_synchronization,
        task.upload_results_on_cancellation,
        task.default_resources_cache_ttl_sec,
    )
    assert ["MinimumCoreHardware"] == [type(one).__name__ for one in task.hardware_constraints]
    assert "OnDemand" == task.scheduling_type.schedulingType
    assert {"exportApiAndStorageCredentialsInEnvironment": True} == task.privileges.to_json()
    assert [{"key": "official/key"}] == task.secrets_access_rights.to_json()["bySecret"]
    assert "official-results" == task.results.uuid
    assert len(task.resources) == 2


def test_the_task_tells_what_became_of_it(ended: Ended) -> None:
    """States, errors and times at the cloud are those of the job's own instances."""
    task = ended.task
    first, second = sorted(task.completed_instances, key=lambda one: one.instance_id)

    assert [(Reason.EXITED, 0), (Reason.EXITED, 1)] == [
        (job.outcome.reason, job.outcome.exit_code) for job in ended.array if job.outcome
    ]
    assert ("Failure", "Success", "Failure") == (task.state, first.state, second.state)
    assert len(task.errors) == 1
    assert "Instance 1" in task.errors[0].message
    assert any(name.endswith("/0.txt") for name in first.results), first.results
    assert not any("secret.txt" in name for name in [*first.results, *second.results])
    assert (0, 0) == (task.running_core_count, task.running_instance_count)
    assert task.status is not None
    assert all(map(in_time, (task.creation_date, task.end_date, task.last_modified)))
    assert in_time(task.state_transition_time)
    assert in_time(task.previous_state_transition_time)
    assert "UploadingResults" == task.previous_state
    assert (100.0, 0) == (task.progress, task.snapshot_interval)
    assert task.carbon_facts().energy_consumption_Wh >= 0
    assert task.credits() is not None
    assert "00:00:00" <= task.execution_time <= task.wall_time < "00:05:00"


def test_output_is_read_by_the_package_as_well(ended: Ended) -> None:
    """The cloud's own streams hold what the command wrote, for each instance."""
    task = ended.task

    assert "out 1 7\n" == task.stdout(1)
    assert "err\n" == task.stderr(0)
    assert {"0> out 0 7", "1> out 1 7"} == set(task.stdout().splitlines())
    assert {"0> err", "1> err"} == set(task.stderr().splitlines())
    assert ("out 0 7\n", "") == (task.fresh_stdout(0), task.fresh_stdout(0))
    assert ("err\n", "") == (task.fresh_stderr(1), task.fresh_stderr(1))
    # What drover reads is taken from nobody.
    assert "out 0 7\n" == ended.array[0].stdout.read()


def test_results_are_downloaded_by_the_package_as_well(ended: Ended, tmp_path: Path) -> None:
    """Another program waits for the same task, and takes the files that the user chose."""
    assert ended.task.wait(timeout=1)
    assert "Failure" == ended.task.print_progress()
    ended.task.resume(str(tmp_path / "resumed"))
    ended.task.download_results(str(tmp_path / "downloaded"))

    for folder in ("resumed", "downloaded"):
        names = {path.name for path in (tmp_path / folder).iterdir() if path.is_file()}
        assert {"0.txt", "1.txt"} == names


def test_the_task_is_kept_up_to_date(away: Place, ended: Ended, connection: Any) -> None:
    """What the package shows is the cloud's word of now, unless somebody wants the older one."""
    from qarnot.task import Task

    task = task_of(away.session, ended.array[1])
    raw = connection._get(f"/tasks/{task.uuid}").json()
    again = Task.from_json(connection, {**raw, "state": "Submitted"})
    again.auto_update = False
    older = again.state
    again.update(flushcache=True)

    assert (True, 5) == (task.auto_update, task.update_cache_time)
    assert ("Submitted", "Failure") == (older, again.state)
    again.update_cache_time = 60
    assert (task.uuid, 60) == (again.uuid, again.update_cache_time)


def test_a_task_that_runs_is_changed(away: Place, connection: Any) -> None:
    """New tags are taken, files that come later reach the command, and drover loses nothing."""
    name = f"official-{time.monotonic_ns()}"
    bucket = connection.create_bucket(name)
    script = "while ! test -e late; do sleep 0.05; done; cat late"
    native = {"qarnot": {"resources": [name], "tags": ["early"]}}
    job = away.submit("sh", "-c", script, native=native)
    away.until("running", lambda: job.refresh().state is State.RUNNING)
    task = task_of(away.session, job)
    running = (task.running_instance_count, task.running_core_count)
    (info,) = task.status.running_instances_info.per_running_instance_info
    task.tags = [*task.tags, "late"]
    task.commit()
    bucket.add_string("came late\n", "late")
    task.update_resources()
    outcome = job.wait(60)

    assert running >= (1, 1)
    assert ("execution", 0) == (info.phase, info.instance_id)
    assert ["early", "late"] == task_of(away.session, job).tags[3:]
    assert (outcome.exit_code, job.stdout.read()) == (0, "came late\n")


def test_a_job_of_the_cloud_tells_what_was_asked(away: Place, connection: Any) -> None:
    """The cloud's own job is as the options say, and is one for all that name it."""
    from qarnot.job import Job

    pool = connection.create_pool("official", "docker-batch", 1, shortname="official-pool")
    pool.submit()
    try:
        # A name of this run's own: a job that has ended takes no more tasks.
        name = f"official-{time.monotonic_ns()}"
        options = {"name": name, "pool": "official-pool", "max_wall_time": 3600,
                   "auto_delete": True, "completion_ttl": "00:10:00"}  # fmt: skip
        jobs = [away.submit("true", native={"qarnot": {"job": options}}) for _ in range(2)]
        away.session.wait(jobs, timeout=60)
        whole = job_of(away.session, jobs[0])
        again = job_of(away.session, jobs[1])

        assert [Reason.EXITED] * 2 == [job.outcome.reason for job in jobs if job.outcome]
        assert (whole.uuid, name, True, "Active") == (
            again.uuid, whole.name, whole.use_dependencies, whole.state
        )  # fmt: skip
        assert connection.retrieve_job(whole.shortname).uuid == whole.uuid
        assert {task_of(away.session, job).uuid for job in jobs} == {t.uuid for t in whole.tasks}
        assert (pool.uuid, dt.timedelta(hours=1)) == (whole.pool.uuid, whole.max_wall_time)
        assert (True, "00:10:00", True, 5) == (
            whole.auto_delete, whole.completion_ttl, whole.auto_update, whole.update_cache_time
        )  # fmt: skip
        assert whole.tags == []
        whole.update(flushcache=True)
        assert in_time(whole.creation_date)
        assert in_time(whole.state_transition_time)
        raw = connection._get(f"/jobs/{whole.uuid}").json()
        assert Job.from_json(connection, raw).uuid == whole.uuid
        whole.terminate()
        away.until("over", lambda: (whole.update(flushcache=True), whole.state == "Completed")[1])
        assert "Terminating" == whole.previous_state
        assert in_time(whole.previous_state_transition_time)
    finally:
        pool.delete()
