"""The changes to rows that all writes are made of; each runs inside a transaction."""

from collections.abc import Sequence
from sqlite3 import Connection

from drover_objectstore._store import _facts
from drover_objectstore._store._incoming import Incoming
from drover_objectstore.errors import AccessDeniedError, NoSuchBucketError, StorageFullError
from drover_objectstore.models import ObjectInfo

Gone = list[tuple[int, list[str]]]
"""Contents that no row names any longer, each with its files, to be deleted after the commit."""


def bucket_id(index: Connection, owner: str, bucket: str) -> int:
    """Find a bucket.

    Raises:
        NoSuchBucketError: There is none.
        AccessDeniedError: It is another owner's.
    """
    row = index.execute("SELECT id, owner FROM bucket WHERE name = ?", (bucket,)).fetchone()
    if row is None:
        raise NoSuchBucketError(bucket)
    if row[1] != owner:
        raise AccessDeniedError
    return int(row[0])


def there(index: Connection, bucket: int, key: bytes) -> ObjectInfo | None:
    """Look what is there under a key."""
    row = index.execute(
        f"SELECT {_facts.COLUMNS} FROM object WHERE bucket = ? AND key = ?",  # noqa: S608 - ours
        (bucket, key),
    ).fetchone()
    return None if row is None else _facts.info(row)


def add_content(index: Connection, incoming: Incoming) -> int:
    """Make the row of a content; its file, if it has one, is on disk."""
    body = None if incoming.blob else incoming.body
    added = index.execute("INSERT INTO content (body) VALUES (?)", (body,)).lastrowid
    assert added is not None
    if incoming.blob:
        add_pieces(index, added, [(incoming.blob, incoming.size)])
    return added


def add_pieces(index: Connection, content: int, pieces: Sequence[tuple[str, int]]) -> None:
    """Say of which files a content consists."""
    index.executemany(
        "INSERT INTO piece (content, seq, blob, size) VALUES (?, ?, ?, ?)",
        [(content, seq, blob, size) for seq, (blob, size) in enumerate(pieces)],
    )


def pieces(index: Connection, content: int) -> list[tuple[str, int]]:
    """List the files of a content, in order."""
    return index.execute(
        "SELECT blob, size FROM piece WHERE content = ? ORDER BY seq", (content,)
    ).fetchall()


def drop_content(index: Connection, content: int, gone: Gone) -> None:
    """Let a row go of a content; the last one takes it along."""
    (refs,) = index.execute(
        "UPDATE content SET refs = refs - 1 WHERE id = ? RETURNING refs", (content,)
    ).fetchone()
    if refs > 0:
        return
    files = [blob for blob, _ in pieces(index, content)]
    index.execute("DELETE FROM piece WHERE content = ?", (content,))
    index.execute("DELETE FROM content WHERE id = ?", (content,))
    if files:
        gone.append((content, files))


def put_object(
    index: Connection,
    bucket: int,
    content: int,
    row: tuple[bytes, int, str, float, str],
    gone: Gone,
) -> None:
    """Make an object, in the place of what was there; *row* is as `_facts.info` reads it."""
    old = index.execute(
        "SELECT content FROM object WHERE bucket = ? AND key = ?", (bucket, row[0])
    ).fetchone()
    index.execute(
        "INSERT INTO object (bucket, content, key, size, etag, modified, facts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET"
        " content = excluded.content, size = excluded.size, etag = excluded.etag,"
        " modified = excluded.modified, facts = excluded.facts",
        (bucket, content, *row),
    )
    if old is not None:
        drop_content(index, old[0], gone)


def drop_upload(index: Connection, upload: str, gone: Gone) -> None:
    """Forget a multipart upload and its parts."""
    rows = index.execute("SELECT content FROM part WHERE upload = ?", (upload,)).fetchall()
    for (content,) in rows:
        drop_content(index, content, gone)
    index.execute("DELETE FROM part WHERE upload = ?", (upload,))
    index.execute("DELETE FROM upload WHERE id = ?", (upload,))


def check_share(index: Connection, owner: str, allowed: int | None, more: int) -> None:
    """Refuse what would give an owner more than their share; what replaces counts as if it did not.

    Raises:
        StorageFullError: It would.
    """
    if allowed is None:
        return
    (objects,) = index.execute(
        "SELECT coalesce(sum(bytes), 0) FROM bucket WHERE owner = ?", (owner,)
    ).fetchone()
    (parts,) = index.execute(
        "SELECT coalesce(sum(part.size), 0) FROM bucket JOIN upload ON upload.bucket = bucket.id"
        " JOIN part ON part.upload = upload.id WHERE owner = ?",
        (owner,),
    ).fetchone()
    if objects + parts + more > allowed:
        raise StorageFullError
