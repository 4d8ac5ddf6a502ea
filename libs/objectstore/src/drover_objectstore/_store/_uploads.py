"""Multipart uploads: parts in any order, made one object without copying a byte."""

from __future__ import annotations

import hashlib
import secrets
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from drover_objectstore import checksums
from drover_objectstore._store import _facts, _rows
from drover_objectstore.errors import (
    BadDigestError,
    EntityTooLargeError,
    EntityTooSmallError,
    InvalidPartError,
    InvalidPartOrderError,
    InvalidRequestError,
    MalformedXmlError,
    NoSuchUploadError,
    TooManyUploadsError,
)
from drover_objectstore.models import (
    Described,
    Limits,
    ObjectInfo,
    PartClaim,
    PartInfo,
    UploadInfo,
)
from drover_objectstore.names import key_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from sqlite3 import Connection

    from drover_objectstore._store._blobs import BlobFolder
    from drover_objectstore._store._incoming import Incoming
    from drover_objectstore._store._index import Index


_UPLOAD = "id, key, created, algorithm, full_object"


class Uploads:
    """The unfinished multipart uploads of a store."""

    def __init__(self, index: Index, blobs: BlobFolder, limits: Limits) -> None:
        self._index, self._blobs, self._limits = index, blobs, limits

    def begin(
        self,
        owner: str,
        bucket: str,
        key: str,
        *,
        described: Described | None = None,
        algorithm: str = "",
        full_object: bool = False,
    ) -> str:
        """Begin an upload.

        Args:
            owner: Whose bucket it is.
            bucket: The bucket.
            key: What the object is to be called.
            described: What is told of the object.
            algorithm: The checksum that every part will have; empty for none.
            full_object: Whether the object's checksum is that of all bytes.

        Returns:
            Its id.
        """
        name, upload = key_bytes(key), secrets.token_hex(16)
        told = _facts.facts(described or Described(), {})

        def work(index: Connection) -> None:
            found = _rows.bucket_id(index, owner, bucket)
            (count,) = index.execute(
                "SELECT count(*) FROM upload WHERE bucket = ?", (found,)
            ).fetchone()
            if count >= self._limits.uploads:
                raise TooManyUploadsError
            index.execute(
                "INSERT INTO upload (id, bucket, key, created, algorithm, full_object, facts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (upload, found, name, time.time(), algorithm, int(full_object), told),
            )

        self._index.write(work)
        return upload

    def find(self, owner: str, bucket: str, key: str, upload: str) -> UploadInfo:
        """Find an upload.

        Raises:
            NoSuchUploadError: It is completed, aborted, or was never begun.
        """
        return _found(self._index.reader, owner, bucket, key, upload)

    def put_part(  # noqa: PLR0917 - as the other verbs
        self, owner: str, bucket: str, key: str, upload: str, number: int, incoming: Incoming
    ) -> PartInfo:
        """Keep a part, in the place of an earlier one of its number. It is finished."""
        sums, now = incoming.checksums, time.time()
        gone: _rows.Gone = []

        def work(index: Connection) -> None:
            _found(index, owner, bucket, key, upload)
            _rows.check_share(index, owner, self._limits.owner_bytes, incoming.size)
            old = index.execute(
                "SELECT content FROM part WHERE upload = ? AND number = ?", (upload, number)
            ).fetchone()
            content = _rows.add_content(index, incoming)
            index.execute(
                "INSERT OR REPLACE INTO part (upload, number, size, etag, modified, content, facts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (upload, number, incoming.size, incoming.etag, now, content,
                 _facts.facts(Described(), sums)),
            )  # fmt: skip
            if old is not None:
                _rows.drop_content(index, old[0], gone)

        self._index.write(work)
        part = PartInfo(
            number=number, size=incoming.size, etag=incoming.etag, modified=now, checksums=sums
        )
        incoming.kept()
        self._blobs.doom(gone)
        return part

    def parts(
        self, owner: str, bucket: str, key: str, upload: str, *, after: int = 0, limit: int = 1000
    ) -> list[PartInfo]:
        """List parts that have come, by their numbers."""
        index = self._index.reader
        _found(index, owner, bucket, key, upload)
        rows = index.execute(
            "SELECT number, size, etag, modified, facts FROM part"
            " WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
            (upload, after, limit),
        )
        return [
            PartInfo(
                number=number, size=size, etag=etag, modified=at, checksums=_facts.checksums(text)
            )
            for number, size, etag, at, text in rows
        ]

    def pending(
        self, owner: str, bucket: str, *, prefix: str = "", after: tuple[str, str] = ("", "")
    ) -> list[UploadInfo]:
        """List a thousand unfinished uploads and one, by key and id, from one on."""
        index = self._index.reader
        found = _rows.bucket_id(index, owner, bucket)
        begin = prefix.encode()
        rows = index.execute(
            f"SELECT {_UPLOAD} FROM upload WHERE bucket = ? AND substr(key, 1, ?) = ?"  # noqa: S608
            " AND (key, id) > (?, ?) ORDER BY key, id LIMIT 1001",
            (found, len(begin), begin, after[0].encode(), after[1]),
        )
        return [_info(row) for row in rows]

    def abort(self, owner: str, bucket: str, key: str, upload: str) -> None:
        """Forget an upload and delete its parts."""
        gone: _rows.Gone = []

        def work(index: Connection) -> None:
            _found(index, owner, bucket, key, upload)
            _rows.drop_upload(index, upload, gone)

        self._index.write(work)
        self._blobs.doom(gone)

    def complete(
        self,
        owner: str,
        bucket: str,
        key: str,
        upload: str,
        claims: Sequence[PartClaim],
        *,
        expected: Mapping[str, str] | None = None,
        check: Callable[[ObjectInfo | None], None] | None = None,
    ) -> ObjectInfo:
        """Make an object of parts: their files become its own.

        Asked again, after an answer that got lost, it answers as before.

        Args:
            owner: Whose bucket it is.
            bucket: The bucket.
            key: The object's key.
            upload: The upload.
            claims: The parts, ascending.
            expected: Checksums that the object must have.
            check: Looks at what is there under the key now, and may refuse.
        """
        name, now = key_bytes(key), time.time()
        etag = _etag(claims)
        gone: _rows.Gone = []

        def work(index: Connection) -> ObjectInfo:
            found = _rows.bucket_id(index, owner, bucket)
            there = _rows.there(index, found, name)
            try:
                told = _found(index, owner, bucket, key, upload)
            except NoSuchUploadError:
                if there is not None and there.etag == etag:
                    return there
                raise
            if check is not None:
                check(there)
            parts = self._chosen(index, upload, claims)
            sums = _checksums(told, [row[2] for row in parts], [row[1] for row in parts])
            if any(sums.get(each, value) != value for each, value in (expected or {}).items()):
                raise BadDigestError
            (facts,) = index.execute("SELECT facts FROM upload WHERE id = ?", (upload,)).fetchone()
            text = _facts.facts(_facts.described(facts), sums)
            size = sum(row[1] for row in parts)
            content = self._joined(index, [row[0] for row in parts])
            _rows.drop_upload(index, upload, gone)
            row = (name, size, etag, now, text)
            _rows.put_object(index, found, content, row, gone)
            return _facts.info(row)

        made = self._index.write(work)
        self._blobs.doom(gone)
        return made

    def _chosen(
        self, index: Connection, upload: str, claims: Sequence[PartClaim]
    ) -> list[tuple[int, int, dict[str, str]]]:
        """Find the claimed parts: content, size and checksums of each."""
        rows = {
            number: (content, size, etag, _facts.checksums(text))
            for number, content, size, etag, text in index.execute(
                "SELECT number, content, size, etag, facts FROM part WHERE upload = ?", (upload,)
            )
        }
        chosen: list[tuple[int, int, dict[str, str]]] = []
        for claim in claims:
            content, size, etag, sums = rows.get(claim.number, (0, 0, "", {}))
            if etag != claim.etag or any(
                sums.get(each, value) != value for each, value in claim.checksums.items()
            ):
                raise InvalidPartError(PartNumber=str(claim.number), ETag=claim.etag)
            if claim is not claims[-1] and size < self._limits.part_bytes_min:
                raise EntityTooSmallError(
                    PartNumber=str(claim.number),
                    ETag=etag,
                    ProposedSize=str(size),
                    MinSizeAllowed=str(self._limits.part_bytes_min),
                )
            chosen.append((content, size, sums))
        if sum(size for _, size, _ in chosen) > self._limits.object_bytes:
            raise EntityTooLargeError
        return chosen

    def _joined(self, index: Connection, contents: Sequence[int]) -> int:
        """Make one content of several, whose rows lose their files to it."""
        files = [_rows.pieces(index, content) for content in contents]
        added = index.execute("INSERT INTO content DEFAULT VALUES").lastrowid
        assert added is not None
        for content in contents:
            index.execute("DELETE FROM piece WHERE content = ?", (content,))
        _rows.add_pieces(index, added, [piece for row in files for piece in row])
        return added


def _etag(claims: Sequence[PartClaim]) -> str:
    """Give the MD5 of the parts' MD5s, and how many they are.

    Raises:
        MalformedXmlError: There is no part.
        InvalidPartOrderError: They do not ascend.
        InvalidPartError: One has no MD5 as its ETag.
    """
    if not claims:
        raise MalformedXmlError
    numbers = [claim.number for claim in claims]
    if any(left >= right for left, right in pairwise(numbers)):
        raise InvalidPartOrderError
    try:
        whole = b"".join(bytes.fromhex(claim.etag) for claim in claims)
    except ValueError:
        raise InvalidPartError from None
    return f"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}-{len(claims)}"


def _checksums(
    told: UploadInfo, parts: Sequence[Mapping[str, str]], sizes: Sequence[int]
) -> dict[str, str]:
    """Give the object's checksum, of the kind that was chosen when the upload began."""
    if not told.algorithm:
        return {}
    if not all(told.algorithm in part for part in parts):
        raise InvalidRequestError(f"A part has no {told.algorithm} checksum.")
    values = [part[told.algorithm] for part in parts]
    full = told.full_object
    return {told.algorithm: checksums.of_parts(told.algorithm, values, sizes, full=full)}


def _found(index: Connection, owner: str, bucket: str, key: str, upload: str) -> UploadInfo:
    found = _rows.bucket_id(index, owner, bucket)
    row = index.execute(
        f"SELECT {_UPLOAD} FROM upload WHERE id = ? AND bucket = ? AND key = ?",  # noqa: S608 - ours
        (upload, found, key_bytes(key)),
    ).fetchone()
    if row is None:
        raise NoSuchUploadError(upload)
    return _info(row)


def _info(row: tuple[str, bytes, float, str, int]) -> UploadInfo:
    upload, key, created, algorithm, full = row
    return UploadInfo(
        id=upload, key=key.decode(), created=created, algorithm=algorithm, full_object=bool(full)
    )
