"""Pages of a bucket's keys, rolled up at a delimiter, in the order of their bytes."""

from collections.abc import Iterator
from sqlite3 import Connection
from typing import Final

from drover_objectstore._store._facts import COLUMNS, info
from drover_objectstore.models import ObjectInfo, Page

Row = tuple[bytes, int, str, float, str]
# After a common prefix the search begins anew behind it: no more rows than may be skipped then.
_BATCH: Final = 100


def after_prefix(prefix: bytes) -> bytes | None:
    """Give the least of all keys that are behind those with a prefix; `None`: there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None


def page(
    index: Connection, bucket: int, *, prefix: str, delimiter: str, after: str, limit: int
) -> Page:
    """List what follows *after*: objects, and what several keys have in common up to a delimiter.

    A common prefix that is *after* was on the page before, and with it all keys behind it.
    """
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    last, start, mark = after, prefix.encode(), delimiter.encode()
    if after:
        start = max(start, _behind(after, start, mark))
    for entry in _entries(index, bucket, prefix.encode(), mark, start):
        if len(objects) + len(prefixes) >= limit:
            return Page(objects=tuple(objects), prefixes=tuple(prefixes), next=last)
        if isinstance(entry, bytes):
            last = entry.decode()
            prefixes.append(last)
        else:
            found = info(entry)
            last = found.key
            objects.append(found)
    return Page(objects=tuple(objects), prefixes=tuple(prefixes), next=None)


def _behind(after: str, prefix: bytes, delimiter: bytes) -> bytes:
    """Give where a page begins: right behind a key, or behind all of a common prefix."""
    key = after.encode()
    if delimiter and key.startswith(prefix) and _common(key, len(prefix), delimiter) == key:
        return after_prefix(key) or key
    return key + b"\0"


def _common(key: bytes, begin: int, delimiter: bytes) -> bytes | None:
    """Give a key up to its first delimiter from *begin* on, with it."""
    at = key.find(delimiter, begin) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def _entries(
    index: Connection, bucket: int, prefix: bytes, delimiter: bytes, start: bytes
) -> Iterator[Row | bytes]:
    """Give rows, and common prefixes once each."""
    end = after_prefix(prefix)
    at: bytes | None = start
    while at is not None:
        rows = _rows(index, bucket, at, end)
        at = None
        for row in rows:
            common = _common(row[0], len(prefix), delimiter)
            if common is not None:
                yield common
                at = after_prefix(common)
                break
            yield row
        else:
            at = rows[-1][0] + b"\0" if len(rows) == _BATCH else None


def _rows(index: Connection, bucket: int, start: bytes, end: bytes | None) -> list[Row]:
    bound = "" if end is None else " AND key < ?"
    words = (bucket, start) if end is None else (bucket, start, end)
    return index.execute(
        f"SELECT {COLUMNS} FROM object WHERE bucket = ? AND key >= ?{bound}"  # noqa: S608 - ours
        f" ORDER BY key LIMIT {_BATCH}",
        words,
    ).fetchall()
