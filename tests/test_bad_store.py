"""Stores that are damaged, read-only or newer are refused with the way out, and lose nothing."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from doors import WAIT_S, Doors, must_refuse

import drover
from drover.errors import StoreReadOnlyError, StoreUnusableError, StoreVersionError

RESTORE = "Restore store.db from a backup, or move the files store.db* away"


class Closed:
    """A store with a job that has ended, and nobody who works on it."""

    def __init__(self, doors: Doors) -> None:
        self.doors, self.home = doors, doors.home
        job = doors.submit("sh", "-c", "echo kept; exit 7", env={"A": "b"}, name="n" * 1000)
        # Enough pages for damage in the middle.
        more = [doors.submit("true", name="m" * 1000, hold=True) for _ in range(30)]
        assert 7 == job.wait(WAIT_S).exit_code
        doors.session.cancel(more)
        doors.session.purge(jobs=more)
        self.job_id = job.id
        doors.close()
        self._content = {path: path.read_bytes() for path in self.home.glob("store.db*")}

    def restore(self) -> None:
        """Bring a backup back into the same files: another inode would be a copy."""
        for path in self.home.glob("store.db*"):
            if path.is_dir():
                path.rmdir()
                (self.home / "away").rename(path)
            elif path not in self._content:
                path.unlink()
        for path, content in self._content.items():
            path.write_bytes(content)

    def is_whole(self) -> None:
        """See to it that the job is there, and that the store takes others."""
        with drover.open(self.home) as session:
            job = session.job(self.job_id)
            assert ("kept\n", 7) == (job.stdout.read(), job.outcome.exit_code)  # type: ignore[union-attr]
            assert session.submit(["true"]).wait(WAIT_S).succeeded  # type: ignore[union-attr]
            assert session.engine_stop()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("bad-store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "0")
        yield Closed(Doors(folder / "home", folder))


@pytest.fixture
def closed(once: Closed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Closed]:
    """Give the store; afterwards bring back the backup and see that nothing is missing."""
    monkeypatch.chdir(tmp_path)
    yield once
    once.restore()
    once.is_whole()
    once.restore()


def overwrite(home: Path) -> None:
    path = home / "store.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def cut(home: Path) -> None:
    path = home / "store.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(home: Path) -> None:
    (home / "store.db").write_bytes(b"")


def head(home: Path) -> None:
    with (home / "store.db").open("r+b") as file:
        file.write(b"no database here")


def folder(home: Path) -> None:
    (home / "store.db").rename(home / "away")
    (home / "store.db").mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "overwritten": (overwrite, ["malformed", RESTORE]),
    "cut off": (cut, ["malformed", RESTORE]),
    "emptied": (empty, ["has lost its content", RESTORE]),
    "another beginning": (head, ["not a database", RESTORE]),
    "a folder": (folder, ["store.db is no file", RESTORE]),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_store_is_told_and_left_alone(
    closed: Closed, damage: Callable[[Path], None], says: list[str]
) -> None:
    """Whoever looks at it says so; nobody writes over what may still be saved."""
    damage(closed.home)
    path = closed.home / "store.db"
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StoreUnusableError) as caught, drover.open(closed.home) as session:
        session.jobs()

    assert [] == [part for part in [str(closed.home), *says] if part not in str(caught.value)]
    with pytest.raises(StoreUnusableError), drover.open(closed.home) as session:
        session.submit(["true"])
    for words in (("ps",), ("show", closed.job_id), ("submit", "true")):
        must_refuse(closed.doors.type(*words), 5, [str(closed.home), *says])
    must_refuse(closed.doors.type("run", "true"), 125, says)
    diagnosed = closed.doors.type("doctor")
    assert diagnosed.code in {1, 5}
    assert any(word in diagnosed.stdout + diagnosed.stderr for word in (says[0], "damaged"))
    assert before == (path.read_bytes() if path.is_file() else b"")


UNSEEN = {
    "no JSON": (b'{"backend":', b'{"backend"?', "malformed"),
    "another name": (b'"argv":', b'"arg_":', "malformed"),
    "no UTF-8": (b'"argv":', b'"arg\xff":', "decode"),
}


@pytest.mark.parametrize(("old", "new", "says"), UNSEEN.values(), ids=UNSEEN)
def test_damage_that_sqlite_does_not_see_is_told(
    closed: Closed, old: bytes, new: bytes, says: str
) -> None:
    """It keeps no checksums: what cannot be read is no bug of ours, and harms its job alone."""
    path = closed.home / "store.db"
    content = path.read_bytes()
    assert content.count(old)
    path.write_bytes(content.replace(old, new))

    with drover.open(closed.home) as session:
        with pytest.raises(StoreUnusableError, match=says):
            session.job(closed.job_id).refresh()  # type: ignore[union-attr]
        for words in (("ps", "--all"), ("show", closed.job_id), ("history", closed.job_id)):
            must_refuse(closed.doors.type(*words), 5, [says, RESTORE])
        told = closed.doors.type("doctor")
        assert (1, True) == (told.code, says in told.stdout), told
        assert session.submit(["true"]).wait(WAIT_S).succeeded  # type: ignore[union-attr]
        assert session.engine_stop()


def test_garbage_in_the_log_of_the_database_is_passed_over(closed: Closed) -> None:
    """SQLite takes from it what bears its checksum, and nothing does."""
    (closed.home / "store.db-wal").write_bytes(b"\xa5" * 100_000)

    closed.is_whole()


def test_a_newer_store_is_refused(closed: Closed) -> None:
    with closing(sqlite3.connect(closed.home / "store.db")) as raw:
        raw.execute("PRAGMA user_version = 99")
    before = (closed.home / "store.db").read_bytes()

    with pytest.raises(StoreVersionError, match=r"schema 99.*pip install -U drover"):
        drover.open(closed.home)

    for words in (("ps",), ("submit", "true"), ("doctor",)):
        must_refuse(closed.doors.type(*words), 5, ["schema 99", "pip install -U drover", "--home"])
    assert before == (closed.home / "store.db").read_bytes()


def test_a_copy_is_read_only_with_all_that_lies_beside_it(closed: Closed, tmp_path: Path) -> None:
    """A purge of what cannot be forgotten must not begin with the output."""
    copy = tmp_path / "copy"
    shutil.copytree(closed.home, copy, ignore=shutil.ignore_patterns("*.sock"))
    with drover.open(copy) as session:
        job = session.job(closed.job_id)
        refused: list[Callable[[], object]] = [
            lambda: session.submit(["true"]),
            lambda: session.purge(jobs=[job]),
            lambda: session.retry([job]),
        ]
        for call in refused:
            with pytest.raises(StoreReadOnlyError, match=r"copy of the store.*--home"):
                call()

        assert "kept\n" == job.stdout.read()
    home = ("--home", str(copy))
    for words in (("submit", "true"), ("purge", closed.job_id), ("retry", closed.job_id)):
        must_refuse(closed.doors.type(*home, *words), 5, ["read-only", "copy of the store"])
    told = closed.doors.type(*home, "logs", closed.job_id)
    assert (0, "kept\n") == (told.code, told.stdout)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of our own, which can be made read-only: permissions stop no root."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "drover-test", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    """Change how it is mounted; that has to wait until nobody has a file open to write."""
    ends = time.monotonic() + WAIT_S
    while subprocess.run(
        ["mount", "-o", f"remount,{how}", str(place)], capture_output=True, check=False
    ).returncode:
        assert time.monotonic() < ends, "somebody still writes"
        time.sleep(0.1)


def test_a_store_on_a_read_only_file_system_can_be_read(
    mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot, or a disk that the system has turned read-only after an error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "0")
    made = Closed(Doors(mounted / "home", mounted))
    remount(mounted, "ro")

    with drover.open(made.home) as session:
        job = session.job(made.job_id)
        assert ("kept\n", {"A": "b"}) == (job.stdout.read(), job.record.spec.env)  # type: ignore[union-attr]
        for call in (lambda: session.submit(["true"]), lambda: session.purge(jobs=[job])):
            with pytest.raises(StoreReadOnlyError, match=r"mounted read-only.*--home"):
                call()
    for words in (("submit", "true"), ("cancel", made.job_id), ("engine", "restart")):
        must_refuse(made.doors.type(*words), 5, ["read-only", "--home"])
    must_refuse(made.doors.type("run", "true"), 125, ["mounted read-only"])
    assert made.job_id in made.doors.type("ps").stdout
    assert "kept\n" == made.doors.type("logs", made.job_id).stdout
    assert "mounted read-only" in made.doors.type("doctor").stdout

    remount(mounted, "rw")
    made.is_whole()
