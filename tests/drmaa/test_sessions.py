"""Sessions of the DRMAA face: one per process, found again after a crash, shared by threads."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from face_hand import WAIT_S, Make, until, until_status

from drover import drmaa
from drover.drmaa._attached import GATE


def test_there_is_one_session_and_none_after_it(session: drmaa.Session, make: Make) -> None:
    template = make("true")
    with pytest.raises(drmaa.AlreadyActiveSessionException, match=r"^code 11: "):
        drmaa.Session.initialize()
    with ThreadPoolExecutor(1) as pool, pytest.raises(drmaa.AlreadyActiveSessionException):
        pool.submit(drmaa.Session.initialize).result()
    session.exit()

    calls: list[Callable[[], object]] = [
        session.exit,
        session.createJobTemplate,
        lambda: session.runJob(template),
        lambda: session.runBulkJobs(template, 1, 2, 1),
        lambda: session.wait("x"),
        lambda: session.synchronize(["x"]),
        lambda: session.jobStatus("x"),
        lambda: session.control("x", "hold"),
    ]
    for call in calls:
        with pytest.raises(drmaa.NoActiveSessionException, match=r"^code 5: "):
            call()


def test_a_session_tells_what_it_is(session: drmaa.Session, backend: str) -> None:
    home = os.environ["DROVER_HOME"]

    assert session.contact.startswith(f"{backend};session=")
    assert session.contact.endswith(f";home={home}")
    assert session.drmsInfo.startswith(f"{backend} (drover-")
    assert session.drmaaImplementation.startswith("Drover ")
    assert session.contact == drmaa.Session.contact
    session.exit()
    assert backend in drmaa.Session.contact.split(",")
    assert f"{backend} (drover-" in drmaa.Session.drmsInfo
    assert "1.0" == str(session.version)


def test_the_default_backend_is_configured(backend: str) -> None:
    with drmaa.Session() as session:
        assert session.contact.startswith(f"{backend};")


@pytest.mark.parametrize("contact", ["nonesuch", "session=", "a=b"])
def test_a_contact_string_that_is_none(backend: str, contact: str) -> None:
    with pytest.raises(drmaa.InvalidContactStringException, match=r"^code 7: "):
        drmaa.Session.initialize(contact)
    with pytest.raises(drmaa.NoActiveSessionException):
        drmaa.Session.exit()


def test_a_default_backend_that_is_not_there(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_BACKEND", "nonesuch")
    with pytest.raises(drmaa.DefaultContactStringException, match=r"^code 8: .*nonesuch"):
        drmaa.Session.initialize()


def test_a_store_that_cannot_be_opened(backend: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(drmaa.DrmsInitException, match=r"^code 10: "):
        drmaa.Session.initialize(f"{backend};home={tmp_path}/file")


@pytest.mark.brief
def test_a_session_is_opened_again_by_its_contact(
    session: drmaa.Session, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word about the store in the environment, and with what was reaped still reaped."""
    contact = session.contact
    reaped, disposed, ended, going = (
        session.runJob(make(script)) for script in ("true", "true", "exit 2", "sleep 1; exit 3")
    )
    session.wait(reaped, WAIT_S)
    session.synchronize([disposed], WAIT_S, dispose=True)
    session.synchronize([ended], WAIT_S)
    session.exit()
    monkeypatch.delenv("DROVER_HOME")
    session.initialize(contact)

    assert contact == session.contact
    for job_id in (reaped, disposed):
        with pytest.raises(drmaa.InvalidJobException, match="already"):
            session.wait(job_id)
    assert Counter({ended: 2, going: 3}) == Counter(
        {info.jobId: info.exitStatus for info in (
            session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, WAIT_S) for _ in range(2)
        )}
    )  # fmt: skip


def test_jobs_of_another_session_can_be_seen_and_ended_but_not_waited_for(
    session: drmaa.Session, make: Make, backend: str
) -> None:
    job_id = session.runJob(make("exec sleep 300"))
    session.exit()
    session.initialize(backend)

    assert session.jobStatus(job_id) in {"queued_active", "running"}
    with pytest.raises(drmaa.InvalidJobException):
        session.wait(job_id)
    session.synchronize([job_id, drmaa.Session.JOB_IDS_SESSION_ALL], 0)
    session.control(job_id, drmaa.JobControlAction.TERMINATE)
    until_status(session, job_id, drmaa.JobState.FAILED)


CRASHER = """
import os, signal, sys
import drover.drmaa as drmaa
session = drmaa.Session()
session.initialize(sys.argv[1])
template = session.createJobTemplate()
template.remoteCommand, template.args = "/bin/sh", ["-c", "sleep 1; exit 4"]
template.workingDirectory = sys.argv[2]
session.runBulkJobs(template, 1, 3, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.brief
def test_jobs_of_a_program_that_was_killed_are_found_again(backend: str, tmp_path: Path) -> None:
    """Not even their ids had been told to anybody."""
    contact = f"{backend};session=killed-{tmp_path.name}"
    done = subprocess.run(
        [sys.executable, "-c", CRASHER, contact, str(tmp_path)], timeout=60, check=False
    )
    assert -signal.SIGKILL == done.returncode
    with drmaa.Session(contact) as session:
        infos = [session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, WAIT_S) for _ in range(3)]
        with pytest.raises(drmaa.InvalidJobException):
            session.wait(drmaa.Session.JOB_IDS_SESSION_ANY)

    assert ({4}, 3) == ({info.exitStatus for info in infos}, len({info.jobId for info in infos}))


SHARER = """
import sys
import drover.drmaa as drmaa
with drmaa.Session(sys.argv[1]) as session:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        while True:
            print(session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, 60).jobId, flush=True)
    except drmaa.InvalidJobException:
        pass
"""


def test_two_processes_with_one_session_reap_each_job_once(
    session: drmaa.Session, make: Make
) -> None:
    """Of two that handle the same results, one does it a second time."""
    ids = session.runBulkJobs(make("true"), 1, 40, 1)
    session.synchronize(ids, WAIT_S)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER, session.contact],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for reader in readers:
        assert reader.stdout is not None
        assert "ready\n" == reader.stdout.readline()
    with ThreadPoolExecutor(2) as pool:
        told = [out for out, _ in pool.map(lambda reader: reader.communicate("\n", 60), readers)]

    assert [0, 0] == [reader.returncode for reader in readers]
    assert sorted(ids) == sorted("".join(told).split())


def test_a_forked_process_opens_the_session_anew(session: drmaa.Session, make: Make) -> None:
    """A connection that crosses a fork serves two masters; with the C library the call hangs."""
    job_id = session.runJob(make("exit 6"))
    session.synchronize([job_id], WAIT_S)
    parents = GATE.active
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:  # The child: it leaves without a word to pytest.
        code = 1
        try:
            told = (
                f"{session.contact} {session.jobStatus(job_id)} {session.wait(job_id).exitStatus}"
            )
            os.write(writer, told.encode())
            code = 1 if GATE.active is parents else 0
        finally:
            os._exit(code)
    os.close(writer)
    told = os.read(reader, 10_000).decode()
    os.close(reader)

    assert (pid, 0) == os.waitpid(pid, 0)
    assert f"{session.contact} done 6" == told
    # The child has reaped it: they are one session.
    with pytest.raises(drmaa.InvalidJobException):
        session.wait(job_id)


# Threads


def test_many_threads_submit_ask_and_wait(session: drmaa.Session, make: Make) -> None:
    def one(code: int) -> tuple[str, int]:
        job_id = session.runJob(make(f"exit {code}"))
        session.jobStatus(job_id)
        info = session.wait(job_id, WAIT_S)
        assert job_id == info.jobId
        return job_id, info.exitStatus

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(64)))

    assert list(range(64)) == [code for _, code in found]
    assert 64 == len({job_id for job_id, _ in found})


def test_threads_that_wait_for_any_share_the_jobs(session: drmaa.Session, make: Make) -> None:
    """None gets a job that another has got."""
    ids = session.runBulkJobs(make("exit $DROVER_ARRAY_INDEX"), 0, 39, 1)

    def collect() -> list[str]:
        mine: list[str] = []
        try:
            while True:
                mine.append(session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, WAIT_S).jobId)
        except drmaa.InvalidJobException:
            return mine

    with ThreadPoolExecutor(6) as pool:
        collected = [one for future in [pool.submit(collect) for _ in range(6)]
                     for one in future.result()]  # fmt: skip

    assert sorted(ids) == sorted(collected)


def test_of_two_threads_on_one_job_one_gets_it(session: drmaa.Session, make: Make) -> None:
    job_id = session.runJob(make("sleep 0.5"))

    def attempt(_: int) -> str:
        try:
            return session.wait(job_id, WAIT_S).jobId
        except drmaa.InvalidJobException as error:
            return str(error)[:7]

    with ThreadPoolExecutor(2) as pool:
        assert sorted([job_id, "code 18"]) == sorted(pool.map(attempt, range(2)))


def test_leaving_lets_waiting_threads_go(session: drmaa.Session, make: Make) -> None:
    """And closes nothing under them."""
    job_id = session.runJob(make("exec sleep 300"))
    ends: list[str] = []

    def wait() -> None:
        with pytest.raises(drmaa.ExitTimeoutException) as caught:
            session.wait(job_id)
        ends.append(str(caught.value))

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: GATE.active is not None and GATE.active.inside.total() == 2)
    began = time.monotonic()
    session.exit()
    for thread in threads:
        thread.join(WAIT_S)

    assert ["code 23: the session was left"] * 2 == ends
    assert time.monotonic() - began < 10


# Handlers of signals run inside the call that they interrupt.

STOPPED = """
import signal, sys
import drover.drmaa as drmaa
session = drmaa.Session()
session.initialize(sys.argv[1])
template = session.createJobTemplate()
template.remoteCommand, template.args = "/bin/sleep", ["300"]
template.workingDirectory = sys.argv[2]
job_id = session.runJob(template)
print(job_id, flush=True)

def stop(*_):
    session.control(drmaa.Session.JOB_IDS_SESSION_ALL, drmaa.JobControlAction.TERMINATE)
    session.exit()
    if sys.argv[3] == "leaves":
        sys.exit(7)

signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    session.wait(job_id, drmaa.Session.TIMEOUT_WAIT_FOREVER)
except drmaa.ExitTimeoutException as error:
    print(error)
session.initialize(sys.argv[1])
session.exit()
"""


@pytest.mark.parametrize(
    ("then", "code", "said"), [("leaves", 7, ""), ("stays", 0, "code 23: the session was left\n")]
)
def test_a_handler_of_signals_leaves_the_session_under_a_wait(
    backend: str, tmp_path: Path, then: str, code: int, said: str
) -> None:
    """What Ctrl-C does in many programs: all jobs are ended, the session is left."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STOPPED, backend, str(tmp_path), then],
        stdout=subprocess.PIPE, text=True, timeout=30, check=False,
    )  # fmt: skip
    job_id, _, rest = done.stdout.partition("\n")

    assert (code, said) == (done.returncode, rest)
    with drmaa.Session(backend) as session:
        until_status(session, job_id, drmaa.JobState.FAILED)


ASKS = """
import signal, sys, time
import drover.drmaa as drmaa
session = drmaa.Session()
session.initialize(sys.argv[1])
template = session.createJobTemplate()
template.remoteCommand, template.args = "/bin/sh", ["-c", "exit $DROVER_ARRAY_INDEX"]
template.workingDirectory = sys.argv[2]
ids = set(session.runBulkJobs(template, 1, 20, 1))
everything, reaped, asked = drmaa.Session.JOB_IDS_SESSION_ALL, [], 0

def ask(*_):
    global asked
    asked += 1
    session.control(everything, drmaa.JobControlAction.RESUME)
    if asked % 10 == 0:
        wait()
    signal.setitimer(signal.ITIMER_REAL, 0.002)

def wait():
    try:
        reaped.append(session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, 0).jobId)
    except (drmaa.ExitTimeoutException, drmaa.InvalidJobException):
        pass

signal.signal(signal.SIGALRM, ask)
signal.setitimer(signal.ITIMER_REAL, 0.002)
deadline = time.monotonic() + 20
while (len(reaped) < 20 or asked < 200) and time.monotonic() < deadline:
    wait()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
session.exit()
print(sorted(ids) == sorted(reaped), asked >= 200)
"""


def test_a_handler_of_signals_may_ask_in_the_middle_of_a_call(backend: str, tmp_path: Path) -> None:
    """And neither waits for the call that waits for it, nor takes a job that was taken."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASKS, backend, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, timeout=40, check=False,
    )  # fmt: skip

    assert (0, "True True\n") == (done.returncode, done.stdout)
