"""Move files to and from the object store, and go on where it was cut off."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from drover_qarnot._book import Book
from drover_qarnot._cloud import AbsentError, Cloud, RefusedError, Stored

PART: Final = 8 * 2**20
"""Bytes of a part. With parts of this size ETags are as the official package makes them."""
PIECE: Final = 4 * 2**20
"""Bytes of one reading when a file comes back."""
Moved = Callable[[int], None]
"""Told how many bytes more are where they are to be."""


def etag_of(path: Path) -> str:
    """Compute the ETag that the store gives to a file which came in parts of PART bytes."""
    with path.open("rb") as file:
        digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in _parts(file)]
    if len(digests) < 2:
        return digests[0].hex() if digests else hashlib.md5(b"", usedforsecurity=False).hexdigest()
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(digests)}"


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(PART):
        yield part


class Mover:
    """Upload and download single files."""

    def __init__(self, cloud: Cloud, book: Book) -> None:
        self._cloud = cloud
        self._book = book

    def upload(self, path: Path, bucket: str, key: str, moved: Moved) -> int:
        """Upload a file unless it is there; gives how many bytes were sent.

        A large one goes in parts, and those that arrived before a crash are not sent again.

        Raises:
            OSError: It cannot be read.
            RefusedError, BackendError: The store says no, or nothing.
        """
        size = path.stat().st_size
        there = self._cloud.head(bucket, key)
        if there is not None and there.size == size and there.etag == etag_of(path):
            moved(size)
            return 0
        if size <= PART:
            self._cloud.put(bucket, key, path.read_bytes())
            moved(size)
            return size
        return self._upload_parts(path, bucket, key, moved)

    def _upload_parts(self, path: Path, bucket: str, key: str, moved: Moved) -> int:
        target = f"{bucket}/{key}"
        status = path.stat()
        source = [os.fspath(path), status.st_size, status.st_mtime_ns]
        facts = self._book.upload(target)
        if facts is None or facts["source"] != source:
            facts = self._begin(bucket, key, source)
        try:
            return self._send(path, bucket, key, facts, moved)
        except AbsentError:
            # The store has forgotten the upload; it keeps them for some days.
            facts = self._begin(bucket, key, source)
            return self._send(path, bucket, key, facts, moved)

    def _begin(self, bucket: str, key: str, source: list[Any]) -> dict[str, Any]:
        made = self._cloud.ask(
            lambda connection: connection.s3client.create_multipart_upload(Bucket=bucket, Key=key)
        )
        facts: dict[str, Any] = {"source": source, "id": made["UploadId"], "parts": {}}
        self._book.note_upload(f"{bucket}/{key}", facts)
        return facts

    def _send(self, path: Path, bucket: str, key: str, facts: dict[str, Any], moved: Moved) -> int:
        sent = 0
        parts: dict[str, str] = facts["parts"]
        upload = {"Bucket": bucket, "Key": key, "UploadId": facts["id"]}
        with path.open("rb") as file:
            for number, part in enumerate(_parts(file), start=1):
                if str(number) not in parts:
                    parts[str(number)] = self._send_part(upload, number, part)
                    self._book.note_upload(f"{bucket}/{key}", facts)
                    sent += len(part)
                moved(len(part))
        listed = [{"PartNumber": int(n), "ETag": parts[n]} for n in sorted(parts, key=int)]
        self._cloud.ask(
            lambda connection: connection.s3client.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": listed}
            )
        )
        self._book.note_upload(f"{bucket}/{key}", None)
        return sent

    def _send_part(self, upload: Mapping[str, str], number: int, part: bytes) -> str:
        answer = self._cloud.ask(
            lambda connection: connection.s3client.upload_part(
                **upload, PartNumber=number, Body=part
            )
        )
        return str(answer["ETag"])

    def download(self, bucket: str, key: str, target: Path, mode: int, moved: Moved) -> int:
        """Bring an object to a file; gives how many bytes came.

        It grows beside its place under a name with the object's ETag, and what is there of it
        already is not asked for again.

        Raises:
            OSError: It cannot be written.
            RefusedError, BackendError: The store says no, or nothing.
        """
        there = self._cloud.head(bucket, key)
        if there is None:
            raise RefusedError(f"{key!r} is not in bucket {bucket!r}")
        if target.is_file() and _is_same(target, there):
            moved(there.size)
            target.chmod(mode)
            return 0
        draft = target.with_name(f".{target.name[:200]}.{there.etag[:40]}.drover-part")
        came = 0
        with draft.open("ab") as file:
            done = file.tell()
            moved(done)
            while done < there.size:
                piece = self._piece(bucket, there, done)
                file.write(piece)
                done += len(piece)
                came += len(piece)
                moved(len(piece))
        draft.chmod(mode)
        draft.replace(target)
        return came

    def _piece(self, bucket: str, there: Stored, offset: int) -> bytes:
        last = min(there.size, offset + PIECE) - 1
        content: bytes = self._cloud.ask(
            lambda connection: connection.s3client.get_object(
                Bucket=bucket, Key=there.key, Range=f"bytes={offset}-{last}", IfMatch=there.etag
            )["Body"].read()
        )
        return content


def _is_same(path: Path, there: Stored) -> bool:
    return path.stat().st_size == there.size and there.etag == etag_of(path)
