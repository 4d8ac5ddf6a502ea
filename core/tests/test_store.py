"""The store: whose it is, what is in it, and who may write."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drover import events as e
from drover._store import (
    TTL_S,
    Draft,
    JobFilter,
    NetworkFileSystemWarning,
    Store,
    _lease,
    _place,
    _schema,
    boot_id,
    is_network,
    process_started,
)
from drover.errors import (
    AmbiguousJobError,
    IllegalTransitionError,
    StaleEpochError,
    StoreElsewhereError,
    StoreReadOnlyError,
    StoreUnusableError,
    StoreVersionError,
    UnknownJobError,
)
from drover.models import (
    Array,
    Dependency,
    JobRecord,
    JobSpec,
    Outcome,
    Reason,
    Request,
    Resources,
    Source,
    Started,
    Verb,
)
from drover.states import State
from drover.testing import FakeClock


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_store(home: Path, clock: FakeClock) -> Iterator[Callable[..., Store]]:
    stores: list[Store] = []

    def make(path: Path = home, **options: Any) -> Store:
        stores.append(Store.open(path, **{"clock": clock, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Iterator[Store]:
    made = open_store()
    yield made
    check_replay(made)


def check_replay(store: Store) -> None:
    with store.read() as reader:
        for replayed, projected in reader.replayed():
            assert replayed == projected


def draft(at: float = 1.0, **fields: Any) -> Draft:
    backend, key = fields.pop("backend", "b"), fields.pop("key", None)
    spec = JobSpec(**{"argv": ["x"], **fields})
    return Draft(event=e.Submitted(at=at, spec=spec, backend=backend, key=key))


def insert(store: Store, *drafts: Draft) -> list[str]:
    with store.write() as (writer, _):
        return writer.insert(drafts or [draft()], 1.0)


def job(store: Store, job_id: str) -> JobRecord:
    with store.read() as reader:
        return reader.job(job_id)


def record(store: Store, job_id: str, *facts: e.Event, epoch: int = 0) -> JobRecord:
    with store.write(epoch) as (writer, reader):
        return writer.record(reader.job(job_id), *facts, now=1.0)


def placed(attempt: int = 1, token: str = "t") -> tuple[e.Event, ...]:
    return (
        e.SubmitIntended(at=2.0, attempt=attempt, token=token, batch="b"),
        e.Accepted(at=3.0, attempt=attempt, native_id="7"),
    )


def ended(code: int = 0) -> e.Ended:
    outcome = Outcome(reason=Reason.EXITED, started=Started.YES, exit_code=code)
    return e.Ended(at=5.0, attempt=1, outcome=outcome)


def all_bytes(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.iterdir() if path.name.startswith("store"))


# Whose it is


def test_files_are_private_whatever_the_umask(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    """Arguments and outputs of jobs are nobody else's business."""
    before = os.umask(0)
    try:
        insert(open_store(tmp_path / "deep" / "er" / "store"), draft(env={"A": "b"}))
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


def test_a_folder_that_is_open_to_others_is_closed(
    home: Path, open_store: Callable[..., Store]
) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)

    open_store()

    assert 0o700 == stat.S_IMODE(home.stat().st_mode)


def test_a_folder_of_somebody_else_is_refused(
    home: Path, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who owns the folder can put another database there."""
    home.mkdir()
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)

    with pytest.raises(StoreUnusableError, match="another user"):
        open_store()


def test_a_newer_store_is_refused_and_untouched(
    home: Path, open_store: Callable[..., Store]
) -> None:
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


def test_a_copy_can_be_read_but_not_written(
    home: Path, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    """Two stores with one identity would each run every job."""
    original = open_store()
    (job_id,) = insert(original, draft(env={"A": "b"}))
    shutil.copytree(home, tmp_path / "copy")

    copy = open_store(tmp_path / "copy")

    assert (True, {"A": "b"}) == (copy.read_only, dict(job(copy, job_id).spec.env))
    with pytest.raises(StoreReadOnlyError, match="copy of the store at"):
        insert(copy)
    with pytest.raises(StoreReadOnlyError):
        copy.acquire_lease({})
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        copy._sql.execute("DELETE FROM jobs")


def test_a_store_that_was_moved_is_the_same(
    home: Path, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    first = open_store()
    (job_id,) = insert(first)
    first.close()
    home.rename(tmp_path / "moved")

    moved = open_store(tmp_path / "moved")

    assert (False, job_id) == (moved.read_only, job(moved, job_id).id)


def test_without_permission_it_is_read_only(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(open_store())
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(StoreReadOnlyError, match="no permission"):
        insert(open_store())


@pytest.mark.parametrize("content", [b"not a database at all " * 500, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database_is_refused(
    home: Path, open_store: Callable[..., Store], content: bytes
) -> None:
    home.mkdir(mode=0o700)
    (home / "store.db").write_bytes(content)

    with pytest.raises(StoreUnusableError, match=r"Restore store\.db from a backup"):
        open_store()
    assert content == (home / "store.db").read_bytes()


def test_a_database_of_another_program_is_refused(
    home: Path, open_store: Callable[..., Store]
) -> None:
    home.mkdir(mode=0o700)
    with sqlite3.connect(home / "store.db") as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()

    with pytest.raises(StoreUnusableError, match="another program"):
        open_store()


def test_a_damaged_store_is_found_out(home: Path, open_store: Callable[..., Store]) -> None:
    """A page that was overwritten is told as what it is, not as a fault of ours."""
    store = open_store()
    insert(store, *(draft(name="x" * 200) for _ in range(200)))
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


def test_the_integrity_check_is_silent_on_a_whole_store(store: Store) -> None:
    assert [] == store.check_integrity()


def test_a_file_in_the_place_of_the_folder_is_refused(
    home: Path, open_store: Callable[..., Store]
) -> None:
    home.write_text("x")

    with pytest.raises(StoreUnusableError):
        open_store()


# Versions and places


def test_an_older_store_is_migrated(
    home: Path, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_store()
    (job_id,) = insert(first)
    first.close()
    monkeypatch.setattr(_schema, "SUPPORTED", 3)
    steps: list[int] = []

    def step(version: int) -> Callable[[sqlite3.Connection], None]:
        def migrate(connection: sqlite3.Connection) -> None:
            connection.execute(f"CREATE TABLE new_{version} (x)")
            steps.append(version)

        return migrate

    monkeypatch.setattr(_schema, "MIGRATIONS", {1: step(1), 2: step(2)})
    store = open_store()

    assert ([1, 2], 3) == (steps, store._sql.execute("PRAGMA user_version").fetchone()[0])
    assert job_id == job(store, job_id).id
    open_store()
    assert [1, 2] == steps


def test_a_migration_that_fails_changes_nothing(
    home: Path, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is half new can be read by neither drover."""
    open_store().close()

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE jobs")
        connection.execute("SELECT * FROM nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(_schema, "SUPPORTED", 2)
        patch.setattr(_schema, "MIGRATIONS", {1: fail})
        with pytest.raises(StoreUnusableError, match="nowhere"):
            open_store()

    assert 0 == open_store()._sql.execute("SELECT count(*) FROM jobs").fetchone()[0]


def test_a_network_file_system_is_warned_of(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks fail there in silence, and a store with them."""
    monkeypatch.setattr(_place, "file_system", lambda _path: "nfs4")

    with pytest.warns(NetworkFileSystemWarning, match="lies on nfs4"):
        open_store()


def test_a_local_file_system_is_not_warned_of(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
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
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease counts on one kernel: two machines would each think the other's engine dead."""
    insert(open_store())
    monkeypatch.setattr(_place, "file_system", lambda _path: "nfs")
    monkeypatch.setattr(_place, "machine_id", lambda: "another")

    with pytest.raises(StoreElsewhereError, match="Log in there"):
        open_store()


def test_a_store_from_another_machines_disk_is_a_copy(
    open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(open_store())
    monkeypatch.setattr(_place, "file_system", lambda _path: "ext4")
    monkeypatch.setattr(_place, "machine_id", lambda: "another")

    assert "belongs to host" in open_store().why_read_only


# Secrets


def test_values_of_variables_are_not_on_the_disk(home: Path, store: Store) -> None:
    """A backup of the database must not hold a token that opens a cluster."""
    base = {"AWS_SECRET": "correct horse battery"}
    (job_id,) = insert(
        store,
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
    assert {"TOKEN": "hunter2hunter2"} == job(store, job_id).spec.env
    with store.read() as reader:
        assert base == reader.environment(job(store, job_id).base_digest)


def test_one_environment_is_kept_once(store: Store) -> None:
    """Ten thousand jobs of one shell share its variables."""
    base = {"A": "b"}
    event = e.Submitted(
        at=1.0, spec=JobSpec(argv=["x"]), backend="b", base_digest=store.digest(base)
    )
    insert(store, *[Draft(event=event, base=base)] * 5)
    insert(store, Draft(event=event, base=base))

    assert 1 == store._sql.execute("SELECT count(*) FROM environments").fetchone()[0]


def test_digests_of_two_stores_differ(
    store: Store, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    """A digest that can be made without the key tells who guesses right that they did."""
    assert store.digest({"A": "b"}) != open_store(tmp_path / "other").digest({"A": "b"})


def test_without_its_key_the_variables_are_closed(
    home: Path, tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    plain, secret = insert(open_store(), draft(), draft(env={"A": "b"}))
    shutil.copytree(home, tmp_path / "copy", ignore=shutil.ignore_patterns("key"))
    copy = open_store(tmp_path / "copy")

    assert plain == job(copy, plain).id
    with pytest.raises(StoreUnusableError, match="key file is missing"):
        job(copy, secret)


def test_a_key_of_another_store_is_told(home: Path, open_store: Callable[..., Store]) -> None:
    first = open_store()
    (job_id,) = insert(first, draft(env={"A": "b"}))
    first.close()
    (home / "key").write_bytes(b"k" * 32)

    with pytest.raises(StoreUnusableError, match="of another store"):
        job(open_store(), job_id)


def test_a_damaged_key_is_told(home: Path, open_store: Callable[..., Store]) -> None:
    open_store().close()
    (home / "key").write_bytes(b"short")

    with pytest.raises(StoreUnusableError, match="damaged"):
        open_store()


# What is in it


def test_what_was_handed_in_is_read_back(store: Store) -> None:
    spec = JobSpec(
        argv=["x", "\udcff"], name="n", tags=["t"], resources=Resources(cpus=3), not_before=9.0
    )
    (job_id,) = insert(
        store, Draft(event=e.Submitted(at=1.0, spec=spec, backend="b", key="k", allow=("queue",)))
    )
    made = job(store, job_id)

    assert (spec, "b", "k", ("queue",), State.NEW, 1) == (
        made.spec,
        made.backend,
        made.key,
        made.allow,
        made.state,
        made.n,
    )
    assert (1.0, 9.0) == (made.submitted_at, made.ready_at)


def test_an_array_is_one_line(store: Store) -> None:
    """A million elements are one fact: they were handed in as one."""
    (array_id,) = insert(store, draft(array=Array(indices=range(0, 2000, 2)), tags=["t"]))

    with store.read() as reader:
        first, size, fact = reader.array(array_id)
        rows = reader.elements(array_id)
        assert 1 == reader.last_seq()
    assert (1, 1000) == (first, size)
    assert fact.spec.array is not None
    assert [f"{array_id}.{k}" for k in range(0, 2000, 2)] == [row[0] for row in rows]
    assert (array_id, 14) == (
        job(store, f"{array_id}.14").array_id,
        job(store, f"{array_id}.14").array_index,
    )


def test_history_of_an_element_begins_with_the_arrays_fact(store: Store) -> None:
    (array_id,) = insert(store, draft(array=Array(indices=3)))
    element = record(store, f"{array_id}.1", *placed())

    with store.read() as reader:
        names = [entry.name for entry in reader.history(element)]
    assert ["Submitted", "SubmitIntended", "Accepted"] == names


def test_a_refused_fact_undoes_its_transaction(store: Store) -> None:
    """Half of what was decided together must never be found."""
    (job_id,) = insert(store)
    before = job(store, job_id)

    with pytest.raises(IllegalTransitionError):
        record(store, job_id, *placed(), e.Resumed(at=4.0, attempt=1))

    assert before == job(store, job_id)
    with store.read() as reader:
        assert 1 == reader.last_seq()


def test_an_exception_in_a_transaction_undoes_it(store: Store) -> None:
    def insert_and_fail() -> None:
        with store.write() as (writer, _):
            writer.insert([draft()], 1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()

    with store.read() as reader:
        assert ([], 0) == (reader.ids(JobFilter()), reader.last_seq())


def test_a_full_disk_is_told_and_loses_nothing(store: Store) -> None:
    """What was committed stays; what was not can be tried again when there is room."""
    (job_id,) = insert(store)
    pages = store._sql.execute("PRAGMA page_count").fetchone()[0]
    store._sql.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreUnusableError, match="free some space"):
        insert(store, *(draft(argv=["x" * 4000]) for _ in range(50)))

    assert job_id == job(store, job_id).id
    store._sql.execute("PRAGMA max_page_count = 1000000")
    assert 50 == len(insert(store, *(draft(argv=["x" * 4000]) for _ in range(50))))


def test_listing_is_newest_first_and_can_be_paged(store: Store) -> None:
    ids = insert(store, *(draft() for _ in range(5)))

    with store.read() as reader:
        page = reader.listing(JobFilter(), 2)
        rest = reader.listing(JobFilter(), None, after_n=page[-1].n)
    assert ids[::-1] == [row.id for row in page + rest]


def test_filters(store: Store) -> None:
    plain, tagged, named, elsewhere, array = insert(
        store,
        draft(),
        draft(tags=["t", "\udcff"]),
        draft(name="n \udcff"),
        draft(backend="c"),
        draft(array=Array(indices=2)),
    )
    record(store, plain, *placed(), ended(3))
    elements = [f"{array}.0", f"{array}.1"]

    def ids(**which: Any) -> list[str]:
        with store.read() as reader:
            return reader.ids(JobFilter(**which))

    assert [tagged] == ids(tag="t")
    assert [tagged] == ids(tag="\udcff")
    assert [named] == ids(name="n \udcff")
    assert [elsewhere] == ids(backend="c")
    assert elements == ids(array=array)
    assert [plain] == ids(states=(State.FAILED,))
    assert [] == ids(states=())
    assert [] == ids(states=(State.FAILED,), tag="t")
    with store.read() as reader:
        assert {State.NEW: 5, State.FAILED: 1} == reader.counts(JobFilter())


def test_ids_may_be_shortened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["abc1", "abd2", "xyz"])
    monkeypatch.setattr("drover._store._writer.new_id", lambda: next(names))
    insert(store, draft(), draft(), draft(array=Array(indices=12)))

    with store.read() as reader:
        assert ("abc1", False) == reader.resolve("abc")
        assert ("xyz", True) == reader.resolve("x")
        assert ("xyz.1", False) == reader.resolve("xyz.1")
        assert ("xyz.11", False) == reader.resolve("xyz.11")
        with pytest.raises(AmbiguousJobError) as caught:
            reader.resolve("ab")
        assert ("abc1", "abd2") == caught.value.matches


@pytest.mark.parametrize("word", ["", "nope", "abc1.", "%", "\udcff", "\U0010ffff", "a\0", "abc1x"])
def test_an_id_that_is_none_is_unknown(
    store: Store, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("drover._store._writer.new_id", lambda: "abc1")
    insert(store)

    with store.read() as reader, pytest.raises(UnknownJobError):
        reader.resolve(word)


def test_a_key_finds_its_job(store: Store) -> None:
    (job_id,) = insert(store, draft(key="k\udcff"))

    with store.read() as reader:
        assert (job_id, None) == (reader.by_key("k\udcff"), reader.by_key("other"))


def test_a_key_belongs_to_one_job(store: Store) -> None:
    insert(store, draft(key="k"))

    with pytest.raises(sqlite3.IntegrityError):
        insert(store, draft(key="k"))


def test_what_is_forgotten_is_gone(home: Path, store: Store) -> None:
    """A purge is asked for because of what stands there."""
    gone, kept = insert(
        store, draft(argv=["very secret word"], key="k", tags=["t"]), draft(after=["zzz"])
    )
    n = record(store, gone, *placed(), ended()).n
    with store.write() as (writer, _):
        writer.forget([n])

    with store.read() as reader:
        assert [kept] == reader.ids(JobFilter())
        assert (None, []) == (reader.by_key("k"), reader.ids(JobFilter(tag="t")))
        assert [kept] == [entry.job_id for entry in reader.entries(0, None)]
    tables = ("journal", "jobs", "keys", "tags", "dependencies")
    left = [store._sql.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables]
    assert [1, 1, 0, 0, 1] == left


def test_an_array_is_forgotten_with_its_last_element(store: Store) -> None:
    (array_id,) = insert(store, draft(array=Array(indices=2), key="k"))
    ns = [job(store, f"{array_id}.{k}").n for k in range(2)]

    with store.write() as (writer, _):
        writer.forget(ns[:1])
    check_replay(store)
    assert array_id == job(store, f"{array_id}.1").array_id
    with store.write() as (writer, _):
        writer.forget(ns[1:])

    with store.read() as reader:
        assert ([], None) == (reader.entries(0, None), reader.by_key("k"))


def test_a_forgotten_position_is_not_given_to_another(store: Store) -> None:
    """`n` orders jobs and names tokens' jobs to the engine: a new job must not inherit one."""
    first, last = insert(store, draft(), draft())
    seen = job(store, last).n
    record(store, last, *placed(), ended())
    with store.write() as (writer, _):
        writer.forget([seen])

    (again,) = insert(store)

    assert job(store, first).n < seen < job(store, again).n


def test_projections_are_what_the_journal_says(store: Store) -> None:
    one, two = insert(store, draft(hold=True, not_before=5.0), draft())
    request = Request(id="r", verb=Verb.CANCEL, by="me", at=4.0)
    record(store, two, *placed(), e.Started(at=4.0, attempt=1, source=Source.AGENT))
    record(store, two, e.ControlAsked(at=4.0, request=request))
    record(store, one, e.Deferred(at=2.0, why="a release"), e.HoldsSeen(at=3.0, hold=frozenset()))

    check_replay(store)
    assert (request,) == job(store, two).pending
    assert (frozenset(), None) == (job(store, one).hold, job(store, one).ready_at)


def test_a_projection_that_lies_is_found_out(open_store: Callable[..., Store]) -> None:
    """The check of the doctor, and of every test here, must be able to fail."""
    store = open_store()
    (job_id,) = insert(store)
    record(store, job_id, *placed())
    store._sql.execute("""UPDATE jobs SET record = '{"state":"FAILED"}'""")

    with pytest.raises(AssertionError):
        check_replay(store)


def test_dependencies_are_listed_until_they_are_met(store: Store) -> None:
    (first,) = insert(store)
    (second,) = insert(store, draft(after=[Dependency(job=first)]))
    n = job(store, second).n

    with store.read() as reader:
        assert [(first, "succeeded")] == reader.dependencies_of(n)
        assert [(n, first, "succeeded")] == reader.dependents_of([first])
    with store.write() as (writer, _):
        writer.meet_dependencies(n, [first])
    with store.read() as reader:
        assert ([], []) == (reader.dependencies_of(n), reader.dependents_of([first]))


def test_turns_are_by_priority_then_age(store: Store) -> None:
    old, new, urgent, later, held, other = insert(
        store,
        draft(),
        draft(),
        draft(resources=Resources(priority=5)),
        draft(not_before=50.0),
        draft(hold=True),
        draft(backend="c"),
    )

    with store.read() as reader:
        turns = [row.id for row in reader.turns("b", 10)]
        assert [urgent, old, new] == [word for word in turns if word not in {later, held}]
        assert other not in turns
        assert [urgent] == [row.id for row in reader.turns("b", 1)]


# Who may write


def test_one_engine_at_a_time(store: Store, open_store: Callable[..., Store]) -> None:
    assert 1 == store.acquire_lease({"host": "h"})
    assert None is open_store().acquire_lease({})
    holder = open_store().lease()
    assert (1, os.getpid(), True, "h") == (
        holder.epoch,
        holder.pid,
        holder.live,
        holder.info["host"],
    )


def test_a_lease_that_is_not_renewed_is_taken_over(
    store: Store, open_store: Callable[..., Store], clock: FakeClock
) -> None:
    """An engine that hangs must not keep a store for ever; one that only sleeps must lose it."""
    other = open_store()
    assert 1 == store.acquire_lease({})
    clock.advance(TTL_S - 0.1)
    store.renew_lease(1)
    clock.advance(TTL_S - 0.1)
    assert None is other.acquire_lease({})
    clock.advance(0.2)
    assert 2 == other.acquire_lease({})

    with pytest.raises(StaleEpochError):
        store.renew_lease(1)


def test_a_stale_engine_can_write_nothing(
    store: Store, open_store: Callable[..., Store], clock: FakeClock
) -> None:
    """The engine that wakes after a pause believes that nothing has happened."""
    (job_id,) = insert(store)
    store.acquire_lease({})
    clock.advance(TTL_S + 1)
    open_store().acquire_lease({})
    before = job(store, job_id)

    with pytest.raises(StaleEpochError) as caught:
        record(store, job_id, *placed(), epoch=1)
    with pytest.raises(StaleEpochError):
        store.release_lease(1)

    assert (1, 2) == (caught.value.mine, caught.value.current)
    assert before == job(store, job_id)


def test_an_engine_that_has_left_can_write_nothing(store: Store) -> None:
    (job_id,) = insert(store)
    store.acquire_lease({})
    store.release_lease(1)

    with pytest.raises(StaleEpochError):
        record(store, job_id, *placed(), epoch=1)


def test_a_wall_clock_that_jumps_takes_no_lease(
    store: Store, open_store: Callable[..., Store], clock: FakeClock
) -> None:
    store.acquire_lease({})
    clock.jump(86_400)

    assert None is open_store().acquire_lease({})


def test_after_a_reboot_the_lease_is_free(
    store: Store, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock begins again: the old instant may lie in the far future."""
    store.acquire_lease({})
    monkeypatch.setenv("DROVER_BOOT_ID", "another boot")

    assert 2 == open_store().acquire_lease({})


def test_a_dead_engines_lease_is_free(
    store: Store, open_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 nobody should wait for a lease to run out."""
    store.acquire_lease({})
    monkeypatch.setattr(_lease, "process_started", lambda _pid: "")

    assert not open_store().lease().live


def test_a_pid_that_is_used_again_holds_no_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.acquire_lease({})
    monkeypatch.setattr(_lease, "process_started", lambda _pid: "another")

    assert not store.lease().live


def test_a_process_is_named_by_its_start() -> None:
    me = process_started(os.getpid())

    assert me == process_started(os.getpid())
    assert me not in {"", process_started(1)}
    assert "" == process_started(2**22 + 7)
    assert boot_id() == boot_id()


def test_a_process_that_nobody_reaped_is_gone() -> None:
    """A zombie works on nothing."""
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)

    assert "" == process_started(zombie.pid)
    zombie.wait()


def test_a_lease_with_work_left_is_not_released_as_idle(store: Store) -> None:
    store.acquire_lease({})
    (job_id,) = insert(store)
    assert not store.release_lease(1, if_idle=True)
    record(store, job_id, *placed(), ended())

    assert store.release_lease(1, if_idle=True)
    assert store.lease().released


def test_a_lost_job_does_not_keep_the_engine_but_its_retry_does(store: Store) -> None:
    store.acquire_lease({})
    (job_id,) = insert(store)
    lost = Outcome(reason=Reason.LOST)
    record(store, job_id, *placed(), e.Ended(at=4.0, attempt=1, outcome=lost))
    request = Request(id="r", verb=Verb.RETRY, by="me", at=5.0)
    record(store, job_id, e.ControlAsked(at=5.0, request=request))

    assert not store.release_lease(1, if_idle=True)


def test_no_job_slips_in_while_the_lease_is_released(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between 'there is nothing' and 'I leave' no client may commit: its job would have nobody."""
    store.acquire_lease({})
    looked: list[str] = []

    def look(_reader: object) -> bool:
        other = sqlite3.connect(home / "store.db", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        looked.append("locked")
        return False

    monkeypatch.setattr("drover._store._reader.Reader.has_unfinished", look)

    assert store.release_lease(1, if_idle=True)
    assert ["locked"] == looked


def test_one_client_of_many_starts_the_engine(
    open_store: Callable[..., Store], clock: FakeClock
) -> None:
    clients = [open_store() for _ in range(5)]

    assert [True, False, False, False, False] == [one.may_start_engine() for one in clients]
    clients[0].engine_start_failed()
    assert [True, False] == [one.may_start_engine() for one in clients[1:3]]
    clock.advance(_lease.STARTING_S + 1)
    assert [True, False] == [one.may_start_engine() for one in clients[3:]]
    clients[0].acquire_lease({})
    assert not any(one.may_start_engine() for one in clients)


WRITER = """
import sys
from pathlib import Path
from drover import events as e
from drover._store import Draft, Store
from drover.models import JobSpec

home, count = Path(sys.argv[1]), int(sys.argv[2])
store = Store.open(home)
print(store.may_start_engine(), (home / "key").read_bytes().hex())
for k in range(count):
    spec = JobSpec(argv=["x"], env={"K": str(k)})
    with store.write() as (writer, _):
        writer.insert([Draft(event=e.Submitted(at=1.0, spec=spec, backend="b"))], 1.0)
store.close()
"""


def test_processes_write_at_once(home: Path, open_store: Callable[..., Store]) -> None:
    """Also the first of them all: eight that make the store at once make one."""
    argv = [sys.executable, "-c", WRITER, str(home), "25"]
    writers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    said = [one.communicate(timeout=60)[0].split() for one in writers]
    store = open_store()

    assert [0] * 8 == [one.returncode for one in writers]
    assert 1 == [word for word, _ in said].count("True")
    assert 1 == len({key for _, key in said})
    with store.read() as reader:
        jobs = reader.listing(JobFilter(), None)
    assert list(range(200, 0, -1)) == [row.n for row in jobs]
    assert 8 == [row.spec.env["K"] for row in jobs].count("24")
    check_replay(store)
