"""Every field of a specification, on a real Slurm: seen by Slurm, or from inside the job.

All jobs are handed over at once and looked at when they have run; the cluster keeps in memory
what it was asked for.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import field, frozen
from slurm_cluster import SlurmCluster

import drover
from drover import Dependency, Job, JobArray, JobSpec, Reason, Resources, Retry, State, Transfer
from drover.errors import UnsupportedFieldError

WAIT_S: Final = 90.0
SECRET: Final = os.fsdecode(b"a 'b\"\\ $HOME `id`\n\xff\t*;|&")
SHOW: Final = (
    "import os,sys; os.write(1, b'\\0'.join([*map(os.fsencode, sys.argv[1:]), "
    "os.environb[b'SECRET'], os.getcwdb()]))"
)


@frozen
class Site:
    """A store whose jobs run on the cluster."""

    cluster: SlurmCluster
    session: drover.Session
    folder: Path
    jobs: dict[str, Job] = field(factory=dict)

    def submit(self, name: str, *argv: str, **fields: Any) -> Job:
        job = self.session.submit(argv or ("true",), name=name, cwd=self.folder, **fields)
        assert isinstance(job, Job)
        self.jobs[name] = job
        return job

    def end(self, name: str) -> drover.Outcome:
        """Wait for the end of a job."""
        return self.jobs[name].wait(WAIT_S)

    def output(self, name: str) -> str:
        """Wait for a job that goes well, and give what it said."""
        assert self.end(name).succeeded, self.story(name)
        return self.jobs[name].stdout.read()

    def shown(self, name: str) -> dict[str, str]:
        """Give what Slurm says of a job, once it has it."""
        job = self.jobs[name]
        self.until(lambda: job.native_id, name)
        text = self.cluster.run("scontrol", "-d", "-o", "show", "job", str(job.native_id))
        return dict(re.findall(r"(\S+?)=(.*?)(?=\s+\S+=|\s*$)", text))

    def until(self, condition: Callable[[], object], *names: str) -> None:
        """Poll for something."""
        ends = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < ends, self.story(*names)
            time.sleep(0.05)

    def story(self, *names: str) -> str:
        """Tell what happened."""
        return "\n".join(str(entry) for name in names for entry in self.jobs[name].history())


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        yield made


@pytest.fixture(scope="module")
def site(
    slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """Hand over all jobs at once; the tests look at each."""
    folder = tmp_path_factory.mktemp("fields")
    patch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    patch.setenv("DROVER_BACKENDS__SLURM__POLL_S", "0.3")
    patch.setenv("INHERITED", "by all")
    user = slurm.run("id", "-un")
    slurm.run(
        "scontrol", "create", "reservation", "ReservationName=course", "StartTime=now",
        "Duration=30", f"Users={user}", f"Nodes={slurm.nodes[0]}", "CoreCnt=1", "Flags=IGNORE_JOBS",
    )  # fmt: skip
    try:
        with drover.open(folder / "home", engine="inline", backend="slurm") as session:
            made = Site(slurm, session, folder)
            hand_over(made)
            yield made
            session.cancel(session.jobs(newest=None), grace_s=0.0)
            session.wait(session.jobs(newest=None), WAIT_S)
    finally:
        slurm.run("scontrol", "delete", "ReservationName=course")


RESOURCES: Final[Mapping[str, Mapping[str, Any]]] = {
    "tasks": {"tasks": 3},
    "cpus": {"cpus": 4},
    "gpus": {"gpus": 2},
    "memory": {"memory": "300MiB"},
    "disk": {"disk": "1KiB"},
    "nodes": {"nodes": 2, "tasks": 2},
    "wall_time": {"wall_time": 90},
    "exclusive": {"exclusive": True},
    "queue": {"queue": "short"},
    "account": {"account": "other"},
    "reservation": {"reservation": "course"},
    "priority": {"priority": -7},
}
NATIVE: Final[Mapping[str, Mapping[str, Any]]] = {
    "qos": {"qos": "few"},
    "constraint": {"constraint": "even"},
    "licenses": {"licenses": "matlab:1"},
    "nice": {"nice": 12},
    "mail": {"mail_type": "END", "mail_user": "somebody"},
    "nodelist": {"nodelist": "node2"},
    "raw": {"options": ["--exclude=node1", "--mincpus=2"]},
    "gres": {"gres": "gpu:1"},
}
VARIABLES: Final = (
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "CUDA_VISIBLE_DEVICES",
    "SLURMD_NODENAME",
)
INSIDE: Final = "".join(f'echo "{name}=${name}"; ' for name in VARIABLES)


def hand_over(site: Site) -> None:
    """Hand over one job for each thing that can be asked for."""
    minute = {"wall_time": 60}
    site.submit(
        "warned", "sh", "-c", "trap 'exit 21' USR1; while :; do sleep 0.1; done",
        native={"slurm": {"signal": "USR1@58"}}, resources=Resources(**minute),
    )  # fmt: skip
    site.submit("held by Slurm", native={"slurm": {"hold": True}})
    site.submit("later", native={"slurm": {"begin": "now+1hour"}})
    site.submit("held", hold=True)
    site.submit("not before", not_before=time.time() + 4)
    site.submit("deadline", "sleep", "600", deadline=time.time() + 8)
    for name, wanted in RESOURCES.items():
        site.submit(name, "sh", "-c", INSIDE, resources=Resources(**wanted))
    for name, options in NATIVE.items():
        site.submit(f"native {name}", "sh", "-c", INSIDE, native={"slurm": dict(options)})
    ranks = ("sh", "-c", 'echo "rank $SLURM_PROCID of $SLURM_NTASKS"')
    two = Resources(tasks=2)
    site.submit("srun", *ranks, launcher="srun", resources=two)
    site.submit("no launcher", *ranks, resources=two)
    hand_over_plain(site)
    first = site.submit("first", "sh", "-c", "exit 3")
    site.submit("after", after=[Dependency(job=first.id, condition="failed")])
    site.submit(
        "retried", "sh", "-c", "test -e again || { touch again; exit 9; }", retry=Retry(attempts=2)
    )
    site.submit("may run again", requeue=True)
    site.submit("expires", expires_after=1)


def hand_over_plain(site: Site) -> None:
    """Hand over what concerns the command alone."""
    folder = site.folder
    strange = folder / SECRET.replace("/", "").replace("\0", "")
    strange.mkdir()
    (folder / "in").write_text("question")
    (folder / "pre").write_text("GREETING=hello; export GREETING\n")
    (folder / "post").write_text('echo "ended with $DROVER_EXIT_CODE"\n')
    made = site.session.submit(
        (sys.executable, "-c", SHOW, SECRET, ""), name="bytes", cwd=strange, env={"SECRET": SECRET}
    )
    assert isinstance(made, Job)
    site.jobs["bytes"] = made
    site.submit("inherits", "sh", "-c", 'echo "$INHERITED"')
    site.submit("inherits not", "/usr/bin/env", inherit_env=False, env={"ONLY": "this"})
    say = "cat; echo err >&2"
    site.submit("streams", "sh", "-c", say, stdin="in", stdout="out-%j", stderr="err-%j")
    site.submit("joined", "sh", "-c", say, stdin="in", join_output=True)
    site.submit(
        "surrounded", "sh", "-c", 'echo "$GREETING"; exit 4', pre_launch="pre", post_launch="post"
    )
    site.submit(
        "transfers", "sh", "-c", "cat copy >result",
        inputs=[Transfer(source="in", target="copy")],
        outputs=[Transfer(source="result", target="kept/answer")],
    )  # fmt: skip
    site.submit("tagged", tags=["blue"])
    site.submit("parent", parent=site.jobs["tagged"].id)


def test_argv_env_and_cwd_arrive_byte_for_byte(site: Site) -> None:
    """No shell, no locale and no sbatch may change a word."""
    assert site.end("bytes").succeeded, site.story("bytes")
    path = site.jobs["bytes"].stdout.path

    word = os.fsencode(SECRET)
    expected = [word, b"", word, os.fsencode(site.folder / SECRET)]
    assert expected == path.read_bytes().split(b"\0")


def test_the_name_is_what_people_see_in_the_queue(site: Site) -> None:
    """Who looks with squeue wants to know what it is; like jobs in a list share one name."""
    assert site.shown("native nice")["JobName"].startswith("native nice@")


def test_the_environment_is_inherited_or_not(site: Site) -> None:
    """The client's variables, or those that were given; and what Slurm sets on the node."""
    names = {line.partition("=")[0] for line in site.output("inherits not").splitlines()}

    assert "by all\n" == site.output("inherits")
    assert {"ONLY", "DROVER_JOB_ID", "SLURM_JOB_ID"} <= names
    assert not {"INHERITED", "HOME"} & names


def test_streams_are_the_users_files(site: Site) -> None:
    """`%j` is drover's id, and not Slurm's."""
    assert site.end("streams").succeeded, site.story("streams")
    job = site.jobs["streams"]

    assert "question" == (site.folder / f"out-{job.id}").read_text()
    assert "err\n" == (site.folder / f"err-{job.id}").read_text()


def test_joined_output_is_one_file(site: Site) -> None:
    """In the order in which it was said."""
    assert "questionerr\n" == site.output("joined")


def test_srun_starts_every_task_and_no_launcher_starts_one(site: Site) -> None:
    """A parallel program without its launcher is one process on the first node."""
    ranks = sorted(site.output("srun").splitlines())

    assert ["rank 0 of 2", "rank 1 of 2"] == ranks
    assert 1 == len(site.output("no launcher").splitlines())
    assert "2" == site.shown("no launcher")["NumTasks"]


def test_scripts_around_the_command(site: Site) -> None:
    """They are sourced on the node, and the exit code is the command's."""
    assert 4 == site.end("surrounded").exit_code

    assert "hello\nended with 4\n" == site.jobs["surrounded"].stdout.read()


def test_a_job_waits_for_another(site: Site) -> None:
    """Drover waits itself: Slurm forgets, and takes what it forgot for a success."""
    assert 3 == site.end("first").exit_code
    assert site.end("after").succeeded

    assert "Dependency" not in site.shown("after") or "(null)" == site.shown("after")["Dependency"]


def test_an_array_is_one_array_there(site: Site) -> None:
    """A thousand jobs must not be a thousand commands."""
    array = site.session.submit(
        ("sh", "-c", "echo $DROVER_ARRAY_INDEX $SLURM_ARRAY_TASK_ID"),
        array=drover.Array(indices=[3, 5, 8]), cwd=site.folder, name="array",
    )  # fmt: skip
    assert isinstance(array, JobArray)
    done, pending = array.wait(WAIT_S)

    assert ([], [True] * 3) == (pending, [job.wait(0).succeeded for job in done]), [
        job.history() for job in done
    ]
    told = dict(job.stdout.read().split() for job in done)
    assert told == {str(job.array_index): str(job.native_id).partition("_")[2] for job in done}
    assert ["3", "5", "8"] == sorted(told)
    assert 1 == len({str(job.native_id).partition("_")[0] for job in done})


def test_a_retry_is_another_job_of_slurms(site: Site) -> None:
    """Our own resubmission is a new attempt, with an id of its own."""
    assert site.end("retried").succeeded, site.story("retried")

    assert 2 == site.jobs["retried"].attempt


def test_requeue_is_off_unless_asked_for(site: Site) -> None:
    """The site's own default is to run a job again."""
    shown = [site.shown(name)["Requeue"] for name in ("may run again", "first")]

    assert ["1", "0"] == shown


def test_inputs_and_outputs_travel(site: Site) -> None:
    """The working directory is seen from here and from the nodes."""
    assert site.end("transfers").succeeded, site.story("transfers")

    assert "question" == (site.folder / "kept/answer").read_text()


def test_tags_and_parents_are_kept(site: Site) -> None:
    """They are drover's own."""
    tagged, child = site.jobs["tagged"], site.jobs["parent"]

    assert [tagged.id] == [job.id for job in site.session.jobs(tag="blue")]
    assert tagged.id == child.spec.parent


def test_a_job_that_is_held_is_not_handed_over(site: Site) -> None:
    """Until somebody lets it go; then it runs."""
    job = site.jobs["held"]
    assert (State.WAITING, None) == (job.state, job.native_id)

    job.release()

    assert site.end("held").succeeded


def test_a_hold_at_slurm_is_seen_and_lifted(site: Site) -> None:
    """The native hold is Slurm's: it has the job, and waits."""
    job = site.jobs["held by Slurm"]
    site.until(lambda: "user" in job.held_by, "held by Slurm")
    assert "JobHeldUser" == site.shown("held by Slurm")["Reason"]

    job.release()

    assert site.end("held by Slurm").succeeded


def test_a_start_time_is_kept(site: Site) -> None:
    """By drover, to the second; or by Slurm, as a native option."""
    outcome = site.end("not before")
    wanted = site.jobs["not before"].spec.not_before
    shown = site.shown("later")

    assert outcome.succeeded
    assert wanted is not None
    began = site.jobs["not before"].started_at
    assert began is not None
    assert began >= wanted - 1
    assert ("PENDING", "BeginTime") == (shown["JobState"], shown["Reason"])


def test_a_deadline_ends_a_job(site: Site) -> None:
    """With a reason of its own."""
    assert Reason.DEADLINE is site.end("deadline").reason


def test_a_job_expires(site: Site) -> None:
    """It is forgotten, with its output, some time after its end."""
    job = site.jobs["expires"]

    site.until(lambda: not site.session.jobs(name="expires"))

    site.until(lambda: not (site.folder / "home/jobs" / job.id).exists())


def test_what_slurm_cannot_do_is_refused(site: Site) -> None:
    """Before anything is handed over, with a reason."""
    for fields in ({"container": "image"}, {"period": 60}):
        with pytest.raises(UnsupportedFieldError):
            site.session.submit(JobSpec(argv=("true",), **fields))


def test_more_disk_than_a_node_has_is_refused_by_slurm(site: Site) -> None:
    """It is asked of the node's TmpDisk, which this cluster does not tell."""
    outcome = site.end("disk")

    assert Reason.REFUSED is outcome.reason
    assert "disk" in outcome.message.lower()


SHOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "tasks": {"NumTasks": "3", "CPUs/Task": "1"},
    "cpus": {"NumCPUs": "4", "CPUs/Task": "4"},
    "gpus": {"TresPerNode": "gres:gpu:2"},
    "memory": {"MinMemoryNode": "300M"},
    "nodes": {"NumNodes": "2", "NumTasks": "2"},
    "wall_time": {"TimeLimit": "00:02:00"},
    "exclusive": {"OverSubscribe": "NO", "NumCPUs": "8"},
    "queue": {"Partition": "short"},
    "account": {"Account": "other"},
    "reservation": {"Reservation": "course"},
    "priority": {"Nice": "7"},
    "native qos": {"QOS": "few"},
    "native constraint": {"Features": "even", "BatchHost": "node2"},
    "native licenses": {"Licenses": "matlab:1"},
    "native nice": {"Nice": "12"},
    "native mail": {"MailType": "END", "MailUser": "somebody"},
    "native nodelist": {"ReqNodeList": "node2", "BatchHost": "node2"},
    "native raw": {"ExcNodeList": "node1", "MinCPUsNode": "2", "BatchHost": "node2"},
    "native gres": {"TresPerNode": "gres:gpu:1"},
}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_slurm_was_asked_for_it(site: Site, name: str) -> None:
    """Slurm's own record of the job says what was asked for, and the job ran with it."""
    assert site.end(name).succeeded, site.story(name)

    shown = site.shown(name)
    assert SHOWN[name] == {key: shown.get(key) for key in SHOWN[name]}, shown


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tasks", "SLURM_NTASKS=3"),
        ("cpus", "SLURM_CPUS_PER_TASK=4"),
        ("gpus", "CUDA_VISIBLE_DEVICES=0,1"),
        ("native gres", "CUDA_VISIBLE_DEVICES=0"),
        ("native nodelist", "SLURMD_NODENAME=node2"),
    ],
)
def test_the_job_finds_what_it_was_given(site: Site, name: str, line: str) -> None:
    """What Slurm sets on the node reaches the command."""
    assert line in site.output(name).splitlines()


def test_a_mail_is_sent(site: Site) -> None:
    """By Slurm, when the job has ended."""
    assert site.end("native mail").succeeded
    log = site.cluster.folder / "log/mail.log"

    site.until(lambda: log.exists() and "somebody" in log.read_text())


def test_a_warning_comes_before_the_limit(site: Site) -> None:
    """The command, and not only its shell, gets the signal that was asked for."""
    outcome = site.end("warned")

    assert (Reason.EXITED, 21) == (outcome.reason, outcome.exit_code), site.story("warned")
