"""What is in a store is its user's alone: nobody else reads or steers it, and no value leaks."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import frozen

import drover
from drover import JobSpec
from drover._store import Draft
from drover.errors import InvalidSpecError
from drover.events import Submitted
from drover.models import Attempt

WAIT_S = 60.0
SECRET = "s3cret-of-env"
INHERITED = "s3cret-inherited"
NOBODY = 65534

# Everything that makes a file: outputs kept and named, links, transfers, scripts, an array, a
# retry, a cancel before and after the start, a killed agent, a purge, a rotated log.
BUSY = """
import os, signal, sys, time, drover
from drover import Verb
from drover_local._doctor import ask_status
from drover_local._place import Place
os.umask(int(sys.argv[2], 8))
os.chdir(sys.argv[3])
with drover.open(sys.argv[1]) as session:
    sh = lambda text, **more: session.submit(["sh", "-c", text], env={"TOKEN": sys.argv[4]}, **more)
    open("in", "w").close()
    ends = [
        sh("echo kept; echo kept >&2"),
        sh("echo named", stdout="named.out", stderr="named.err"),
        sh("echo joined", join_output=True, name="joined"),
        sh("cp in2 out", inputs=[drover.Transfer(source="in", target="in2")],
           outputs=[drover.Transfer(source="out", target="out2")]),
        sh("exit 3", retry=drover.Retry(attempts=2)),
        sh("exit 0", array=drover.Array(indices=3)),
        session.submit(["no-such-command"], env={"TOKEN": sys.argv[4]}),
    ]
    left = sh("exec sleep 300", name="left")
    gone = sh("exec sleep 300")
    while {left.state, gone.state} != {drover.State.RUNNING}:
        session.wait([left, gone], 0.05)
    agent = ask_status(Place(sys.argv[1] + "/backends/local"))["pid"]
    os.kill(agent, signal.SIGKILL)
    os.kill(int(gone.native_state.split()[1]), signal.SIGKILL)
    waiting = sh("true", hold=True)
    waiting.cancel()
    done, pending = session.wait([*ends, gone, waiting], 60)
    assert not pending, pending
    session.purge(jobs=[ends[0]])
    print(left.id)
"""


@frozen
class Used:
    """A store on which everything was done, and whose engine and agent are there."""

    home: Path
    work: Path
    left: str
    """A job that runs."""

    def drover(self, *words: str) -> str:
        """Say what a command of the store's user prints."""
        done = subprocess.run(
            [sys.executable, "-m", "drover", "--home", str(self.home), *words],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        return done.stdout + done.stderr

    def files(self) -> list[Path]:
        """List all that is in the store's folder."""
        return [self.home, *sorted(self.home.rglob("*"))]


def use(folder: Path, umask: str) -> Used:
    """Do everything there is on a new store."""
    home, work = folder / "home", folder / "work"
    work.mkdir()
    settings = {
        "DROVER_DEBUG": "1",
        "DROVER_TRACE": "trace",
        "DROVER_BACKENDS__LOCAL__IDLE_S": "30",
        "INHERITED": INHERITED,
    }
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(home), umask, str(work), SECRET],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, **settings},
    )
    assert done.returncode == 0, done.stderr
    assert "" == done.stderr
    return Used(home, work, done.stdout.strip())


def leave(used: Used) -> None:
    with drover.open(used.home, engine="none") as session:
        session.ask(session.jobs(name="left"), drover.Verb.KILL)
        session.engine_stop()


@pytest.fixture(scope="module")
def used() -> Iterator[Used]:
    """One whose folders above are open to everybody, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="drover-private-"))
    folder.chmod(0o755)
    made = use(folder, "000")
    yield made
    leave(made)
    shutil.rmtree(folder)


def modes(used: Used) -> dict[str, str]:
    """List what is open to others, or is closed to its user."""
    wanted = {stat.S_IFDIR: 0o700}
    return {
        str(path.relative_to(used.home)): oct(path.lstat().st_mode)
        for path in used.files()
        if stat.S_IMODE(path.lstat().st_mode)
        != wanted.get(stat.S_IFMT(path.lstat().st_mode), 0o600)
    }


def test_every_file_is_private(used: Used) -> None:
    """A umask of 000 is what some daemons run with, and their jobs are no more public for it."""
    made = {path.name for path in used.files()}

    assert {} == modes(used)
    # The walk has to have met them, or it says nothing.
    assert made >= {
        "store.db", "store.db-wal", "key", "engine.log", "engine.sock", "trace", "agent.sock",
        "agent.log", "agent.lock", "ledger", "orphans", "closed", "output",
    }  # fmt: skip
    assert [] == [
        name
        for name in ("named.out", "named.err")
        if 0o600 != stat.S_IMODE((used.work / name).stat().st_mode)
    ]


def test_a_closed_umask_closes_nothing_that_is_needed(tmp_path: Path) -> None:
    """The strictest umask that people use."""
    used = use(tmp_path, "077")
    try:
        assert {} == modes(used)
    finally:
        leave(used)


ROTATED = """
import logging, os, sys
from pathlib import Path
from drover._engine._process import _log_to
os.umask(0)
log = Path(sys.argv[1])
_log_to(log)
for _ in range(50):
    logging.getLogger("drover").info("x" * 100_000)
print(sorted((path.name, oct(path.stat().st_mode & 0o777)) for path in log.parent.iterdir()))
"""


def test_a_rotated_log_is_private(tmp_path: Path) -> None:
    """The library opens the next file as it opens any."""
    folder = tmp_path / "logs"
    folder.mkdir()
    words = [sys.executable, "-c", ROTATED, str(folder / "engine.log")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=WAIT_S)

    expected = [("engine.log", "0o600"), ("engine.log.1", "0o600")]
    assert f"{expected}\n" == done.stdout


SQUAT = """
import os, sys, drover
with drover.open(sys.argv[1]) as session:
    print(session.submit(["true"]).wait(60).exit_code)
    session.engine_stop()
"""


def test_a_link_in_the_place_of_the_bells_folder_is_not_followed(tmp_path: Path) -> None:
    """Somebody else may have made it in /tmp before us, to lead us to a folder of his choice."""
    temporary, lure = tmp_path / "tmp", tmp_path / "lure"
    temporary.mkdir()
    lure.mkdir(mode=0o755)
    (temporary / f"drover-{os.getuid()}").symlink_to(lure)
    home = tmp_path / ("long" * 30)
    words = [sys.executable, "-c", SQUAT, str(home)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=WAIT_S, env=environment
    )

    assert ("0\n", "") == (done.stdout, done.stderr)
    assert "it is a link" in (home / "engine.log").read_text()
    assert (0o755, []) == (stat.S_IMODE(lure.stat().st_mode), list(lure.iterdir()))


STRANGER = """
import os, sys, drover
from drover.cli._guard import guarded
home, own, commands = sys.argv[1], sys.argv[2], [words.split() for words in sys.argv[3:]]
sys.stdout = sys.stderr = open(os.devnull, "w")
for words in commands:  # Loaded while the libraries can be read.
    guarded(["--home", own, *words])
sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for words in commands:
    print(words[0], guarded(["--home", home, *words]), flush=True)
os.environ["DROVER_HOME"] = os.environ["HOME"] = home  # As `sudo -u` may leave it.
print("closed-settings", guarded(["ps"]), flush=True)
os.environ["HOME"] = "/"
print("by-variable", guarded(["ps"]), flush=True)
try:
    drover.open(home)
except drover.DroverError as error:
    print("library", type(error).__name__)
for folder, _, names in os.walk(home, onerror=lambda error: print("walk", error.strerror)):
    print("walked", folder)
"""
REFUSED = [
    "ps", "show {0}", "history {0}", "logs {0}", "cancel {0}", "submit -- true", "purge --yes",
    "engine status", "engine stop", "top --once",
]  # fmt: skip
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can speak as another user")


@needs_root
def test_another_user_can_neither_read_nor_steer(used: Used, tmp_path: Path) -> None:
    """The command line refuses him in words, and the file system whatever he uses."""
    words = [command.format(used.left) for command in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(used.home), str(tmp_path / "own"), *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        cwd="/",
    )

    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    refused = {word.split()[0]: "2" for word in words}
    assert told == refused | {
        "closed-settings": "2",
        "by-variable": "5",
        "library": "StoreUnusableError",
        "walk": "Permission denied",
    }
    assert len(words) == done.stderr.count("is not readable"), done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert used.left in used.drover("ps", "--state", "RUNNING")


OPENED = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for line in sys.stdin.read().splitlines():
    if line.endswith(".sock"):
        try:
            with socket.socket(socket.AF_UNIX) as it:
                it.settimeout(5)
                os.chdir(os.path.dirname(line))
                it.connect(os.path.basename(line))
                it.sendall(b"\\n")
                print(line, it.recv(100))
        except TimeoutError:
            print(line, "is kept listening")
        except OSError:
            continue
    else:
        try:
            print(line, open(line, "rb").read(10))
        except OSError:
            continue
"""


def as_stranger(paths: list[Path]) -> str:
    """Say what another user reads from files and sockets."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", OPENED],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
        cwd="/",
    )
    return done.stdout


@needs_root
def test_each_file_is_closed_by_itself(used: Used) -> None:
    """Somebody opens the folders by mistake: what is in them stays closed."""
    folders = [path for path in used.files() if path.is_dir()]
    others = [path for path in used.files() if not path.is_dir()]
    for folder in folders:
        folder.chmod(0o755)
    try:
        assert "" == as_stranger(others)
    finally:
        for folder in folders:
            folder.chmod(0o700)


@needs_root
def test_the_engines_bell_looks_who_rings(used: Used) -> None:
    """Even if folder and socket were open: a stranger is told nothing, and its user still is."""
    bell = used.home / "engine.sock"
    used.home.chmod(0o777)
    bell.chmod(0o777)
    try:
        said = as_stranger([bell])
        with socket.socket(socket.AF_UNIX) as own:
            own.settimeout(WAIT_S)
            own.connect(str(bell))
            used.drover("submit", "--", "true")
            told = own.recv(100)
    finally:
        bell.chmod(0o600)
        used.home.chmod(0o700)

    # It is let go before it can say a word, or just after.
    assert said in {f"{bell} b''\n", ""}
    assert all(line.isdigit() for line in told.split())
    assert told


LISTINGS = [
    ("ps", "--all"), ("ps", "--all", "--json"), ("show", "{0}"), ("show", "{0}", "--json"),
    ("history", "{0}"), ("history", "{0}", "--json"), ("top", "--once"), ("top", "--json"),
    ("plan", "--env", f"TOKEN={SECRET}", "--", "true"),
    ("plan", "--json", "--env", f"TOKEN={SECRET}", "--", "true"),
    ("doctor",), ("engine", "status"), ("engine", "status", "--json"), ("config", "show"),
    ("submit", "--json", "--env", f"TOKEN={SECRET}", "--", "true"),
    ("submit", "--env", f"TOKEN={SECRET}", "--memory", f"{SECRET[:2]}", "--", "true"),
    ("run", "--json", "--env", f"TOKEN={SECRET}", "--", "true"),
]  # fmt: skip


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_no_listing_tells_a_variables_value(used: Used, words: tuple[str, ...]) -> None:
    """Listings are pasted into bug reports."""
    said = used.drover(*(word.format(used.left) for word in words))

    assert said
    assert [] == [secret for secret in (SECRET, INHERITED) if secret in said]


def test_a_value_is_told_when_asked_for(used: Used) -> None:
    for words in (
        ("show", used.left, "--show-env"),
        ("history", used.left, "--show-env", "--json"),
    ):
        assert SECRET in used.drover(*words)


def test_no_file_and_no_command_line_tells_a_variables_value(used: Used) -> None:
    """Not the store, its journal, a log, a trace, nor what `ps aux` shows to everybody."""
    places = [path for path in used.files() if path.is_file()]
    data = {str(path): path.read_bytes() for path in places}
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid():
            with suppress(OSError):
                data[folder.name] = (folder / "cmdline").read_bytes()
    ours = [name for name, text in data.items() if str(used.home).encode() in text]

    assert len([name for name in ours if name.isdecimal()]) >= 2  # Engine and keeper.
    for secret in (SECRET, INHERITED):
        assert [] == [name for name, text in data.items() if secret.encode() in text]


def test_what_the_library_shows_of_itself_tells_no_value() -> None:
    """Objects end up in tracebacks and logs."""
    spec = JobSpec(argv=("x",), env={"TOKEN": SECRET})
    attempt = Attempt(
        job_id="j",
        number=1,
        token="t",
        spec=spec,
        base_environment={"INHERITED": SECRET},
        variables={"TOKEN": SECRET},
    )
    fact = Submitted(at=1.0, spec=spec, backend="b")
    shown = [repr(it) for it in (spec, attempt, fact, Draft(event=fact, base={"A": SECRET}))]
    for env in ({"TOKEN": SECRET + "\0"}, f"TOKEN={SECRET}", [SECRET], {f"TOKEN={SECRET}": ""}):
        with pytest.raises(InvalidSpecError) as caught:
            JobSpec(argv=("x",), env=env)  # type: ignore[arg-type]
        shown += [str(caught.value), repr(caught.value)]

    assert [] == [text for text in shown if SECRET in text]
