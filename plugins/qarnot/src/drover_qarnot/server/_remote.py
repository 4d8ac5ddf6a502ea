"""Buckets on any S3 endpoint, by boto3.

The server speaks to it as the user does: the access key is the email, the secret the token. So
the endpoint itself keeps users apart; its accounts are made there, by who runs it.
"""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._buckets import BucketsError, Entry, NoBucketError
from drover_qarnot.server._config import Storage

# Neither tells its types, so they are looked up as values.
_boto3: Final[Any] = import_module("boto3")
_Config: Final[Any] = import_module("botocore.config").Config
_errors: Final[Any] = import_module("botocore.exceptions")
_FAULTS: Final[tuple[type[Exception], ...]] = (
    _errors.ClientError,
    _errors.BotoCoreError,
)
_log: Final = logging.getLogger("drover.qarnot.buckets")
IN_PARTS: Final = 8 << 20
"""From how many bytes on boto3 uploads in parts."""
_GONE: Final = frozenset({"NoSuchBucket", "404", "NotFound"})
_LASTING: Final = frozenset(
    {
        "NoSuchKey", "AccessDenied", "403", "BucketAlreadyExists", "InvalidBucketName",
        "KeyTooLongError", "InvalidAccessKeyId", "SignatureDoesNotMatch", "QuotaExceeded",
        "EntityTooLarge",
    }
)  # fmt: skip


class RemoteBuckets:
    """Do with an endpoint what `Buckets` says."""

    def __init__(self, storage: Storage, accounts: Accounts) -> None:
        self._storage = storage
        self._accounts = accounts
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _client(self, owner: str) -> Any:
        with self._lock:
            if owner not in self._clients:
                self._clients[owner] = _boto3.session.Session().client(
                    "s3",
                    endpoint_url=self._storage.url,
                    region_name=self._storage.region,
                    aws_access_key_id=owner,
                    aws_secret_access_key=self._accounts.token_of(owner),
                    config=_Config(
                        s3={"addressing_style": "path"},
                        request_checksum_calculation="when_required",
                        retries={"mode": "standard", "max_attempts": 3},
                    ),
                )
            return self._clients[owner]

    def exists(self, owner: str, bucket: str) -> bool:
        """Ask for the bucket's head."""
        try:
            self._client(owner).head_bucket(Bucket=bucket)
        except _FAULTS as exc:
            error = _error(exc, bucket)
            if isinstance(error, NoBucketError) or error.lasting:
                return False
            raise error from exc
        return True

    def ensure(self, owner: str, bucket: str) -> None:
        """Make the bucket where it is not there."""
        if self.exists(owner, bucket):
            return
        try:
            self._client(owner).create_bucket(Bucket=bucket)
        except _FAULTS as exc:
            raise _error(exc, bucket) from exc

    def entries(self, owner: str, bucket: str, prefix: str) -> Iterator[Entry]:
        """List objects, page by page."""
        pages = self._client(owner).get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for row in page.get("Contents", ()):
                    yield Entry(key=row["Key"], size=row["Size"], etag=row["ETag"].strip('"'))
        except _FAULTS as exc:
            raise _error(exc, bucket) from exc

    def fetch(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Download an object."""
        try:
            self._client(owner).download_file(bucket, key, str(path))
        except _FAULTS as exc:
            raise _error(exc, bucket) from exc

    def send(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Upload a file; in parts where it is large, of which nothing is seen before the last."""
        client, started = self._client(owner), datetime.now(UTC)
        try:
            # Not `upload_file`: it hides what the endpoint has answered.
            with path.open("rb") as file:
                client.upload_fileobj(file, bucket, key)
        except _FAULTS as exc:
            raise _error(exc, bucket) from exc
        if path.stat().st_size >= IN_PARTS:
            _sweep(client, bucket, key, started)

    def usage(self, owner: str) -> tuple[int, int]:
        """Count buckets; bytes would take a listing of all, and are not told."""
        try:
            return len(self._client(owner).list_buckets().get("Buckets", ())), 0
        except _FAULTS:
            # Not worth failing `/info`, without which no client starts.
            return 0, 0


def _sweep(client: Any, bucket: str, key: str, before: datetime) -> None:
    """Give up earlier uploads of an object that is whole now: nobody else would ever do so."""
    try:
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=key)
        for one in found.get("Uploads", ()):
            if one["Key"] == key and one["Initiated"] < before:
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=one["UploadId"])
    except _FAULTS as exc:
        _log.warning("parts of an upload that was cut off may be left in %r: %s", bucket, exc)


def _error(exc: BaseException, bucket: str) -> BucketsError:
    response: dict[str, Any] | None = getattr(exc, "response", None)
    if response is None:
        return BucketsError(f"the object store does not answer: {exc}", lasting=False)
    facts: dict[str, Any] = response.get("Error", {})
    code = str(facts.get("Code", ""))
    if code in _GONE:
        return NoBucketError(bucket)
    why = f"bucket {bucket!r}: {code} {facts.get('Message', '')}"
    return BucketsError(why, lasting=code in _LASTING)
