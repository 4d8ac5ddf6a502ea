"""The project's own Grid Engine: it comes up, works, breaks where it is told to, leaves nothing."""

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

import own_cluster
import pytest
from gridengine_cluster import GRIDENGINE, GridEngineCluster, must_be_installed
from own_cluster import free_ports

from clusters.daemons import start_time
from clusters.gridengine import names
from clusters.gridengine.settings import parser
from clusters.settings import ClusterError

pytestmark = pytest.mark.gridengine

WAIT_S = 60.0
# Seconds that no other run of these tests sleeps.
LONG = f"700.{os.getpid()}"


def until(condition: Callable[[], object], told: Callable[[], object] = str) -> None:
    """Poll for something; say what there is instead if it never comes."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends, told()
        time.sleep(0.1)


def submit(gridengine: GridEngineCluster, *words: str, script: str = "exit 0") -> str:
    quiet = ("-terse", "-b", "y", "-shell", "n", "-cwd", "-o", "/dev/null", "-j", "y")
    return gridengine.run("qsub", *quiet, *words, "/bin/sh", "-c", script)


def until_state(gridengine: GridEngineCluster, job: str, state: str) -> None:
    until(
        lambda: gridengine.state_of(job) == state,
        lambda: (gridengine.run("qstat", "-f"), gridengine.attempt("qstat", "-j", job).stdout),
    )


def end_of(gridengine: GridEngineCluster, job: str) -> tuple[str, str]:
    """Wait for the accounting of a job, and give `failed` and `exit_status`."""
    log = gridengine.folder / "log/execd.log"
    until(
        lambda: gridengine.accounting_of(job),
        lambda: (gridengine.run("qstat", "-f"), log.read_text("utf-8")[-2000:]),
    )
    told = gridengine.accounting_of(job)
    return told["failed"].partition(" ")[0], told["exit_status"].partition(" ")[0]


def command(name: str, *words: str | Path, **variables: str) -> tuple[int, str, str]:
    """Type `up` or `down`."""
    return own_cluster.command("gridengine", name, *words, **variables)


@pytest.fixture
def own() -> Iterator[GridEngineCluster]:
    """Give a cluster that a test may take down."""
    must_be_installed()
    with GridEngineCluster("--slots=3") as cluster:
        yield cluster


def test_up_again_starts_nothing_and_says_the_same(gridengine: GridEngineCluster) -> None:
    """It stands in shell profiles and scripts: `eval "$(clusters/gridengine/up)"`."""
    before = {name: gridengine.daemons.process(name) for name in ("qmaster", "execd")}
    qmaster, execd = gridengine.ports

    said = gridengine.up()

    assert said == (
        f"export SGE_ROOT={gridengine.folder}/root\n"
        "export SGE_CELL=default\n"
        f"export SGE_QMASTER_PORT={qmaster}\n"
        f"export SGE_EXECD_PORT={execd}\n"
        f"export DRMAA_LIBRARY_PATH={gridengine.folder}/lib/libdrmaa.so.1.0\n"
    )
    assert before == {name: gridengine.daemons.process(name) for name in ("qmaster", "execd")}
    assert None not in before.values()
    assert {"qmaster", "execd"} == set(gridengine.daemons.names())


def test_a_job_runs_and_is_accounted_for_at_once(gridengine: GridEngineCluster) -> None:
    """What is a Grid Engine for? Left alone, it would write accounting every 15 seconds."""
    words = ("-P", "lab", "-o", "done.out", "-sync", "y")
    done = gridengine.attempt(
        "qsub", "-terse", "-b", "y", "-shell", "n", "-cwd", *words,
        "/bin/sh", "-c", "echo $JOB_ID; exit 3",
    )  # fmt: skip

    assert 3 == done.returncode, done.stderr
    job = (gridengine.folder / "done.out").read_text("utf-8").strip()
    told = gridengine.accounting_of(job)
    assert ("3", "0", "lab", "all.q") == (
        told["exit_status"],
        told["failed"],
        told["project"],
        told["qname"],
    )


def test_what_can_be_asked_for_is_there(gridengine: GridEngineCluster) -> None:
    """A backend's options can be tried only where Grid Engine has what they name."""
    words = ("-q", "short.q", "-pe", "mpi", "2", "-l", "gpu=1,matlab=1", "-P", "other")
    job = submit(
        gridengine, *words, "-m", "e", "-M", "me", "-o", "options.out",
        script="echo $NSLOTS in $QUEUE with $PE; sleep 600",
    )  # fmt: skip

    until_state(gridengine, job, "r")
    # Each slot has one.
    waits = submit(gridengine, "-l", "gpu=1")
    reason = "it offers only hc:gpu=0.000000"
    until(lambda: reason in gridengine.run("qstat", "-j", waits))
    closed = submit(gridengine, "-q", "closed.q")
    until(lambda: "it is disabled" in gridengine.run("qstat", "-j", closed))
    assert "qw" == gridengine.state_of(closed)
    gridengine.run("qdel", job, closed)
    assert ("0", "0") == end_of(gridengine, waits)
    assert "2 in short.q with mpi\n" == (gridengine.folder / "options.out").read_text("utf-8")
    mails = gridengine.folder / "log/mail.log"
    until(lambda: mails.exists() and f"Job {job} (sh)" in mails.read_text("utf-8"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-q", "no.q"], 'unknown queue "no.q"'),
        (["-pe", "no", "2"], 'parallel environment "no" does not exist'),
        (["-P", "nobody"], 'project "nobody" does not exist'),
        (["-l", "no=1"], 'unknown resource "no"'),
        (["-w", "e", "-q", "short.q", "-l", "h_rt=301"], "no suitable queues"),
        (["-w", "e", "-l", "matlab=3"], "no suitable queues"),
    ],
)
def test_what_is_not_there_is_refused(
    gridengine: GridEngineCluster, words: list[str], said: str
) -> None:
    """Code that has never met a refusal does not know how to."""
    assert said in gridengine.fails("qsub", "-b", "y", *words, "true")


def test_a_job_sees_nothing_of_who_brought_the_cluster_up() -> None:
    """Else a test of what arrives in a job would be true by accident."""
    must_be_installed()
    os.environ["DROVER_TEST_LEAK"] = "seen"
    try:
        with GridEngineCluster() as cluster:
            submit(cluster, "-sync", "y", "-o", "seen", script="tr '\\0' '\\n' </proc/self/environ")
            seen = (cluster.folder / "seen").read_text("utf-8")
    finally:
        del os.environ["DROVER_TEST_LEAK"]

    assert f"SGE_ROOT={cluster.folder}/root\n" in seen
    assert "LEAK" not in seen


DRMAA = """
import ctypes, os
library = ctypes.CDLL(os.environ["DRMAA_LIBRARY_PATH"])
told = ctypes.create_string_buffer(1024)
assert library.drmaa_init(None, told, 1024) == 0, told.value
assert library.drmaa_get_DRM_system(told, 1024, None, 0) == 0
print(told.value.decode())
assert library.drmaa_exit(None, 0) == 0
"""


def test_python_can_load_the_drmaa_library(gridengine: GridEngineCluster) -> None:
    """As Debian ships it no Python can: it wants more thread-local storage than there is."""
    assert "SGE 8.1.9" == gridengine.run(sys.executable, "-c", DRMAA)


def test_a_killed_qmaster_comes_back_with_its_queue(gridengine: GridEngineCluster) -> None:
    """Tests of a crash need the crash, and the time after it."""
    job = submit(gridengine, "-h")
    execd = gridengine.daemons.process("execd")

    with gridengine.without("qmaster"):
        assert "qmaster using port" in gridengine.fails("qstat")

    assert "hqw" == gridengine.state_of(job)
    assert execd == gridengine.daemons.process("execd")
    gridengine.run("qdel", job)
    # Jobs are taken at once: an execd that lost its qmaster looks for it every half a minute.
    gridengine.up()
    assert execd != gridengine.daemons.process("execd")
    assert ("0", "0") == end_of(gridengine, submit(gridengine))


def test_a_frozen_qmaster_answers_when_it_goes_on(gridengine: GridEngineCluster) -> None:
    """A request that timed out may have been heard: the test has to be able to make that happen."""
    with gridengine.frozen("qmaster"):
        client = subprocess.Popen(
            ["qstat"],
            env={**os.environ, **gridengine.environment, "PATH": gridengine.PATH},
            stdout=subprocess.DEVNULL,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(2.0)

    assert 0 == client.wait(WAIT_S)


def test_a_job_outlives_execd(gridengine: GridEngineCluster) -> None:
    """A killed execd is no dead host, and what ended meanwhile is told truly."""
    began, go_on = gridengine.folder / "began", gridengine.folder / "go-on"
    script = f"touch {began}; while [ ! -e {go_on} ]; do sleep 0.1; done; exit 4"
    job = submit(gridengine, script=script)
    until(began.exists)
    until_state(gridengine, job, "r")
    active = gridengine.folder / f"spool/execd/localhost/active_jobs/{job}.1"
    shepherd = Path("/proc", (active / "pid").read_text("utf-8").strip())

    with gridengine.without("execd"):
        assert "r" == gridengine.state_of(job)
        go_on.touch()
        # Process 1 reaps it then; its zombie would count as alive.
        until(lambda: not shepherd.exists())
        assert "r" == gridengine.state_of(job)

    assert ("0", "4") == end_of(gridengine, job)
    began.unlink()
    go_on.unlink()


def test_a_host_without_power_loses_its_jobs(gridengine: GridEngineCluster) -> None:
    """Grid Engine finds out when the host is back, and its exit status is a lie: 0."""
    job = submit(gridengine, script=f"env -i setsid sleep {LONG}; true")
    until_state(gridengine, job, "r")
    until(lambda: sleeping(LONG))

    gridengine.cut_power()

    try:
        assert [] == sleeping(LONG)
        assert "r" == gridengine.state_of(job)
    finally:
        gridengine.up()
    assert ("19", "0") == end_of(gridengine, job)


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


def test_a_queue_can_be_in_error(gridengine: GridEngineCluster) -> None:
    """The commonest trouble of a real Grid Engine: one bad prolog, and the queue takes no job."""
    with gridengine.in_error("short.q"):
        job = submit(gridengine, "-q", "short.q")
        until(lambda: "temporarily not available" in gridengine.run("qstat", "-j", job))
        assert "E" == gridengine.state_of_queue("short.q")

    assert "" == gridengine.state_of_queue("short.q")
    assert ("0", "0") == end_of(gridengine, job)
    assert "" == gridengine.state_of_queue("all.q")


def test_slots_are_all_that_the_first_queue_runs_at_a_time(own: GridEngineCluster) -> None:
    """Tests of a full cluster need one that is soon full; the next queue takes what is over."""
    jobs = [submit(own, script="sleep 600") for _ in range(4)]

    for job in jobs:
        until_state(own, job, "r")
    running = own.run("qstat", "-s", "r")
    assert (3, 1) == (running.count("all.q@"), running.count("short.q@"))


def test_two_clusters_stand_side_by_side(
    gridengine: GridEngineCluster, own: GridEngineCluster
) -> None:
    """Tests of one must not see the jobs of another."""
    job = submit(own, "-h", "-N", "lonely")

    assert "lonely" in own.run("qstat")
    assert "lonely" not in gridengine.run("qstat")
    own.run("qdel", job)


def test_down_leaves_nothing_but_what_up_needs_again(own: GridEngineCluster) -> None:
    """A job that escaped goes, too; the queue, and what qconf was told since, stay."""
    held = submit(own, "-h")
    running = submit(own, script=f"env -i setsid sleep {LONG}; true")
    until_state(own, running, "r")
    until(lambda: sleeping(LONG))
    own.run("qconf", "-mattr", "queue", "slots", "5", "all.q")
    processes = [own.daemons.process(name) for name in own.daemons.names()]
    ports = own.ports

    own.down()

    assert [None] * 2 == [start_time(process[0]) for process in processes if process]
    assert [] == sleeping(LONG)
    assert [] == own.daemons.names()
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    own.down()
    own.up()
    assert "hqw" == own.state_of(held)
    assert ("19", "0") == end_of(own, running)
    assert re.search(r"^slots +5$", own.run("qconf", "-sq", "all.q"), re.MULTILINE)


def test_down_takes_what_is_frozen_or_dead(own: GridEngineCluster) -> None:
    """It is called most often when something went wrong."""
    process = own.daemons.process("qmaster")
    own.daemons.signal("qmaster", signal.SIGSTOP)
    own.kill("execd")

    own.down("--wipe")

    assert process is not None
    assert start_time(process[0]) is None
    assert not own.folder.exists()
    own.down("--wipe")


def test_a_database_that_is_half_made_does_not_count(own: GridEngineCluster) -> None:
    """Ctrl-C at the first `up` must not be the end of the folder."""
    own.kill("qmaster")  # which would take eight seconds to end by itself
    own.down()
    (own.folder / "spool/made").unlink()
    (own.folder / "spool/db/sge").write_bytes(b"half")

    own.up()

    assert ["all.q", "closed.q", "short.q"] == own.run("qconf", "-sql").split()


def test_a_taken_port_is_named_before_anything_starts(own: GridEngineCluster) -> None:
    """Half a cluster that nobody asked for would run on."""
    port = own.ports[1]
    folder = own.folder.with_name(f"{own.folder.name}-2")

    code, stdout, stderr = command("up", folder, f"--port={port - 1}")
    left = [path.name for path in folder.iterdir()]
    command("down", folder, "--wipe")
    shutil.rmtree(folder, ignore_errors=True)

    assert (1, "") == (code, stdout)
    assert f"gridengine: port {port - 1} is taken: choose others with --port\n" == stderr
    assert ["lock"] == left


def test_lines_of_its_configuration_can_be_set(own: GridEngineCluster) -> None:
    """No list of options has every line that a site may have."""
    own.kill("qmaster")  # which would take eight seconds to end by itself
    own.down()

    own.up("--slots=2", "--slow", "--set=max_u_jobs=7", "--set=flush_finish_sec=3")

    conf, sched = own.run("qconf", "-sconf"), own.run("qconf", "-ssconf")
    assert re.search(r"^max_u_jobs +7$", conf, re.MULTILINE)
    assert re.search(r"^load_report_time +00:00:40$", conf, re.MULTILINE)
    assert re.search(r"^schedule_interval +0:0:15$", sched, re.MULTILINE)
    assert re.search(r"^flush_finish_sec +3$", sched, re.MULTILINE)
    assert re.search(r"^slots +2$", own.run("qconf", "-sq", "all.q"), re.MULTILINE)


def test_a_line_that_no_configuration_has_is_refused(tmp_path: Path) -> None:
    """It would be written, and heard by nobody."""
    must_be_installed()

    words = (f"--port={free_ports()}", "--set=max_jbos=1")
    code, stdout, stderr = command("up", tmp_path / "no", *words)

    assert (1, "") == (code, stdout)
    assert "gridengine: neither sge_conf nor sched_conf has a line 'max_jbos'\n" == stderr
    assert ["lock"] == [path.name for path in (tmp_path / "no").iterdir()]


def test_a_machine_without_an_address_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grid Engine would say that it cannot resolve a host, and not what to do."""
    monkeypatch.setattr("socket.gethostname", lambda: "no-such-host.invalid")

    with pytest.raises(ClusterError, match=r"no-such-host\.invalid' to /etc/hosts"):
        names.of_this_machine()


def test_every_name_of_the_machine_is_one_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classic trap: the name of a host and the name of its address differ."""
    known = {
        "box": ("box.lab.example", ["box"], ["10.0.0.7"]),
        "10.0.0.7": ("seven.lab.example", [], ["10.0.0.7"]),
        "127.0.0.1": ("localhost", ["loopback"], ["127.0.0.1"]),
    }

    def lookup(host: str) -> tuple[str, list[str], list[str]]:
        if host not in known:
            raise socket.herror
        return known[host]

    monkeypatch.setattr("socket.gethostname", lambda: "box")
    monkeypatch.setattr("socket.getfqdn", lambda: "box.lab.example")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [(0, 0, 0, "", ("10.0.0.7", 0))])
    monkeypatch.setattr("socket.gethostbyaddr", lookup)

    told = names.of_this_machine()

    assert ["box", "box.lab.example", "loopback", "seven.lab.example"] == told


@pytest.mark.parametrize("words", [["--slots=0"], ["--set=slots"], ["--port=65530"]])
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
    assert "not installed: gridengine-master gridengine-exec" in stderr
    assert f"install them: sudo {GRIDENGINE}/install\n" in stderr
    assert not (tmp_path / "no").exists()


def test_where_grid_engine_is_missing_tests_are_skipped_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check that nobody sees being skipped is a check that nobody has."""
    outcomes: list[type[BaseException]] = []
    monkeypatch.setattr("gridengine_cluster.PROGRAMS", ("sh", "no-such-program"))
    for ci in ("", "true"):
        monkeypatch.setenv("CI", ci)
        ways = (pytest.skip.Exception, pytest.fail.Exception)
        with pytest.raises(ways, match="no-such-program; run clusters/gridengine/in") as raised:
            must_be_installed()
        outcomes.append(raised.type)

    assert [pytest.skip.Exception, pytest.fail.Exception] == outcomes


def test_the_page_names_every_option() -> None:
    """What is not on the page is not found, and what is no more is looked for in vain."""
    page = Path(__file__).parents[1] / "docs/howto/grid-engine-on-a-laptop.md"
    if not page.exists():
        pytest.skip("the documents are out of sight (nox -s wheels)")
    text = page.read_text("utf-8").partition("## Choose")[2].partition("\n## ")[0]
    options = {
        option
        for action in parser()._actions
        for option in action.option_strings
        if option not in {"-h", "--help", "--no-slow"}
    }

    assert options == set(re.findall(r"--[a-z][a-z-]+", text))
