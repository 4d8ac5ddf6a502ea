"""Every field of a specification on a real Grid Engine: seen by it, or from inside the job.

All jobs are handed over at once and looked at when they have run.
"""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from attrs import evolve
from gridengine_cluster import GridEngineCluster
from gridengine_site import Site

from drover import (
    Array,
    Dependency,
    Job,
    JobArray,
    JobSpec,
    Reason,
    Resources,
    Retry,
    State,
    Transfer,
)
from drover.errors import UnsupportedFieldError
from drover.models import Started, Verb

pytestmark = pytest.mark.gridengine
SECRET: Final = os.fsdecode(b"a 'b\"\\ $HOME `id`\n\xff\t*;|&=b=c")
SHOW: Final = (
    "import os,sys; os.write(1, b'\\0'.join([*map(os.fsencode, sys.argv[1:]), "
    "os.environb[b'SECRET'], os.getcwdb()]))"
)
HELD: Final = {"jobSubmissionState": "drmaa_hold"}


@pytest.fixture(scope="module")
def site(gridengine: GridEngineCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Open a store on the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHERITED", "by all")
        with Site(gridengine, tmp_path_factory.mktemp("fields"), patch) as made:
            yield made


def submit(site: Site, *argv: str, **fields: Any) -> Job:
    job = site.session.submit(argv or ("true",), **{"cwd": str(site.work), **fields})
    assert isinstance(job, Job)
    return job


def output(site: Site, job: Job) -> str:
    """Wait for a job that goes well, and give what it said."""
    assert site.end(job).succeeded, site.story(job)
    return job.stdout.read()


def shown(site: Site, job: Job) -> Mapping[str, str]:
    """Give what Grid Engine says of a job that waits or runs."""
    site.until(lambda: job.native_id, job)
    text = site.cluster.run("qstat", "-j", str(job.native_id).partition(".")[0])
    return dict(re.findall(r"^([\w ]+?):\s+(.*?)\s*$", text, re.MULTILINE))


def held(site: Site, **fields: Any) -> Mapping[str, str]:
    """Hand a job over that Grid Engine holds, look at it, and take it back."""
    native = {"drmaa": {**HELD, **fields.pop("options", {})}}
    job = submit(site, native=native, **fields)
    told = shown(site, job)
    site.session.cancel([job], grace_s=0.0, timeout=0.0)
    return told


def test_argv_env_and_cwd_arrive_byte_for_byte(site: Site) -> None:
    """Grid Engine cuts arguments at newlines, and values at their second `=`."""
    folder = site.work / os.fsdecode(b"a 'b\xff")
    folder.mkdir()
    job = submit(
        site, sys.executable, "-c", SHOW, SECRET, "", env={"SECRET": SECRET}, cwd=str(folder)
    )

    assert site.end(job).succeeded, site.story(job)
    wanted = [SECRET, "", SECRET, str(folder)]
    assert [os.fsencode(word) for word in wanted] == job.stdout.read_bytes().split(b"\0")


def test_the_environment_is_inherited_or_not(site: Site) -> None:
    """And what Grid Engine sets on the node is there in both cases."""
    script = "echo ${INHERITED-unset} $JOB_ID $NSLOTS"
    jobs = [submit(site, "sh", "-c", script, inherit_env=yes) for yes in (True, False)]

    told = [output(site, job) for job in jobs]
    # They may have gone as one array.
    ids = [str(job.native_id).partition(".")[0] for job in jobs]
    assert [f"by all {ids[0]} 1\n", f"unset {ids[1]} 1\n"] == told


def test_the_name_is_what_people_see_in_the_queue(site: Site) -> None:
    """A name that Grid Engine would not take is written otherwise."""
    assert held(site, name="my job/7")["job_name"].startswith("my_job_7+")


def test_streams_are_the_users_files(site: Site) -> None:
    """Relative to the working directory; `%j` is the job, `%a` its index."""
    (site.work / "in").write_bytes(bytes(range(256)))
    job = submit(site, "sh", "-c", "cat; echo err >&2", stdin="in", stdout="out-%j", stderr="err")

    assert site.end(job).succeeded
    assert bytes(range(256)) == (site.work / f"out-{job.id}").read_bytes()
    assert b"err\n" == (site.work / "err").read_bytes()


def test_joined_output_is_one_file(site: Site) -> None:
    """In the order in which it was written."""
    job = submit(site, "sh", "-c", "echo 1; echo 2 >&2; echo 3", join_output=True)

    assert "1\n2\n3\n" == output(site, job)


def test_scripts_before_and_after(site: Site) -> None:
    """They are sourced on the node."""
    (site.work / "pre").write_text("GREETING=hello; export GREETING\n")
    (site.work / "post").write_text("echo after $DROVER_EXIT_CODE\n")
    job = submit(site, "sh", "-c", "echo $GREETING", pre_launch="pre", post_launch="post")

    assert "hello\nafter 0\n" == output(site, job)


def test_what_is_not_done_here_is_refused(site: Site) -> None:
    """And nothing is handed over."""
    for fields in ({"container": "image"}, {"period": 60.0}, {"launcher": "srun"}):
        with pytest.raises(UnsupportedFieldError):
            submit(site, **fields)


def test_a_launcher_stands_before_the_command(site: Site) -> None:
    """It is found by the job's own PATH."""
    program = site.work / "mpirun"
    program.write_text('#!/bin/sh\necho launched "$@"\n')
    program.chmod(0o755)
    path = f"{site.work}:{os.environ['PATH']}"
    job = submit(site, "sim", "-n", launcher="mpirun", env={"PATH": path})

    assert "launched sim -n\n" == output(site, job)


def test_dependencies_by_drover_and_by_grid_engine(site: Site) -> None:
    """Grid Engine lets a job go whatever the one before came to; drover's wrapper does not."""
    own = {"drmaa": {"dependencies": True}}
    first = submit(site, "sh", "-c", "sleep 1; exit 3")
    after_failed = Dependency(job=first.id, condition="failed")  # type: ignore[arg-type]
    by_drover = submit(site, "true", after=[after_failed])
    good = submit(site, "true", after=[after_failed], native=own)
    bad = submit(site, "true", after=[first.id], native=own)

    assert [True, True] == [site.end(job).succeeded for job in (by_drover, good)]
    assert (Reason.DEPENDENCY_FAILED, Started.NO) == (site.end(bad).reason, bad.outcome.started)


def test_grid_engine_itself_waits_where_it_is_asked_to(site: Site) -> None:
    """It is in the queue while it waits."""
    first = submit(site, "sh", "-c", "while [ ! -e let-go ]; do sleep 0.1; done")
    second = submit(site, after=[first.id], native={"drmaa": {"dependencies": True}})
    site.until(lambda: second.native_id, second)

    text = site.cluster.run("qstat", "-j", str(second.native_id))
    assert re.search(rf"jid_predecessor_list.*:\s+{first.native_id}\b", text)
    site.until(lambda: "waits for other jobs" in (second.native_state or ""), second)
    (site.work / "let-go").touch()
    assert site.end(second).succeeded


def test_an_array_and_its_indices(site: Site) -> None:
    """Each element finds its own index, whatever Grid Engine counts from."""
    spec = JobSpec(
        argv=("sh", "-c", "echo $DROVER_ARRAY_INDEX; exit $DROVER_ARRAY_INDEX"),
        array=Array(indices=(0, 3, 5), max_running=2),
        cwd=str(site.work),
    )
    made = site.session.submit(spec)
    assert isinstance(made, JobArray)
    made.wait(60)

    assert {0: "0\n", 3: "3\n", 5: "5\n"} == {job.array_index: job.stdout.read() for job in made}
    assert [0, 3, 5] == [job.outcome.exit_code for job in made]


def test_scripts_for_grid_engine_find_their_index(site: Site) -> None:
    """In SGE_TASK_ID, as there; jobs of no array have none, though they go as one."""
    script = "echo $SGE_TASK_ID $SGE_TASK_FIRST $SGE_TASK_LAST $SGE_TASK_STEPSIZE $JOB_NAME"
    spec = JobSpec(argv=("sh", "-c", script), cwd=str(site.work), name="s")
    array = site.session.submit(evolve(spec, array=Array(indices=range(5, 10, 2))))
    singles = site.session.submit_many([evolve(spec, name=name) for name in "abc"])
    assert isinstance(array, JobArray)
    jobs = [*array, *singles]
    site.session.wait(jobs, 60)

    assert [
        *(f"{index} 5 9 2 s\n" for index in (5, 7, 9)),
        *(f"{' '.join(['undefined'] * 4)} {name}\n" for name in "abc"),
    ] == [job.stdout.read() for job in jobs if isinstance(job, Job)]


def test_a_retry_is_a_job_of_its_own(site: Site) -> None:
    """With an end and an output of its own."""
    job = site.submit("exit 9", retry=Retry(attempts=2))

    assert ("EXITED", 9, 2) == site.told(job)
    assert 2 == job.attempt


def test_requeue_runs_it_again(site: Site) -> None:
    """Twice: Grid Engine says only that it is a restart."""
    job = site.submit("[ $(wc -l <n) -gt 2 ] || sleep 600", requeue=True, name="n")
    for restart in (1, 2):
        site.running(job)
        site.until(lambda: site.state_of(job) in {"r", "Rr"}, job)
        site.session.ask([job], Verb.REQUEUE)
        site.until(lambda n=restart: job.restart == n, job)

    assert ("EXITED", 0, 3) == site.told(job)


def test_inputs_and_outputs_travel(site: Site) -> None:
    """Copied by drover, before the start and after the end."""
    (site.folder / "data").write_text("x")
    job = submit(
        site, "cp", "data", "result",
        inputs=[Transfer(source=str(site.folder / "data"), target="data")],
        outputs=[Transfer(source="result", target=str(site.folder / "copy"))],
    )  # fmt: skip

    assert site.end(job).succeeded, site.story(job)
    assert "x" == (site.folder / "copy").read_text()


def test_tags_and_parent_are_drovers(site: Site) -> None:
    """Grid Engine has neither."""
    first = submit(site, tags=["t1"])
    second = submit(site, parent=first.id)

    assert (("t1",), first.id) == (first.record.spec.tags, second.record.spec.parent)


def test_hold_and_not_before_are_kept_by_drover(site: Site) -> None:
    """Nothing is handed over before."""
    job = submit(site, hold=True)
    later = submit(site, not_before=time.time() + 2.0)
    assert None is job.native_id
    job.release()

    assert site.end(job).succeeded
    assert site.end(later).succeeded
    assert later.started_at - later.submitted_at >= 1.5


def test_a_deadline_ends_it(site: Site) -> None:
    """Wherever it is."""
    job = submit(site, "sleep", "600", deadline=time.time() + 3.0)

    assert Reason.DEADLINE is site.end(job).reason


def test_it_expires(site: Site) -> None:
    """With its output."""
    job = submit(site, expires_after=1.0)

    site.until(lambda: job.id not in {one.id for one in site.session.jobs(newest=None)})


def test_native_options_reach_grid_engine(site: Site) -> None:
    """As words of qsub's."""
    told = held(
        site,
        options={"project": "lab", "account": "paper", "priority": -7, "mail": "abe",
                 "email": ["ann@example.org"], "notify": True, "reserve": True,
                 "context": {"a": "b"}, "l": {"matlab": 1}, "soft_l": {"arch": "none"},
                 "startTime": "2040/01/01 10:00 +00:00"},
    )  # fmt: skip

    assert "lab" == told["project"]
    assert "paper" == told["account"]
    assert "-7" == told["priority"]
    assert "abe" == told["mail_options"]
    assert "ann@example.org" == told["mail_list"]
    assert "TRUE" == told["notify"]
    assert "y" == told["reserve"]
    assert "a=b" == told["context"]
    assert "matlab=1" == told["hard resource_list"]
    assert "arch=none" == told["soft resource_list"]
    assert "2040" in told["execution_time"]


RESOURCES: Final[Mapping[str, tuple[Mapping[str, Any], str, str]]] = {
    "tasks": ({"tasks": 3}, "parallel environment", "smp range: 3"),
    "cpus": ({"cpus": 4}, "parallel environment", "smp range: 4"),
    "gpus": ({"gpus": 2}, "hard resource_list", "gpu=2"),
    "memory": ({"memory": "300MiB"}, "hard resource_list", "h_vmem=314572800"),
    "wall_time": ({"wall_time": "2m"}, "hard resource_list", "h_rt=135"),
    "queue": ({"queue": "short.q"}, "hard_queue_list", "short.q"),
    "account": ({"account": "lab"}, "project", "lab"),
    "priority": ({"priority": -3}, "priority", "-3"),
}


@pytest.mark.parametrize("name", RESOURCES)
def test_resources(site: Site, name: str) -> None:
    """Each is asked for, in Grid Engine's own words."""
    fields, row, wanted = RESOURCES[name]

    assert wanted == held(site, resources=Resources(**fields))[row]


def test_slots_are_there(site: Site) -> None:
    """Three tasks of two cpus are six slots."""
    job = submit(site, "sh", "-c", "echo $NSLOTS $PE", resources=Resources(tasks=3, cpus=2))

    assert "6 smp\n" == output(site, job)


def test_what_the_site_has_no_resource_for_is_refused(site: Site) -> None:
    """By drover where it knows, else by Grid Engine at once."""
    for fields in ({"disk": 1}, {"nodes": 2}):
        with pytest.raises(UnsupportedFieldError):
            submit(site, resources=Resources(**fields))
    exclusive = submit(site, resources=Resources(exclusive=True))
    reserved = submit(site, resources=Resources(reservation="4711"))

    assert [Reason.REFUSED] * 2 == [site.end(job).reason for job in (exclusive, reserved)]
    assert 'unknown resource "exclusive"' in exclusive.outcome.message
    assert "4711" in reserved.outcome.message


def test_nodes_by_a_parallel_environment(site: Site) -> None:
    """Its rule decides."""
    told = held(site, options={"pe": "mpi"}, resources=Resources(nodes=2, tasks=4))

    assert "mpi range: 4" == told["parallel environment"]


def test_a_wall_time_is_kept_to_the_second(site: Site) -> None:
    """By the wrapper; Grid Engine is the second to act."""
    job = site.submit("sleep 600", resources=Resources(wall_time=1.0))

    assert ("WALL_TIME", -15, 1) == site.told(job)
    assert State.FAILED is job.state


def test_attributes_of_a_job_template(site: Site) -> None:
    """DRMAA's placeholders mean what DRMAA says."""
    native = {
        "drmaa": {
            "workingDirectory": str(site.work),
            "outputPath": ":$drmaa_wd_ph$/t.$drmaa_incr_ph$",
            "joinFiles": True,
            "jobName": "named",
            "blockEmail": True,
        }
    }
    spec = JobSpec(argv=("sh", "-c", "pwd; echo e >&2"), array=Array(indices=(4, 6)), native=native)
    made = site.session.submit(spec)
    assert isinstance(made, JobArray)
    made.wait(60)

    assert [f"{site.work}\ne\n"] * 2 == [(site.work / f"t.{k}").read_text() for k in (4, 6)]
