"""The project's own Slurm: it comes up, works, breaks where it is told to, and leaves nothing."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import own_cluster
import pytest
from own_cluster import free_ports
from slurm_cluster import SLURM, SlurmCluster, must_be_installed

from clusters.daemons import start_time
from clusters.slurm.settings import parser

pytestmark = pytest.mark.slurm

WAIT_S = 60.0


def until(condition: Callable[[], object], told: Callable[[], object] = str) -> None:
    """Poll for something; say what there is instead if it never comes."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends, told()
        time.sleep(0.1)


def submit(slurm: SlurmCluster, *words: str, script: str = "exit 0") -> str:
    return slurm.run("sbatch", "--parsable", "--output=/dev/null", *words, f"--wrap={script}")


def state_of(slurm: SlurmCluster, job: str) -> str:
    return slurm.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")


def until_state(slurm: SlurmCluster, job: str, state: str) -> None:
    until(
        lambda: state_of(slurm, job) == state,
        lambda: slurm.run("scontrol", "show", "job", job),
    )


def command(name: str, *words: str | Path, **variables: str) -> tuple[int, str, str]:
    """Type `up` or `down`."""
    return own_cluster.command("slurm", name, *words, **variables)


@pytest.fixture
def own() -> Iterator[SlurmCluster]:
    """Give a small cluster that a test may take down."""
    must_be_installed()
    with SlurmCluster("--no-accounting", nodes=1) as cluster:
        yield cluster


def test_up_again_starts_nothing_and_says_the_same(slurm: SlurmCluster) -> None:
    """It stands in shell profiles and scripts: `eval "$(clusters/slurm/up)"`."""
    names = slurm.daemons.names()
    before = {name: slurm.daemons.process(name) for name in names}

    said = slurm.up()

    assert f"export SLURM_CONF={slurm.folder}/etc/slurm.conf\n" == said
    assert before == {name: slurm.daemons.process(name) for name in names}
    assert None not in before.values()
    assert {"mariadbd", "munged", "node1", "node2", "slurmctld", "slurmdbd"} == set(names)


def test_a_job_runs_and_is_accounted_for(slurm: SlurmCluster) -> None:
    """What is a Slurm for?"""
    job = submit(slurm, "--account=other", "--output=done.out", script="hostname; exit 3")

    until_state(slurm, job, "FAILED")
    words = ("sacct", "-nPX", f"--jobs={job}", "--format=state,exitcode,account")
    until(lambda: slurm.run(*words) == "FAILED|3:0|other", lambda: slurm.run(*words))
    assert f"{socket.gethostname()}\n" == (slurm.folder / "done.out").read_text("utf-8")
    slurm.run("scontrol", "ping")


def test_all_listen_on_loopback_alone(slurm: SlurmCluster) -> None:
    """A cluster for tests is nobody else's, where the host's name allows it."""
    if not socket.gethostbyname(socket.gethostname()).startswith("127."):
        pytest.skip("the host's name is no loopback name, so that Slurm listens everywhere")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("utf-8").splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    addresses = {int(port, 16): address for address, port in listening}

    # 127.0.0.1 as the kernel writes it.
    assert {"0100007F"} == {addresses[port] for port in slurm.ports}


def test_what_options_can_ask_for_is_there(slurm: SlurmCluster) -> None:
    """A backend's options can be tried only where Slurm has what they name."""
    words = ("--gres=gpu:2", "--licenses=matlab:2", "--constraint=even", "--partition=short")
    job = submit(
        slurm, *words, "--mail-type=END", "--output=options.out",
        script="echo $CUDA_VISIBLE_DEVICES on $SLURMD_NODENAME",
    )  # fmt: skip

    until_state(slurm, job, "COMPLETED")
    assert "0,1 on node2\n" == (slurm.folder / "options.out").read_text("utf-8")
    mails = slurm.folder / "log/mail.log"
    until(lambda: mails.exists() and f"Job_id={job} " in mails.read_text("utf-8"))
    waiting = submit(slurm, "--partition=closed")
    until(lambda: "PartitionDown" in slurm.run("squeue", "-h", f"-j{waiting}", "-o%r"))
    slurm.run("scancel", waiting)


def test_limits_are_enforced(slurm: SlurmCluster) -> None:
    """What a site forbids, it refuses; code that has never met a refusal does not know how."""
    jobs = [submit(slurm, "--qos=few", "--hold") for _ in range(4)]

    assert "QOSMaxSubmitJobPerUserLimit" in slurm.fails("sbatch", "--qos=few", "--wrap=true")
    assert "Invalid account" in slurm.fails("sbatch", "--account=nobody", "--wrap=true")
    slurm.run("scancel", *jobs)


@pytest.mark.parametrize(("partition", "end"), [("killed", "PREEMPTED"), ("requeued", "PENDING")])
def test_a_job_is_preempted(slurm: SlurmCluster, partition: str, end: str) -> None:
    """Somebody more important comes along, as on every real cluster."""
    whole = ("--nodes=2", "--exclusive")
    low = submit(slurm, *whole, f"--partition={partition}", "--requeue", script="sleep 600")
    until_state(slurm, low, "RUNNING")

    high = submit(slurm, *whole, script="exit 0")

    until_state(slurm, high, "COMPLETED")
    until_state(slurm, low, end)
    slurm.run("scancel", low)


def test_two_clusters_stand_side_by_side(slurm: SlurmCluster, slurm_bare: SlurmCluster) -> None:
    """Tests of one must not see the jobs of another."""
    name = f"bare-{os.getpid()}"
    job = submit(slurm_bare, "--hold", f"--job-name={name}")

    assert job == slurm_bare.run("squeue", "-h", "-n", name, "-o%i")
    assert "" == slurm.run("squeue", "-h", "-n", name, "-o%i")
    slurm_bare.run("scancel", job)


def test_a_database_keeps_its_temporary_tables_to_itself(slurm: SlurmCluster) -> None:
    """MariaDB, when it starts, deletes those of any other that has its in the same folder."""
    query = ("-S", f"{slurm.folder}/run/mysql.sock", "-N", "-e", "select @@tmpdir")

    assert f"{slurm.folder}/tmp" == slurm.run("mariadb", "--no-defaults", *query).strip()


def test_without_accounting_an_ended_job_is_soon_forgotten(slurm_bare: SlurmCluster) -> None:
    """The hardest kind of site: no accounting, and little memory."""
    job = submit(slurm_bare)

    assert "accounting storage is disabled" in slurm_bare.fails("sacct", f"--jobs={job}")
    until(
        lambda: job not in slurm_bare.run("squeue", "-h", "--states=all", "-o%i").split(),
        lambda: slurm_bare.run("squeue", "--states=all"),
    )


def test_memory_limits_are_enforced(slurm_cgroups: SlurmCluster) -> None:
    """OUT_OF_MEMORY is told only where the kernel enforces the limit."""
    hungry = "x = bytearray(300_000_000); import time; time.sleep(600)"
    job = submit(slurm_cgroups, "--mem=50M", script=f"{sys.executable} -c '{hungry}'")

    until_state(slurm_cgroups, job, "OUT_OF_MEMORY")


def test_a_killed_controller_comes_back_with_its_queue(slurm: SlurmCluster) -> None:
    """Tests of a crash need the crash, and the time after it."""
    name = f"saved-{os.getpid()}"
    job = submit(slurm, "--hold", f"--job-name={name}")
    # Written within seconds of a change; a younger job is lost.
    saved = slurm.folder / "state/slurmctld/job_state"
    until(lambda: saved.exists() and name.encode() in saved.read_bytes())

    with slurm.without("slurmctld"):
        assert "DOWN" in slurm.fails("scontrol", "ping")

    assert "PENDING" == state_of(slurm, job)
    slurm.run("scancel", job)


def test_a_frozen_controller_answers_when_it_goes_on(slurm: SlurmCluster) -> None:
    """A request that timed out may have been heard: the test has to be able to make that happen."""
    with slurm.frozen("slurmctld"):
        words = ["squeue", "--noheader", "--states=all"]
        client = subprocess.Popen(
            words, env={**os.environ, **slurm.environment}, stdout=subprocess.DEVNULL
        )
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(2.0)

    assert 0 == client.wait(WAIT_S)


def test_a_job_outlives_the_daemon_of_its_node(slurm: SlurmCluster) -> None:
    """A killed slurmd is no dead node."""
    job = submit(slurm, "--nodelist=node1", script="sleep 600")
    until_state(slurm, job, "RUNNING")

    with slurm.without("node1"):
        assert "RUNNING" == state_of(slurm, job)

    slurm.run("scancel", job)
    until_state(slurm, job, "CANCELLED")


def test_a_node_without_power_loses_its_jobs(slurm: SlurmCluster) -> None:
    """The other node's jobs go on, and Slurm finds out by itself."""
    cut = submit(slurm, "--nodelist=node1", "--no-requeue", script="env -i setsid sleep 601")
    kept = submit(slurm, "--nodelist=node2", script="sleep 602")
    for job in (cut, kept):
        until_state(slurm, job, "RUNNING")
    until(lambda: sleeping("601") and sleeping("602"))

    slurm.cut_power("node1")

    try:
        assert [] == sleeping("601")
        assert sleeping("602")
        slurm.run("scontrol", "update", "NodeName=node1", "State=DOWN", "Reason=test")
        until_state(slurm, cut, "NODE_FAIL")
        assert "RUNNING" == state_of(slurm, kept)
    finally:
        slurm.up()
    assert "idle" == slurm.run("sinfo", "-h", "--nodes=node1", "--partition=batch", "-o%t")
    slurm.run("scancel", kept)


def sleeping(seconds: str) -> list[int]:
    """List the processes that sleep so long."""
    wanted = f"sleep\0{seconds}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted == (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [pid for pid in found if start_time(pid) is not None]


def test_accounting_can_be_away(slurm: SlurmCluster) -> None:
    """Jobs run without slurmdbd, and what it missed is told when it is back."""
    slurm.stop("slurmdbd")
    try:
        assert "Connection refused" in slurm.fails("sacct")
        job = submit(slurm)
        until_state(slurm, job, "COMPLETED")
    finally:
        slurm.start("slurmdbd")

    words = ("sacct", "-nPX", f"--jobs={job}", "--format=state")
    until(lambda: slurm.run(*words) == "COMPLETED", lambda: slurm.run(*words))


def test_authentication_can_be_away(slurm: SlurmCluster) -> None:
    """Everything fails without munged, and everything works when it is back."""
    # Killed, it leaves its socket, and a client tries that one for 50 seconds.
    slurm.stop("munged")
    try:
        assert "authentication" in slurm.fails("squeue")
    finally:
        slurm.start("munged")

    slurm.run("squeue")


def test_down_leaves_nothing_but_what_up_needs_again(own: SlurmCluster) -> None:
    """A job that escaped from its session and its environment goes, too; the queue stays."""
    held = submit(own, "--hold")
    again = submit(own, "--requeue", script="sleep 603")
    once = submit(own, "--no-requeue", script="env -i setsid sleep 603")
    until(lambda: 2 == len(sleeping("603")))
    processes = [own.daemons.process(name) for name in own.daemons.names()]
    ports, settings = own.ports, (own.folder / "etc/settings.json").read_text("utf-8")

    own.down()

    assert [None] * 3 == [start_time(process[0]) for process in processes if process]
    assert [] == sleeping("603")
    assert [] == own.daemons.names()
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    own.down()
    own.up()
    assert settings == (own.folder / "etc/settings.json").read_text("utf-8")
    assert "PENDING" == state_of(own, held)
    assert "PENDING" == state_of(own, again)
    assert "NODE_FAIL" == state_of(own, once)


def test_down_takes_what_is_frozen_or_dead(own: SlurmCluster) -> None:
    """It is called most often when something went wrong."""
    process = own.daemons.process("slurmctld")
    own.daemons.signal("slurmctld", signal.SIGSTOP)
    own.kill("node1")

    own.down("--wipe")

    assert process is not None
    assert start_time(process[0]) is None
    assert not own.folder.exists()
    own.down("--wipe")


def test_wipe_deletes_nothing_of_somebody_else(own: SlurmCluster) -> None:
    """A results file in the folder is worth more than the cluster."""
    (own.folder / "results").write_text("mine", "utf-8")

    own.down("--wipe")

    assert ["results"] == [path.name for path in own.folder.iterdir()]
    code, stdout, stderr = command("up", own.folder)
    assert (1, "") == (code, stdout)
    assert f"slurm: {own.folder} holds something else: choose another folder\n" == stderr


def test_a_cluster_that_is_up_keeps_its_settings(own: SlurmCluster) -> None:
    """Daemons would go on with the old ones while clients read the new ones."""
    conf = (own.folder / "etc/slurm.conf").read_text("utf-8")

    code, stdout, stderr = command("up", own.folder, "--nodes=3")

    assert (1, "") == (code, stdout)
    assert f"slurm: {own.folder} is up with other settings: take it down first\n" == stderr
    assert conf == (own.folder / "etc/slurm.conf").read_text("utf-8")


def test_a_taken_port_is_named_before_anything_starts(own: SlurmCluster) -> None:
    """Half a cluster that nobody asked for would run on."""
    port = own.ports[0]
    folder = own.folder.with_name(f"{own.folder.name}-2")

    code, stdout, stderr = command("up", folder, f"--port={port}", "--no-accounting")
    left = [path.name for path in folder.iterdir()]
    command("down", folder, "--wipe")
    shutil.rmtree(folder, ignore_errors=True)

    assert (1, "") == (code, stdout)
    assert f"slurm: port {port} is taken: choose others with --port\n" == stderr
    assert ["lock"] == left


def test_a_line_of_slurm_conf_can_be_set() -> None:
    """No list of options has every line that a site may have."""
    must_be_installed()
    with SlurmCluster("--no-accounting", "--set=KillWait=9", "--prefix=box", nodes=1) as cluster:
        assert "KillWait                = 9 sec" in cluster.run("scontrol", "show", "config")
        assert ["box1"] == cluster.nodes
        # It is ready at once: that is what `up` waits for.
        words = ("sinfo", "-hN", "--partition=batch", "--states=idle", "-o%N %t")
        assert "box1 idle" == cluster.run(*words)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/tmp/{:x>53}", "at most 57 bytes"),
        ("/tmp/{} x", "characters that configuration files cannot hold"),
    ],
)
def test_a_folder_that_cannot_work_is_refused(folder: str, said: str) -> None:
    """Later it would be a socket that cannot be made, or a line that cannot be read."""
    must_be_installed()
    folder = folder.format(os.getpid())

    code, stdout, stderr = command("up", folder)

    assert (1, "") == (code, stdout)
    assert said in stderr
    assert not Path(folder).exists()


def test_one_daemon_alone_can_be_started(own: SlurmCluster) -> None:
    """A controller comes back while its nodes are still dead: that is a fault of its own."""
    own.kill("slurmctld")
    own.kill("node1")

    own.start("slurmctld")

    own.run("scontrol", "ping")
    assert own.daemons.process("node1") is None
    own.up()
    assert own.daemons.process("node1") is not None


def test_daemons_inherit_nothing_of_an_outer_slurm(own: SlurmCluster) -> None:
    """They would be taken for processes of a job, and killed when a node is."""
    own.kill("node1")

    code, _, stderr = command("up", own.folder, SLURM_JOB_ID="7", SLURMD_NODENAME="node1")

    assert 0 == code, stderr
    process = own.daemons.process("node1")
    assert process is not None
    variables = Path(f"/proc/{process[0]}/environ").read_bytes().split(b"\0")
    ours = [variable for variable in variables if variable.startswith(b"SLURM")]
    assert [f"SLURM_CONF={own.folder}/etc/slurm.conf".encode()] == ours


def test_an_unknown_daemon_is_refused(own: SlurmCluster) -> None:
    """A misspelt name must not start everything, or nothing."""
    code, _, stderr = command("up", own.folder, "--only=slurmd")

    assert 1 == code
    assert "no daemon 'slurmd' here: there are munged, slurmctld, node1" in stderr


@pytest.mark.parametrize(
    "words", [["--nodes=0"], ["--nodes=65"], ["--set=KillWait"], ["--prefix=9"], ["--port=65530"]]
)
def test_an_option_that_cannot_be_meant_is_refused(words: list[str], tmp_path: Path) -> None:
    """It would be remembered."""
    code, stdout, stderr = command("up", tmp_path / "no", *words)

    assert (2, "") == (code, stdout)
    assert f"argument {words[0].partition('=')[0]}" in stderr
    assert not (tmp_path / "no").exists()


def test_who_may_not_install_is_told_what_to_type(tmp_path: Path) -> None:
    """Most people are not root on their machine."""
    for name, script in {"dpkg-query": "exit 1", "id": "echo 1000"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        (tmp_path / name).chmod(0o755)

    code, stdout, stderr = command("up", tmp_path / "no", PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert (1, "") == (code, stdout)
    assert "not installed: munge slurmctld slurmd" in stderr
    assert f"install them: sudo {SLURM}/install\n" in stderr
    assert not (tmp_path / "no").exists()


def test_where_slurm_is_missing_tests_are_skipped_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check that nobody sees being skipped is a check that nobody has."""
    outcomes: list[type[BaseException]] = []
    monkeypatch.setattr("slurm_cluster.PROGRAMS", ("sh", "no-such-program"))
    for ci in ("", "true"):
        monkeypatch.setenv("CI", ci)
        ways = (pytest.skip.Exception, pytest.fail.Exception)
        with pytest.raises(ways, match="not installed: no-such-program; run clusters") as raised:
            must_be_installed()
        outcomes.append(raised.type)

    assert [pytest.skip.Exception, pytest.fail.Exception] == outcomes


def test_what_asks_for_a_cluster_is_marked(pytestconfig: pytest.Config) -> None:
    """One that is not marked would run on every Python, and where there is no cluster."""
    items = [Item(("tmp_path",)), Item(("tmp_path", "slurm_bare")), Item(("gridengine",))]

    _conftest(pytestconfig).pytest_collection_modifyitems(items)

    assert [[], ["slurm"], ["gridengine"]] == [item.marks for item in items]


def test_what_is_slow_begins(pytestconfig: pytest.Config) -> None:
    """The last to begin would keep everybody waiting."""
    items = [Item(("tmp_path",)), Item(("tmp_path",))]
    quick, slow = items
    slow.add_marker(pytest.mark.slow)

    _conftest(pytestconfig).pytest_collection_modifyitems(items)

    assert [slow, quick] == items


def test_what_is_set_up_once_for_a_file_stays_in_one_process(pytestconfig: pytest.Config) -> None:
    """Each process would set it up anew, for one test."""
    conftest = _conftest(pytestconfig)
    texts = {path: (pytestconfig.rootpath / path).read_text("utf-8") for path in conftest.SPREAD}

    assert [] == [path for path, text in texts.items() if re.search(r"fixture\([^)]*scope=", text)]
    assert {"a.py", f"{min(texts)}::test_b[c::d]"} == set(
        map(
            conftest.scope_of, ("a.py::test_b", "a.py::Test::test_c", f"{min(texts)}::test_b[c::d]")
        )
    )


def _conftest(pytestconfig: pytest.Config) -> Any:
    root = pytestconfig.rootpath / "conftest.py"
    plugins = pytestconfig.pluginmanager.get_plugins()
    (conftest,) = (each for each in plugins if getattr(each, "__file__", None) == str(root))
    return conftest


class Item:
    """As much of a collected test as is looked at."""

    def __init__(self, fixturenames: tuple[str, ...]) -> None:
        self.fixturenames = fixturenames
        self.marks: list[str] = []

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.marks.append(mark.name)

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def test_the_page_names_every_option() -> None:
    """What is not on the page is not found, and what is no more is looked for in vain."""
    page = Path(__file__).parents[1] / "docs/howto/slurm-on-a-laptop.md"
    if not page.exists():
        pytest.skip("the documents are out of sight (nox -s wheels)")
    text = page.read_text("utf-8").partition("## Choose")[2].partition("\n## ")[0]
    options = {
        option
        for action in parser()._actions
        for option in action.option_strings
        if option not in {"-h", "--help", "--accounting", "--no-cgroups"}
    }

    assert options == set(re.findall(r"--[a-z][a-z-]+", text))


def test_free_ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two test runs on one machine, each with a cluster, are nothing unusual."""
    base = free_ports()
    monkeypatch.setattr("own_cluster.PORTS", range(base, base + 2, 1))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", base))
        assert {base + 1} == {free_ports() for _ in range(20)}
