"""The store: buckets and objects of several owners in one folder, each written whole or not."""

from __future__ import annotations

import fcntl
import io
import os
import time
from typing import TYPE_CHECKING, BinaryIO, cast

from drover_objectstore._store import _facts, _listing, _rows
from drover_objectstore._store._blobs import BlobFolder
from drover_objectstore._store._incoming import Incoming
from drover_objectstore._store._index import Index
from drover_objectstore._store._outgoing import Content, ObjectFile
from drover_objectstore._store._uploads import Uploads
from drover_objectstore.errors import (
    BucketNotEmptyError,
    BucketTakenError,
    NoSuchKeyError,
    StoreInUseError,
    TooManyBucketsError,
)
from drover_objectstore.models import (
    MIB,
    BucketInfo,
    Described,
    Limits,
    ObjectInfo,
    Page,
    Usage,
)
from drover_objectstore.names import check_bucket, key_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from sqlite3 import Connection

_CHUNK = MIB


class ObjectStore:
    """A folder that holds buckets: an index in SQLite, and files. Any thread may call.

    One process at a time has it. An object is there when its row is; files without a row are what
    a process that died left behind, and are deleted when the store is opened.
    """

    def __init__(self, folder: Path, *, limits: Limits | None = None) -> None:
        """Open a store, or make one.

        Raises:
            StoreInUseError: Another process has it.
            StoreVersionError: A newer version made it.
        """
        self.folder = folder
        self.limits = limits or Limits()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _claimed(folder)
        try:
            self._index = Index(folder / "index.sqlite")
            self._blobs = BlobFolder(folder / "blobs")
            self.swept = self._blobs.sweep(self._index.reader)
        except BaseException:
            os.close(self._lock)
            raise
        self.uploads = Uploads(self._index, self._blobs, self.limits)

    def close(self) -> None:
        """Let go of the folder; nobody may call any more."""
        self._index.close()
        os.close(self._lock)

    # --- buckets

    def create_bucket(self, owner: str, bucket: str) -> bool:
        """Make a bucket.

        Returns:
            `False`: it was there, and is the owner's.

        Raises:
            BucketTakenError: It is another owner's.
        """
        check_bucket(bucket)

        def work(index: Connection) -> bool:
            row = index.execute("SELECT owner FROM bucket WHERE name = ?", (bucket,)).fetchone()
            if row is not None:
                if row[0] != owner:
                    raise BucketTakenError(bucket)
                return False
            (count,) = index.execute(
                "SELECT count(*) FROM bucket WHERE owner = ?", (owner,)
            ).fetchone()
            if count >= self.limits.buckets:
                raise TooManyBucketsError
            index.execute(
                "INSERT INTO bucket (name, owner, created) VALUES (?, ?, ?)",
                (bucket, owner, time.time()),
            )
            return True

        return self._index.write(work)

    def delete_bucket(self, owner: str, bucket: str) -> None:
        """Delete an empty bucket, with the uploads to it that nobody finished.

        Raises:
            BucketNotEmptyError: It has objects.
        """
        gone: _rows.Gone = []

        def work(index: Connection) -> None:
            found = _rows.bucket_id(index, owner, bucket)
            if index.execute("SELECT 1 FROM object WHERE bucket = ?", (found,)).fetchone():
                raise BucketNotEmptyError(bucket)
            for (upload,) in index.execute(
                "SELECT id FROM upload WHERE bucket = ?", (found,)
            ).fetchall():
                _rows.drop_upload(index, upload, gone)
            index.execute("DELETE FROM bucket WHERE id = ?", (found,))

        self._index.write(work)
        self._blobs.doom(gone)

    def buckets(self, owner: str) -> list[BucketInfo]:
        """List an owner's buckets by name."""
        rows = self._index.reader.execute(
            "SELECT name, created FROM bucket WHERE owner = ? ORDER BY name", (owner,)
        )
        return [BucketInfo(name=name, created=created) for name, created in rows]

    def check_access(self, owner: str, bucket: str) -> None:
        """Refuse who may not see a bucket.

        Raises:
            NoSuchBucketError: There is none.
            AccessDeniedError: It is another owner's.
        """
        _rows.bucket_id(self._index.reader, owner, bucket)

    def usage(self, owner: str) -> Usage:
        """Tell how much an owner has."""
        buckets, objects, size = self._index.reader.execute(
            "SELECT count(*), coalesce(sum(objects), 0), coalesce(sum(bytes), 0)"
            " FROM bucket WHERE owner = ?",
            (owner,),
        ).fetchone()
        return Usage(buckets=buckets, objects=objects, bytes=size)

    def list_page(
        self,
        owner: str,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> Page:
        """List objects whose keys begin with *prefix* and follow *after*.

        Args:
            owner: Whose bucket it is.
            bucket: The bucket.
            prefix: What keys begin with.
            delimiter: Keys that have it behind the prefix are shown up to it, once.
            after: The last key or common prefix of the page before.
            limit: How many objects and common prefixes at most; 0 gives none and no next page.
        """
        index = self._index.reader
        found = _rows.bucket_id(index, owner, bucket)
        if limit == 0:
            return Page(objects=(), prefixes=(), next=None)
        return _listing.page(
            index, found, prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )

    # --- objects

    def head(self, owner: str, bucket: str, key: str) -> ObjectInfo:
        """Tell of an object.

        Raises:
            NoSuchKeyError: It is not there.
        """
        return self._row(owner, bucket, key)[0]

    def _row(self, owner: str, bucket: str, key: str) -> tuple[ObjectInfo, int]:
        name, index = key_bytes(key), self._index.reader
        row = index.execute(
            f"SELECT {_facts.COLUMNS}, content, owner FROM bucket JOIN object"  # noqa: S608 - ours
            " ON object.bucket = bucket.id AND object.key = ? WHERE bucket.name = ?",
            (name, bucket),
        ).fetchone()
        if row is None or row[-1] != owner:
            _rows.bucket_id(index, owner, bucket)
            raise NoSuchKeyError(bucket, key)
        return _facts.info(row[:5]), int(row[5])

    def content(self, owner: str, bucket: str, key: str) -> tuple[ObjectInfo, Content]:
        """Open an object; close the content when done.

        It stays as it is when the object is replaced or deleted meanwhile.
        """
        while True:
            info, number = self._row(owner, bucket, key)
            self._blobs.pin(number)
            # Between the look and the pin its files may have gone: then there is another row.
            found = self._index.reader.execute(
                "SELECT body FROM content WHERE id = ?", (number,)
            ).fetchone()
            if found is not None:
                pieces = _rows.pieces(self._index.reader, number)
                return info, Content(self._blobs, number, found[0], pieces)
            self._blobs.unpin(number)

    def open(self, owner: str, bucket: str, key: str) -> BinaryIO:
        """Open an object as a file that can be read and sought, and stays as it is."""
        return cast("BinaryIO", io.BufferedReader(ObjectFile(self.content(owner, bucket, key)[1])))

    def incoming(self, algorithms: Iterable[str] = (), *, part: bool = False) -> Incoming:
        """Begin an upload: write to it, finish it, then give it to `keep`, or discard it.

        Args:
            algorithms: Checksums to be computed beside the MD5.
            part: Whether it is a part of a multipart upload, which is always a file.
        """
        return Incoming(self._blobs, algorithms, inline=not part)

    def keep(
        self,
        owner: str,
        bucket: str,
        key: str,
        incoming: Incoming,
        *,
        described: Described | None = None,
        check: Callable[[ObjectInfo | None], None] | None = None,
    ) -> ObjectInfo:
        """Make an object of an upload that is finished, in the place of what was there.

        Args:
            owner: Whose bucket it is.
            bucket: The bucket.
            key: The object's key.
            incoming: The bytes; discard them if this raises.
            described: What is told of the object.
            check: Looks at what is there under the key now, and may refuse.
        """
        name, now = key_bytes(key), time.time()
        text = _facts.facts(described or Described(), incoming.checksums)
        size, etag = incoming.size, incoming.etag
        gone: _rows.Gone = []

        def work(index: Connection) -> None:
            found = _rows.bucket_id(index, owner, bucket)
            if check is not None:
                check(_rows.there(index, found, name))
            _rows.check_share(index, owner, self.limits.owner_bytes, size)
            content = _rows.add_content(index, incoming)
            _rows.put_object(index, found, content, (name, size, etag, now, text), gone)

        self._index.write(work)
        incoming.kept()
        self._blobs.doom(gone)
        return _facts.info((name, size, etag, now, text))

    def put(
        self,
        owner: str,
        bucket: str,
        key: str,
        chunks: Iterable[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Make an object of chunks; if they, or the disk, fail, all is as before."""
        key_bytes(key)
        self.check_access(owner, bucket)
        plain = Described()
        described = Described(
            content_type=content_type or plain.content_type, metadata=metadata or plain.metadata
        )
        incoming = self.incoming()
        try:
            for chunk in chunks:
                incoming.write(chunk)
            incoming.finish()
            return self.keep(owner, bucket, key, incoming, described=described)
        finally:
            incoming.discard()

    def put_file(
        self,
        owner: str,
        bucket: str,
        key: str,
        path: Path,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Make an object of a file, as `put` does."""
        with path.open("rb") as file:
            return self.put(
                owner, bucket, key, _chunks(file), content_type=content_type, metadata=metadata
            )

    def delete(self, owner: str, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is no fault."""
        self.delete_many(owner, bucket, [key])

    def delete_many(self, owner: str, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, all or none."""
        names = [key_bytes(key) for key in keys]
        gone: _rows.Gone = []

        def work(index: Connection) -> None:
            found = _rows.bucket_id(index, owner, bucket)
            for name in names:
                row = index.execute(
                    "DELETE FROM object WHERE bucket = ? AND key = ? RETURNING content",
                    (found, name),
                ).fetchone()
                if row is not None:
                    _rows.drop_content(index, row[0], gone)

        self._index.write(work)
        self._blobs.doom(gone)

    def copy(
        self,
        owner: str,
        bucket: str,
        key: str,
        *,
        source_bucket: str,
        source_key: str,
        described: Described | None = None,
        check_source: Callable[[ObjectInfo], None] | None = None,
    ) -> ObjectInfo:
        """Make an object with the content of another; no byte is copied.

        Args:
            owner: Whose buckets both are.
            bucket: The bucket to copy to.
            key: The key to copy to.
            source_bucket: The bucket to copy from.
            source_key: The key to copy from.
            described: What is told of the copy; `None`: what is told of the source.
            check_source: Looks at the source, and may refuse.
        """
        name, source, now = key_bytes(key), key_bytes(source_key), time.time()
        gone: _rows.Gone = []

        def work(index: Connection) -> ObjectInfo:
            found = _rows.bucket_id(index, owner, bucket)
            row = index.execute(
                f"SELECT {_facts.COLUMNS}, content FROM object"  # noqa: S608 - ours
                " WHERE bucket = ? AND key = ?",
                (_rows.bucket_id(index, owner, source_bucket), source),
            ).fetchone()
            if row is None:
                raise NoSuchKeyError(source_bucket, source_key)
            old = _facts.info(row[:5])
            if check_source is not None:
                check_source(old)
            _rows.check_share(index, owner, self.limits.owner_bytes, old.size)
            text = _facts.facts(described or old.described, old.checksums)
            index.execute("UPDATE content SET refs = refs + 1 WHERE id = ?", (row[5],))
            told = (name, old.size, old.etag, now, text)
            _rows.put_object(index, found, row[5], told, gone)
            return _facts.info(told)

        made = self._index.write(work)
        self._blobs.doom(gone)
        return made


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _claimed(folder: Path) -> int:
    """Keep other processes out for as long as the descriptor is open."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreInUseError(str(folder)) from None
    return lock
