"""The folder alone: what is written is whole, what is opened stays, nobody sees another's."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from drover_objectstore import Limits, ObjectStore
from drover_objectstore import errors as e
from drover_objectstore.models import PartClaim

KIB, MIB = 1024, 1024 * 1024
SIZES = (0, 1, 64 * KIB, 64 * KIB + 1, 3 * MIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[ObjectStore]:
    """Give a store with a bucket `one` of ann's; in the end it must hold no file too many."""
    made = ObjectStore(folder, limits=Limits(part_bytes_min=10))
    made.create_bucket("ann", "one")
    yield made
    made.close()
    again = ObjectStore(folder)
    swept = again.swept
    again.close()

    assert 0 == swept


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


def read(store: ObjectStore, key: str, bucket: str = "one") -> bytes:
    with store.open("ann", bucket, key) as file:
        return file.read()


def upload(store: ObjectStore, parts: list[bytes], key: str = "k", algorithm: str = "") -> Any:
    """Upload parts and give what completes them."""
    made = store.uploads.begin("ann", "one", key, algorithm=algorithm)
    claims = []
    for number, data in enumerate(parts, 1):
        incoming = store.incoming([algorithm] if algorithm else [], part=True)
        incoming.write(data)
        incoming.finish()
        part = store.uploads.put_part("ann", "one", key, made, number, incoming)
        claims.append(PartClaim(number=number, etag=part.etag))
    return made, claims


@pytest.mark.parametrize("size", SIZES)
def test_an_object_is_what_was_put(store: ObjectStore, size: int) -> None:
    """Few bytes are kept in the index and many in a file, and nobody can tell."""
    data = os.urandom(size)
    put = store.put("ann", "one", "a/ä", [data[:7], data[7:]], metadata={"x": "y"})

    assert put == store.head("ann", "one", "a/ä")
    assert (size, {"x": "y"}) == (put.size, put.metadata)
    assert data == read(store, "a/ä")
    with store.open("ann", "one", "a/ä") as file:
        file.seek(size // 2)
        assert data[size // 2 :] == file.read()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_open_stays_as_it_was(store: ObjectStore, folder: Path, size: int) -> None:
    """A reader must not get the head of one version and the tail of another."""
    data = os.urandom(size)
    store.put("ann", "one", "k", [data])
    with store.open("ann", "one", "k") as first, store.open("ann", "one", "k") as second:
        store.put("ann", "one", "k", [b"new"])
        store.delete("ann", "one", "k")
        assert data == first.read()
        first.close()
        assert data == second.read()

    assert [] == files(folder)


def test_chunks_that_fail_change_nothing(store: ObjectStore, folder: Path) -> None:
    """An upload that breaks off must not cost what was there before."""
    store.put("ann", "one", "k", [b"old"])

    def chunks() -> Iterator[bytes]:
        yield b"x" * MIB
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put("ann", "one", "k", chunks())

    assert b"old" == read(store, "k")
    assert [] == files(folder)


def test_a_parts_files_become_the_objects(store: ObjectStore, folder: Path) -> None:
    """Five gigabytes must not be copied to become one object."""
    parts = [os.urandom(MIB), os.urandom(20), b"end"]
    made, claims = upload(store, parts)
    before = {path: path.stat().st_ino for path in files(folder)}

    done = store.uploads.complete("ann", "one", "k", made, claims)

    assert b"".join(parts) == read(store, "k")
    assert before == {path: path.stat().st_ino for path in files(folder)}
    assert (3, MIB + 23) == (done.parts, done.size)
    assert done == store.uploads.complete("ann", "one", "k", made, claims), "asked again"
    with store.open("ann", "one", "k") as file:
        file.seek(MIB - 1)
        assert b"".join(parts)[MIB - 1 :] == file.read()
    store.delete("ann", "one", "k")
    assert [] == files(folder)


def test_an_abort_leaves_nothing(store: ObjectStore, folder: Path) -> None:
    made, claims = upload(store, [b"x" * 100, b"y"])
    store.uploads.abort("ann", "one", "k", made)

    assert [] == files(folder)
    with pytest.raises(e.NoSuchUploadError):
        store.uploads.complete("ann", "one", "k", made, claims)


def test_parts_that_are_wrong_are_told(store: ObjectStore) -> None:
    """A client that lost a part must not get an object without it."""
    made, claims = upload(store, [b"x" * 5, b"y"])
    other = PartClaim(number=1, etag="0" * 32)

    for wrong, error in (
        (claims, e.EntityTooSmallError),
        ([other], e.InvalidPartError),
        ([PartClaim(number=3, etag=claims[0].etag)], e.InvalidPartError),
        (claims[::-1], e.InvalidPartOrderError),
        ([], e.MalformedXmlError),
    ):
        with pytest.raises(error):
            store.uploads.complete("ann", "one", "k", made, wrong)
    store.uploads.abort("ann", "one", "k", made)


def test_a_copy_shares_its_bytes(store: ObjectStore, folder: Path) -> None:
    """Each of two copies stays when the other goes, and the last one takes the file along."""
    data = os.urandom(MIB)
    store.put("ann", "one", "a", [data], content_type="text/x")
    copy = store.copy("ann", "one", "b", source_bucket="one", source_key="a")

    assert 1 == len(files(folder))
    assert "text/x" == copy.content_type
    store.delete("ann", "one", "a")
    assert data == read(store, "b")
    store.put("ann", "one", "b", [b""])
    assert [] == files(folder)


def test_nobody_sees_anothers(store: ObjectStore) -> None:
    """Two users of one server know nothing of each other but that a name is taken."""
    store.put("ann", "one", "k", [b"secret"])
    with pytest.raises(e.BucketTakenError):
        store.create_bucket("bob", "one")
    store.create_bucket("bob", "two")
    made, claims = upload(store, [b"x" * 10])
    asks = (
        lambda: store.head("bob", "one", "k"),
        lambda: store.head("bob", "one", "no such key"),
        lambda: store.open("bob", "one", "k"),
        lambda: store.put("bob", "one", "k", [b""]),
        lambda: store.delete("bob", "one", "k"),
        lambda: store.delete_bucket("bob", "one"),
        lambda: store.list_page("bob", "one"),
        lambda: store.uploads.pending("bob", "one"),
        lambda: store.uploads.parts("bob", "one", "k", made),
        lambda: store.uploads.abort("bob", "one", "k", made),
        lambda: store.uploads.complete("bob", "one", "k", made, claims),
        lambda: store.uploads.begin("bob", "one", "k"),
        lambda: store.copy("bob", "two", "k", source_bucket="one", source_key="k"),
        lambda: store.copy("bob", "one", "l", source_bucket="two", source_key="k"),
    )
    for ask in asks:
        with pytest.raises(e.AccessDeniedError):
            ask()
    store.uploads.abort("ann", "one", "k", made)

    assert ["two"] == [bucket.name for bucket in store.buckets("bob")]
    assert (1, 6) == (store.usage("ann").objects, store.usage("ann").bytes)
    assert 0 == store.usage("bob").objects


def test_usage_counts_what_is_there(store: ObjectStore) -> None:
    """Counters that drift bar an owner from space that is free."""
    for key, size in (("a", 10), ("b", 20), ("a", 5)):
        store.put("ann", "one", key, [b"x" * size])
    store.copy("ann", "one", "c", source_bucket="one", source_key="b")
    store.delete_many("ann", "one", ["b", "no such key"])

    assert (1, 2, 25) == (
        store.usage("ann").buckets,
        store.usage("ann").objects,
        store.usage("ann").bytes,
    )


def test_an_owners_share_is_kept(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "s", limits=Limits(owner_bytes=100, buckets=1))
    store.create_bucket("ann", "one")
    store.put("ann", "one", "a", [b"x" * 60])

    with pytest.raises(e.StorageFullError):
        store.put("ann", "one", "b", [b"x" * 41])
    with pytest.raises(e.TooManyBucketsError):
        store.create_bucket("ann", "two")
    store.put("ann", "one", "b", [b"x" * 40])
    store.close()


def test_pages_follow_each_other_in_the_order_of_bytes(store: ObjectStore) -> None:
    """A page that skips or repeats a key makes a synchronising client delete or send it again."""
    keys = ["a", "a/b", "a/c", "a0", "b/x/1", "b/x/2", "b/y", "z", "ä", "\U0001f600", "￮"]
    for key in keys:
        store.put("ann", "one", key, [b""])
    expected = sorted(keys, key=str.encode)
    rolled = ["a", "a/", "a0", "b/", "z", "ä", "￮", "\U0001f600"]
    for limit in (1, 2, 3, 100):
        for delimiter, wanted in (("", expected), ("/", rolled)):
            seen, after = list[str](), ""
            for _ in range(len(keys) + 1):
                page = store.list_page("ann", "one", delimiter=delimiter, after=after, limit=limit)
                found = [*(each.key for each in page.objects), *page.prefixes]
                assert len(found) <= limit
                seen += sorted(found, key=str.encode)
                if page.next is None:
                    break
                after = page.next
            assert wanted == seen, (limit, delimiter)

    assert ("b/x/",) == store.list_page("ann", "one", prefix="b/", delimiter="/").prefixes
    assert 0 == len(store.list_page("ann", "one", limit=0).objects)


def test_more_keys_than_one_look_finds(store: ObjectStore) -> None:
    """The seam between two batches of rows must not show."""
    keys = [f"{n:04}" for n in range(250)]
    for key in keys:
        store.put("ann", "one", key, [b""])

    assert keys == [each.key for each in store.list_page("ann", "one").objects]


def test_many_threads_write_at_once(store: ObjectStore) -> None:
    """Writes that share a commit must each be told their own end."""
    ends: list[str] = []

    def write(number: int) -> None:
        for turn in range(20):
            bucket = "one" if (number + turn) % 2 else "none"
            try:
                store.put("ann", bucket, f"{number}/{turn}", [bytes([number])])
                ends.append("put")
            except e.NoSuchBucketError:
                ends.append("none")

    def keep(number: int) -> None:
        """Let the refusal come out of the shared transaction itself."""
        for turn in range(20):
            incoming = store.incoming()
            incoming.write(b"x")
            bucket = "one" if turn % 2 else "none"
            try:
                store.keep("ann", bucket, f"k{number}/{turn}", incoming)
                ends.append("put")
            except e.NoSuchBucketError:
                ends.append("none")

    threads = [threading.Thread(target=what, args=(n,)) for n in range(4) for what in (write, keep)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (80, 80) == (ends.count("put"), ends.count("none"))
    assert 80 == store.usage("ann").objects


def test_one_process_at_a_time(store: ObjectStore, folder: Path) -> None:
    """A second one would sweep away the uploads of the first."""
    with pytest.raises(e.StoreInUseError):
        ObjectStore(folder)


def test_only_the_owner_of_the_process_may_look(store: ObjectStore, folder: Path) -> None:
    store.put("ann", "one", "k", [b"x" * MIB])
    modes = {path: path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}

    assert {} == {
        path: oct(mode)
        for path, mode in modes.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }


def test_a_killed_process_leaves_nothing(folder: Path) -> None:
    """What was cut off must neither be seen nor fill the disk."""
    program = """
        import os, signal, sys
        from pathlib import Path
        from drover_objectstore import ObjectStore
        store = ObjectStore(Path(sys.argv[1]))
        store.create_bucket("ann", "one")
        store.put("ann", "one", "whole", [b"x" * 1_000_000])
        incoming = store.incoming()
        incoming.write(b"y" * 1_000_000)
        incoming.finish()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program), folder], check=False)
    assert -9 == done.returncode
    assert 2 == len(files(folder))

    store = ObjectStore(folder)
    assert 1 == store.swept
    assert 1 == len(files(folder))
    assert 1_000_000 == len(read(store, "whole"))
    assert ["whole"] == [each.key for each in store.list_page("ann", "one").objects]
    store.close()


def test_a_full_disk_is_told_and_changes_nothing(folder: Path) -> None:
    """`RLIMIT_FSIZE` stands in for the disk: the system refuses to make a file any longer."""
    program = """
        import resource, signal, sys
        from pathlib import Path
        from drover_objectstore import ObjectStore, errors
        store = ObjectStore(Path(sys.argv[1]))
        store.create_bucket("ann", "one")
        store.put("ann", "one", "k", [b"old"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
        try:
            store.put("ann", "one", "k", [b"x" * 1_000_000] * 4)
        except errors.StorageFullError as error:
            print(error.status, error.code)
        with store.open("ann", "one", "k") as file:
            print(file.read(), store.put("ann", "one", "l", [b"after"]).size)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(program), folder], capture_output=True, text=True, check=False
    )

    assert "507 InsufficientStorage\nb'old' 5\n" == done.stdout, done.stderr
    assert [] == files(folder)


def test_a_newer_folder_is_refused(folder: Path) -> None:
    import sqlite3

    ObjectStore(folder).close()
    with sqlite3.connect(folder / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()

    with pytest.raises(e.StoreVersionError):
        ObjectStore(folder)


@pytest.mark.parametrize(
    "bucket",
    ["", "ab", "A" * 5, "a_b", "-ab", "ab-", "a..b", "192.168.1.1", "x" * 64, "../x", "a/b"],
)
def test_names_that_no_bucket_has(store: ObjectStore, bucket: str) -> None:
    with pytest.raises(e.InvalidBucketNameError):
        store.create_bucket("ann", bucket)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/", "/etc/passwd", "a//b", ".", "..", "a\0b"])
def test_a_key_is_never_a_path(store: ObjectStore, folder: Path, key: str) -> None:
    """Whatever a key looks like, it names an object and no file."""
    data = os.urandom(MIB)
    store.put("ann", "one", key, [data])

    assert data == read(store, key)
    assert all(
        len(path.name) == 30 and path.parent.parent.name == "blobs" for path in files(folder)
    )
    assert [key] == [each.key for each in store.list_page("ann", "one").objects]


def test_a_key_has_1024_bytes_at_most(store: ObjectStore) -> None:
    store.put("ann", "one", "ä" * 512, [b""])
    for key, error in (
        ("ä" * 512 + "x", e.KeyTooLongError),
        ("x" * 65536, e.KeyTooLongError),
        ("", e.InvalidUriError),
        ("\ud800", e.InvalidUriError),
    ):
        with pytest.raises(error):
            store.put("ann", "one", key, [b""])


def test_a_blob_and_its_name_are_on_disk_before_the_object_is_there(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses its power right after the answer must not have lost the bytes."""
    synced: list[str] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    store.put("ann", "one", "k", [b"x" * MIB])

    assert ["file", "folder"] == synced[-2:]
