"""What a user asks for, on a cloud that sees nothing of this machine's files."""

import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import drover
from drover.events import ProgressMade
from drover.models import (
    Array,
    Dependency,
    Outcome,
    Reason,
    Resources,
    Retry,
    Started,
    Transfer,
    Verb,
)
from drover.states import State
from drover_qarnot import NoTaskError, job_of, task_of

SHOW = "import os, sys; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))"


def end(job: drover.Job) -> Outcome:
    assert job.outcome is not None, [str(entry.event) for entry in job.history()]
    return job.outcome


def is_gone(connection: Any, uuid: str) -> bool:
    """Tell whether the cloud knows a task no more."""
    from qarnot.exceptions import MissingTaskException

    try:
        return str(connection.retrieve_task(uuid).state) == "PendingDelete"
    except MissingTaskException:
        return True


def code(job: drover.Job) -> tuple[Reason, int | None]:
    return end(job).reason, end(job).exit_code


def test_a_command_arrives_byte_for_byte(away: Any) -> None:
    """The cloud splits and expands command lines; none of it may touch the user's words."""
    words = ["", "a b", "'", '"', "${HOME}", "$(id)", "\\", "a\nb", "é", "\xff", "*", "--"]
    job = away.run(sys.executable, "-c", SHOW, *words)

    assert job.stdout.read_bytes().split(b"\0") == [os.fsencode(word) for word in words]


def test_a_job_has_a_folder_of_its_own(away: Any) -> None:
    """What the client calls its folder is not there; relative names stay in the job's own."""
    job = away.run("sh", "-c", 'pwd; echo "$OWN $INSTANCE_ID"', env={"OWN": "mine"})
    folder, variables = job.stdout.read().splitlines()

    assert not folder.startswith(str(away.folder))
    assert variables == "mine 0"


def test_name_tags_and_constants_are_seen_at_the_cloud(away: Any) -> None:
    """Whoever looks at the cloud's own console must recognise the job."""
    options = {"constants": {"MINE": "7"}, "tags": ["project-x"], "labels": {"a": "b"},
               "completion_ttl": 3600, "auto_delete": True}  # fmt: skip
    job = away.run("sh", "-c", 'echo "$MINE"', name="seen", native={"qarnot": options})
    task = task_of(away.session, job)

    assert (task.name, task.state, job.stdout.read()) == ("seen", "Success", "7\n")
    assert task.tags[-1] == "project-x"
    assert (task.auto_delete, task.labels) == (True, {"a": "b"})
    assert task.completion_ttl.endswith("01:00:00")


def test_stdin_is_uploaded(away: Any) -> None:
    """A file of this machine is what the command reads there."""
    (away.folder / "in").write_bytes(bytes(range(256)))

    assert away.run("cat", stdin="in").stdout.read_bytes() == bytes(range(256))


def test_files_and_folders_travel(away: Any) -> None:
    """Names, modes, links and empty folders are there as they were here, in both directions."""
    tree = away.folder / "tree"
    (tree / "sub dir").mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "sub dir/run.sh").write_text("#!/bin/sh\ncat big >copy; cp -a in out; echo $?\n")
    (tree / "sub dir/run.sh").chmod(0o750)
    (tree / "link").symlink_to("sub dir/run.sh")
    big = os.urandom(20 * 2**20 + 17)
    (away.folder / "big.bin").write_bytes(big)
    job = away.run(
        "./in/link",
        inputs=[Transfer(source="tree", target="in"), Transfer(source="big.bin", target="big")],
        outputs=[Transfer(source="out", target="back"), Transfer(source="copy", target="./")],
    )
    back = away.folder / "back"

    assert code(job) == (Reason.EXITED, 0), end(job)
    assert (away.folder / "copy").read_bytes() == big
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == [
        "empty", "link", "sub dir", "sub dir/run.sh",
    ]  # fmt: skip
    assert (back / "link").readlink() == Path("sub dir/run.sh")
    assert stat.S_IMODE((back / "sub dir/run.sh").stat().st_mode) == 0o750
    moving = [e.event.progress for e in job.history() if isinstance(e.event, ProgressMade)]
    assert {"inputs", "outputs"} <= {progress.text.partition(":")[0] for progress in moving}


def test_an_output_that_is_missing_keeps_the_exit_code(away: Any) -> None:
    """The command has run and its code is known, whatever became of the transfer."""
    job = away.run("true", outputs=[Transfer(source="nothing", target="nothing")])

    assert code(job) == (Reason.STAGING_FAILED, 0)
    assert "nothing" in end(job).message


def test_an_input_that_is_missing_starts_nothing(away: Any) -> None:
    """A command without its inputs would go wrong in its own way."""
    job = away.run("true", inputs=[Transfer(source="no such file", target="x")])

    assert (end(job).reason, end(job).started) == (Reason.STAGING_FAILED, Started.NO)


def test_an_array_is_one_task_with_an_end_for_each(away: Any) -> None:
    """Instances that fail do not make the others fail, and each has its own output."""
    (away.folder / "shared").write_text("for all")
    array = away.session.submit(
        drover.JobSpec(
            argv=("sh", "-c", 'cat in; echo " $DROVER_ARRAY_INDEX"; exit $DROVER_ARRAY_INDEX'),
            array=Array(indices=(0, 2, 5)),
            cwd=str(away.folder),
            inputs=[Transfer(source="shared", target="in")],
        )
    )
    assert isinstance(array, drover.JobArray)
    array.wait(60)
    tasks = {task_of(away.session, job).uuid for job in array}

    assert len(tasks) == 1
    assert task_of(away.session, array[0]).advanced_range == "0,2,5"
    assert [code(job)[1] for job in array] == [0, 2, 5]
    assert [job.stdout.read() for job in array] == [f"for all {n}\n" for n in (0, 2, 5)]


def test_one_element_can_be_cancelled(away: Any) -> None:
    """The cloud aborts whole tasks; the others of the array must go on."""
    script = "trap 'exit 3' TERM; while ! test -e stop; do sleep 0.05; done"
    array = away.session.submit(
        drover.JobSpec(argv=("sh", "-c", script), array=Array(indices=2), cwd=str(away.folder))
    )
    assert isinstance(array, drover.JobArray)
    first, second = array
    away.until("running", lambda: {j.state for j in array} == {State.RUNNING})
    verdict = first.cancel(grace_s=10, timeout=60)

    assert verdict.gone, verdict
    assert (first.state, end(first).exit_code) == (State.CANCELLED, 3)
    assert second.refresh().state is State.RUNNING
    assert second.cancel(grace_s=0.5, timeout=60).gone


def test_output_is_live(away: Any) -> None:
    """Output is followed while the job runs, bytes that are no text included."""
    job = away.submit("sh", "-c", "printf 'a\\377\\n'; exec sleep 60")
    away.until("readable", lambda: job.stdout.read_bytes() == b"a\xff\n")
    follower = job.stdout.follow()

    assert next(follower).startswith("a")
    assert job.cancel(grace_s=1, timeout=60).gone
    assert job.stdout.read_bytes() == b"a\xff\n"


def test_snapshots_bring_files_of_a_running_job(away: Any) -> None:
    """Long jobs are looked into: now and then by themselves, or at once."""
    options = {"snapshot_interval": 1, "snapshot_whitelist": r"\.part$",
               "snapshot_blacklist": "secret", "result_bucket": "snapshots-bucket"}  # fmt: skip
    script = "echo 3 >secret.part; echo 2 >x.other; echo 1 >x.part; exec sleep 60"
    job = away.submit("sh", "-c", script, native={"qarnot": options})
    task = None

    def names() -> list[str]:
        return [entry.key for entry in task.results.list_files()] if task else []

    away.until("running", lambda: job.refresh().state is State.RUNNING)
    task = task_of(away.session, job)
    away.until("in the bucket", lambda: "x.part" in names())
    assert not {"x.other", "secret.part"} & {*names()}
    snapshot = task.instant(whitelist="other")
    away.until("in the bucket", lambda: "x.other" in names())
    assert task.wait_snapshot(snapshot, timeout=1)
    assert task.snapshot_status(snapshot)._status.is_completed
    assert job.cancel(grace_s=1, timeout=60).gone


def test_whitelists_bring_files_to_a_bucket_of_the_user_s(away: Any, connection: Any) -> None:
    """What is wanted comes as it is, the rest does not, and purge takes the bucket as well."""
    options = {"results_whitelist": r"\.txt$", "results_blacklist": "secret",
               "result_bucket": "my-results", "purge_results": True}  # fmt: skip
    script = "echo 1 >a.txt; echo 2 >b.bin; echo 3 >secret.txt"
    outputs = [Transfer(source="secret.txt", target="asked-for")]
    job = away.run("sh", "-c", script, native={"qarnot": options}, outputs=outputs)
    task = task_of(away.session, job)
    names = {entry.key for entry in task.results.list_files()}
    uuid = task.uuid

    assert {name for name in names if "/" not in name} == {"a.txt"}
    # What is asked for by name comes, whatever the expressions say.
    assert (away.folder / "asked-for").read_text() == "3\n"
    task.download_results(str(away.folder / "downloaded"))
    assert (away.folder / "downloaded/a.txt").read_text() == "1\n"
    away.session.purge(jobs=[job])
    assert is_gone(connection, uuid)
    assert "my-results" not in {bucket.uuid for bucket in connection.buckets()}


def test_purge_deletes_task_and_objects(away: Any, connection: Any) -> None:
    """What a user lets go must not stay at the cloud for ever."""
    (away.folder / "given").write_text("x")
    job = away.run("echo", "1", inputs=[Transfer(source="given", target="given")])
    task = task_of(away.session, job)
    uuid, rows = task.uuid, task.resources

    def left() -> list[str]:
        client, ours = connection.s3client, task.shortname
        names = [bucket.uuid for bucket in connection.buckets()]
        return [
            row["Key"]
            for name in names
            for row in client.list_objects(Bucket=name).get("Contents", ())
            if ours in row["Key"]
        ]

    assert rows
    assert left()
    away.session.purge(jobs=[job])
    assert left() == []
    assert is_gone(connection, uuid)


def keys_of(connection: Any) -> set[str]:
    """List the keys of all inputs at the cloud."""
    names = [bucket.uuid for bucket in connection.buckets() if bucket.uuid.endswith("-in")]
    return {
        row["Key"]
        for name in names
        for row in connection.s3client.list_objects(Bucket=name, Prefix="in/").get("Contents", ())
    }


def test_purge_deletes_inputs_of_what_was_never_there(away: Any, connection: Any) -> None:
    """Inputs come before the task; where that is refused they must not stay for ever."""
    (away.folder / "given").write_text("x")
    before = keys_of(connection)
    job = away.run(
        "true",
        inputs=[Transfer(source="given", target="given")],
        native={"qarnot": {"pool": "no-such-pool"}},
    )
    uploaded = keys_of(connection) - before

    assert (end(job).reason, len(uploaded)) == (Reason.REFUSED, 2)
    away.session.purge(jobs=[job])
    assert keys_of(connection) == before


def test_purge_deletes_what_earlier_attempts_left(away: Any, connection: Any) -> None:
    """Each attempt is a task of its own, with inputs of its own."""
    (away.folder / "given").write_text("x")
    before = keys_of(connection)
    job = away.run(
        "false", inputs=[Transfer(source="given", target="given")], retry=Retry(attempts=2)
    )
    tags = {f"drover-token={away.session.store_id}-{job.id}-{k}" for k in (1, 2)}
    tasks = connection.tasks_page(tags=list(tags)).page_data

    assert len(tasks) == 2
    assert len(keys_of(connection) - before) == 4
    away.session.purge(jobs=[job])
    assert keys_of(connection) == before
    assert [is_gone(connection, task.uuid) for task in tasks] == [True, True]


def test_purge_leaves_what_others_need(away: Any, connection: Any) -> None:
    """The inputs of an array lie there once, and its task is one, until its last element goes."""
    (away.folder / "given").write_text("x")
    before = keys_of(connection)
    array = away.session.submit(
        drover.JobSpec(
            argv=("true",), array=Array(indices=2), cwd=str(away.folder),
            inputs=[Transfer(source="given", target="given")],
        )
    )  # fmt: skip
    assert isinstance(array, drover.JobArray)
    array.wait(60)
    away.session.purge(jobs=[array[0]])
    assert len(keys_of(connection) - before) == 2
    uuid = task_of(away.session, array[1]).uuid
    assert not is_gone(connection, uuid)
    away.session.purge(jobs=[array[1]])
    assert keys_of(connection) == before
    assert is_gone(connection, uuid)


def test_a_job_runs_in_a_pool(away: Any, connection: Any) -> None:
    """A pool's nodes are there already."""
    pool = connection.create_pool("pool", "docker-batch", 1, shortname="pool-of-tests")
    pool.submit()
    try:
        options = {"pool": "pool-of-tests", "wait_for_pool_resources": False}
        job = away.run("echo", "pooled", native={"qarnot": options})

        assert code(job) == (Reason.EXITED, 0), end(job)
        assert task_of(away.session, job).pool.uuid == pool.uuid
    finally:
        pool.delete()


def test_the_cloud_waits_for_other_jobs(away: Any) -> None:
    """Both are there at once, and the second starts when the first has ended as it should."""
    options = {"job": {"name": "waits", "max_wall_time": 3600, "completion_ttl": "01:00:00"},
               "dependencies": True}  # fmt: skip
    native = {"qarnot": options}
    first = away.submit("sh", "-c", "sleep 1; date +%s%N", native=native)
    after = away.submit("date", "+%s%N", after=[first], native=native)
    never = away.submit("true", after=[Dependency(job=first.id, condition="failed")], native=native)
    away.until("handed over", lambda: after.refresh().native_id)
    dependencies = task_of(away.session, after).dependencies
    away.session.wait([first, after, never], timeout=60)

    assert [d.task_uuid for d in dependencies.advanced_depends_on] == [
        task_of(away.session, first).uuid
    ]
    assert int(first.stdout.read()) < int(after.stdout.read())
    assert end(never).reason is Reason.DEPENDENCY_FAILED, never.history()
    assert job_of(away.session, after).max_wall_time.total_seconds() == 3600


@pytest.mark.parametrize("way", ["terminate", "delete", "max_wall_time"])
def test_a_job_of_the_cloud_is_ended(away: Any, way: str) -> None:
    """Its tasks end as cancelled."""
    # A name of this run's own: a job that has ended takes no more tasks.
    options: dict[str, Any] = {"name": f"ended-{way}-{time.monotonic_ns()}"}
    if way == "max_wall_time":
        options[way] = 2
    job = away.submit("sleep", "60", native={"qarnot": {"job": options}})
    away.until("running", lambda: job.refresh().state is State.RUNNING)
    whole = job_of(away.session, job)
    if way == "terminate":
        whole.terminate()
    elif way == "delete":
        whole.delete(True)
    job.wait(60)

    assert job.state in {State.CANCELLED, State.LOST}, end(job)
    assert way == "delete" or job.state is State.CANCELLED


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"native": {"qarnot": {"resources": ["no-such-bucket"]}}}, "no-such-bucket"),
        ({"native": {"qarnot": {"pool": "no-such-pool"}}}, "no-such-pool"),
        ({"resources": Resources(queue="no-such-profile")}, "no-such-profile"),
        ({"native": {"qarnot": {"hardware_constraints": [{"gpu": True}]}}}, "constraint"),
    ],
)
def test_what_the_cloud_refuses_is_told(away: Any, fields: dict[str, Any], named: str) -> None:
    """The user reads what is wrong, and no job waits for ever."""
    job = away.run("true", **fields)

    assert (end(job).reason, end(job).started) == (Reason.REFUSED, Started.NO)
    assert named in end(job).message.lower()


def test_a_wall_time_is_kept(away: Any) -> None:
    """The cloud has no such limit; the runner keeps it."""
    job = away.run("sleep", "60", resources=Resources(wall_time=0.5))

    assert end(job).reason is Reason.WALL_TIME


def test_a_verb_that_is_not_there_is_refused(away: Any) -> None:
    """A job that is handed over cannot be held."""
    job = away.submit("sleep", "60")
    away.until("running", lambda: job.refresh().state is State.RUNNING)
    (verdict,) = away.session.ask([job], Verb.HOLD)

    assert str(verdict).startswith("refused")
    assert job.cancel(grace_s=0.5, timeout=60).gone


def test_a_job_that_is_not_there_has_no_task(away: Any) -> None:
    """Who asks for the official object of a job that was never handed over is told so."""
    job = away.submit("true", hold=True)

    with pytest.raises(NoTaskError):
        task_of(away.session, job)
    assert job.cancel().gone
