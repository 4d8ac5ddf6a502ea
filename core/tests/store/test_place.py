"""Whose a store is, where it lies, and what is secret in it."""

import errno
import os
import shutil
import sqlite3
import stat
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drover import events as e
from drover._store import (
    Draft,
    JobFilter,
    NetworkFileSystemWarning,
    _place,
    _schema,
    is_network,
)
from drover.errors import (
    StoreElsewhereError,
    StoreReadOnlyError,
    StoreUnusableError,
    StoreVersionError,
)
from drover.models import (
    JobSpec,
)

Open = Callable[..., Any]


def draft(at: float = 1.0, **fields: Any) -> Draft:
    backend, key = fields.pop("backend", "b"), fields.pop("key", None)
    spec = JobSpec(**{"argv": ["x"], **fields})
    return Draft(event=e.Submitted(at=at, spec=spec, backend=backend, key=key))


def all_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.iterdir() if path.name.startswith("store"))


# Whose it is


def test_files_are_private_whatever_the_umask(tmp_path: Path, open_store: Open) -> None:
    """Arguments and outputs of jobs are nobody else's business."""
    before = os.umask(0)
    try:
        open_store(tmp_path / "deep" / "er" / "store").insert(draft(env={"A": "b"}))
    finally:
        os.umask(before)

    modes = {
        path.relative_to(tmp_path).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in tmp_path.rglob("*")
    }
    files = ["key", "store.db", "store.db-shm", "store.db-wal"]
    assert modes == dict.fromkeys(["deep", "deep/er", "deep/er/store"], "0o700") | {
        f"deep/er/store/{name}": "0o600" for name in files
    }


def test_a_folder_that_is_open_to_others_is_closed(home: Path, open_store: Open) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)

    open_store()

    assert 0o700 == stat.S_IMODE(home.stat().st_mode)


def test_a_folder_of_somebody_else_is_refused(
    home: Path, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns the folder can put another database there."""
    home.mkdir()
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)

    with pytest.raises(StoreUnusableError, match="another user"):
        open_store()


def test_a_newer_store_is_refused_and_untouched(home: Path, open_store: Open) -> None:
    """An older drover would misread it, and write what the newer one cannot read."""
    open_store().close()
    with sqlite3.connect(home / "store.db") as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = (home / "store.db").read_bytes()

    with pytest.raises(StoreVersionError) as caught:
        open_store()

    assert (99, _schema.SUPPORTED) == (caught.value.version, caught.value.supported)
    assert before == (home / "store.db").read_bytes()


def test_a_copy_can_be_read_but_not_written(home: Path, tmp_path: Path, open_store: Open) -> None:
    """Two stores with one identity would each run every job."""
    original = open_store()
    (job_id,) = original.insert(draft(env={"A": "b"}))
    shutil.copytree(home, tmp_path / "copy")

    copy = open_store(tmp_path / "copy")

    assert (True, {"A": "b"}) == (copy.read_only, dict(copy.job(job_id).spec.env))
    with pytest.raises(StoreReadOnlyError, match="copy of the store at"):
        copy.insert(draft())
    with pytest.raises(StoreReadOnlyError):
        copy.acquire_lease({})
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        copy._sql.execute("DELETE FROM jobs")


def test_a_database_that_is_copied_alone_knows_whose_copy_it_is(
    home: Path, tmp_path: Path, open_store: Open
) -> None:
    """What lies in the log yet is not in it: without its identity it would pass for a new store."""
    open_store().insert(draft())
    (tmp_path / "copy").mkdir()
    shutil.copy(home / "store.db", tmp_path / "copy")

    assert open_store(tmp_path / "copy").read_only


def test_a_store_that_was_moved_is_the_same(home: Path, tmp_path: Path, open_store: Open) -> None:
    first = open_store()
    (job_id,) = first.insert(draft())
    first.close()
    home.rename(tmp_path / "moved")

    moved = open_store(tmp_path / "moved")

    assert (False, job_id) == (moved.read_only, moved.job(job_id).id)


def test_without_permission_it_is_read_only(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store().insert(draft())
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(StoreReadOnlyError, match="no permission"):
        open_store().insert(draft())


@pytest.mark.parametrize("content", [b"not a database at all " * 500, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database_is_refused(
    home: Path, open_store: Open, content: bytes
) -> None:
    home.mkdir(mode=0o700)
    (home / "store.db").write_bytes(content)

    with pytest.raises(StoreUnusableError, match=r"Restore store\.db from a backup"):
        open_store()
    assert content == (home / "store.db").read_bytes()


def test_a_database_that_lost_its_content_is_no_new_one(home: Path, open_store: Open) -> None:
    """SQLite takes an empty file for a new database: all jobs would be gone without a word."""
    store = open_store()
    store.insert(draft())
    store.close()
    (home / "store.db").write_bytes(b"")

    with pytest.raises(StoreUnusableError, match=r"lost its content. Restore store\.db"):
        open_store()


def test_an_empty_file_without_a_key_is_a_store_that_is_being_made(
    home: Path, open_store: Open
) -> None:
    """Who makes a store may be killed before the first table is in it."""
    home.mkdir(mode=0o700)
    (home / "store.db").touch(mode=0o600)

    assert [] == open_store().insert()


def test_a_store_can_be_begun_anew(home: Path, open_store: Open) -> None:
    """What the messages tell people to do must work."""
    store = open_store()
    store.insert(draft())
    store.close()
    (home / "store.db").rename(home / "old.db")

    assert 1 == len(open_store().insert(draft()))


def test_a_folder_in_the_place_of_the_database_is_refused(home: Path, open_store: Open) -> None:
    (home / "store.db").mkdir(parents=True)

    with pytest.raises(StoreUnusableError, match=r"store\.db is no file. Restore"):
        open_store()


def test_a_schema_that_nobody_made_is_refused(home: Path, open_store: Open) -> None:
    open_store().close()
    with sqlite3.connect(home / "store.db") as raw:
        raw.execute("PRAGMA user_version = -1")
    raw.close()

    with pytest.raises(StoreUnusableError, match="no drover has made schema -1"):
        open_store()


def test_a_database_of_another_program_is_refused(home: Path, open_store: Open) -> None:
    home.mkdir(mode=0o700)
    with sqlite3.connect(home / "store.db") as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()

    with pytest.raises(StoreUnusableError, match="another program"):
        open_store()


def test_a_damaged_store_is_found_out(home: Path, open_store: Open) -> None:
    """A page that was overwritten is told as what it is, not as a fault of ours."""
    store = open_store()
    store.insert(*(draft(name="x" * 200) for _ in range(200)))
    store._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    path = home / "store.db"
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xa5" * (len(content) - 12288)
    path.write_bytes(content)

    damaged = open_store()
    with (
        pytest.raises(StoreUnusableError, match=r"Restore store\.db from a backup"),
        damaged.read() as reader,
    ):
        reader.listing(JobFilter(), None)
    assert [] != damaged.check_integrity()


def test_the_integrity_check_is_silent_on_a_whole_store(store: Any) -> None:
    assert [] == store.check_integrity()


def test_a_file_in_the_place_of_the_folder_is_refused(home: Path, open_store: Open) -> None:
    home.write_text("x")

    with pytest.raises(StoreUnusableError):
        open_store()


# Versions and places


def test_an_older_store_is_migrated(
    home: Path, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store()
    (job_id,) = first.insert(draft())
    first.close()
    now = _schema.SUPPORTED
    monkeypatch.setattr(_schema, "SUPPORTED", now + 2)
    steps: list[int] = []

    def step(version: int) -> Callable[[sqlite3.Connection], None]:
        def migrate(connection: sqlite3.Connection) -> None:
            connection.execute(f"CREATE TABLE new_{version} (x)")
            steps.append(version)

        return migrate

    monkeypatch.setattr(_schema, "MIGRATIONS", {now: step(now), now + 1: step(now + 1)})
    store = open_store()

    assert ([now, now + 1], now + 2) == (
        steps,
        store._sql.execute("PRAGMA user_version").fetchone()[0],
    )
    assert job_id == store.job(job_id).id
    open_store()
    assert [now, now + 1] == steps


def test_a_store_of_the_first_version_is_read(home: Path, open_store: Open) -> None:
    """Only the text of what is written from now on differs."""
    first = open_store()
    (job_id,) = first.insert(draft())
    first._sql.execute("PRAGMA user_version = 1")
    first.close()
    store = open_store()

    assert job_id == store.job(job_id).id
    assert _schema.SUPPORTED == store._sql.execute("PRAGMA user_version").fetchone()[0]


def test_a_migration_that_fails_changes_nothing(
    home: Path, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is half new can be read by neither drover."""
    open_store().close()

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE jobs")
        connection.execute("SELECT * FROM nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", {_schema.SUPPORTED: fail})
        patch.setattr(_schema, "SUPPORTED", _schema.SUPPORTED + 1)
        with pytest.raises(StoreUnusableError, match="nowhere"):
            open_store()

    assert 0 == open_store()._sql.execute("SELECT count(*) FROM jobs").fetchone()[0]


def test_a_network_file_system_is_warned_of(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks fail there in silence, and a store with them."""
    monkeypatch.setattr(_place, "file_system", lambda _path: "nfs4")

    with pytest.warns(NetworkFileSystemWarning, match="lies on nfs4"):
        open_store()


def test_a_local_file_system_is_not_warned_of(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_place, "file_system", lambda _path: "ext4")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_store()


@pytest.mark.parametrize(
    ("kind", "expected"), [("nfs", True), ("lustre", True), ("ext4", False), ("", False)]
)
def test_network_file_systems_are_known(kind: str, expected: bool) -> None:
    assert expected == is_network(kind)


def test_a_shared_store_of_another_machine_is_refused(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease counts on one kernel: two machines would each think the other's engine dead."""
    open_store().insert(draft())
    monkeypatch.setattr(_place, "file_system", lambda _path: "nfs")
    monkeypatch.setattr(_place, "machine_id", lambda: "another")

    with pytest.raises(StoreElsewhereError, match="Log in there"):
        open_store()


def test_a_store_from_another_machines_disk_is_a_copy(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store().insert(draft())
    monkeypatch.setattr(_place, "file_system", lambda _path: "ext4")
    monkeypatch.setattr(_place, "machine_id", lambda: "another")

    assert "belongs to host" in open_store().why_read_only


# Secrets


def test_values_of_variables_are_not_on_the_disk(home: Path, store: Any) -> None:
    """A backup of the database must not hold a token that opens a cluster."""
    base = {"AWS_SECRET": "correct horse battery"}
    (job_id,) = store.insert(
        Draft(
            event=e.Submitted(
                at=1.0,
                spec=JobSpec(argv=["x"], env={"TOKEN": "hunter2hunter2"}),
                backend="b",
                base_digest=store.digest(base),
            ),
            base=base,
        ),
    )

    assert b"hunter2" not in all_bytes(home)
    assert b"correct horse" not in all_bytes(home)
    assert {"TOKEN": "hunter2hunter2"} == store.job(job_id).spec.env
    with store.read() as reader:
        assert base == reader.environment(store.job(job_id).base_digest)


def test_one_environment_is_kept_once(store: Any) -> None:
    """Ten thousand jobs of one shell share its variables."""
    base = {"A": "b"}
    event = e.Submitted(
        at=1.0, spec=JobSpec(argv=["x"]), backend="b", base_digest=store.digest(base)
    )
    store.insert(*[Draft(event=event, base=base)] * 5)
    store.insert(Draft(event=event, base=base))

    assert 1 == store._sql.execute("SELECT count(*) FROM environments").fetchone()[0]


def test_digests_of_two_stores_differ(store: Any, tmp_path: Path, open_store: Open) -> None:
    """A digest that can be made without the key tells who guesses right that they did."""
    assert store.digest({"A": "b"}) != open_store(tmp_path / "other").digest({"A": "b"})


def test_without_its_key_the_variables_are_closed(
    home: Path, tmp_path: Path, open_store: Open
) -> None:
    """A database that was copied alone tells no value, and lists its jobs all the same."""
    plain, secret = open_store().insert(draft(), draft(env={"A": "b"}))
    shutil.copytree(home, tmp_path / "copy", ignore=shutil.ignore_patterns("key"))
    copy = open_store(tmp_path / "copy")

    assert plain == copy.job(plain).id
    assert {"?": "closed: the store's key file is missing"} == dict(copy.job(secret).spec.env)


def test_a_key_of_another_store_is_told(home: Path, open_store: Open) -> None:
    first = open_store()
    (job_id,) = first.insert(draft(env={"A": "b"}))
    first.close()
    (home / "key").write_bytes(b"k" * 32)

    with pytest.raises(StoreUnusableError, match="of another store"):
        open_store().job(job_id)


def test_a_damaged_key_is_told(home: Path, open_store: Open) -> None:
    open_store().close()
    (home / "key").write_bytes(b"short")

    with pytest.raises(StoreUnusableError, match="damaged"):
        open_store()


def test_two_that_make_a_store_at_once_both_have_it(home: Path, open_store: Open) -> None:
    """SQLite tells one of them at once that the file is locked: it was taken for read-only."""
    _place.make_private(home)
    _place.make_private_file(home / _place.DATABASE)
    other = sqlite3.connect(home / _place.DATABASE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE being_made (x)")

    def leave() -> None:
        other.execute("ROLLBACK")
        other.close()

    timer = threading.Timer(0.2, leave)
    timer.start()
    try:
        store = open_store()

        assert not store.read_only
        assert 1 == len(store.insert(draft()))
    finally:
        timer.join()


def test_who_may_not_write_there_is_told_of_other_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home folder may be mounted read-only, or be somebody else's."""

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)

    with pytest.raises(
        StoreUnusableError, match=r"Permission denied. Choose another .* DROVER_HOME"
    ):
        _place.make_private(tmp_path / "home")
