"""Buckets in this process: the embedded object store, called without HTTP."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from drover_objectstore import Account, ObjectStore
from drover_objectstore.errors import NoSuchBucketError, S3Error
from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._buckets import BucketsError, Entry, NoBucketError

PIECE: Final = 1 << 20
PAGE: Final = 1000


class AccountsOfServer:
    """Tell the store who an access key is: users' emails, and their tokens as secrets."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def lookup(self, access_key: str) -> Account | None:
        """Find the account of an access key."""
        token = self._accounts.token_of(access_key)
        return None if token is None else Account(owner=access_key, secret=token)


class EmbeddedBuckets:
    """Do with the store what `Buckets` says."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def exists(self, owner: str, bucket: str) -> bool:
        """Look for a bucket."""
        try:
            self._store.list_page(owner, bucket, limit=1)
        except S3Error as exc:
            if exc.status >= 500:
                raise _error(exc, bucket) from exc
            return False
        return True

    def ensure(self, owner: str, bucket: str) -> None:
        """Make a bucket where it is not there."""
        try:
            self._store.create_bucket(owner, bucket)
        except S3Error as exc:
            raise _error(exc, bucket) from exc

    def entries(self, owner: str, bucket: str, prefix: str) -> Iterator[Entry]:
        """List objects, page by page."""
        after: str | None = ""
        while after is not None:
            try:
                page = self._store.list_page(owner, bucket, prefix=prefix, after=after, limit=PAGE)
            except S3Error as exc:
                raise _error(exc, bucket) from exc
            for one in page.objects:
                yield Entry(key=one.key, size=one.size, etag=one.etag)
            after = page.next

    def fetch(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Copy an object to a file."""
        try:
            with self._store.open(owner, bucket, key) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, PIECE)
        except S3Error as exc:
            raise _error(exc, bucket) from exc

    def send(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Copy a file to an object, which appears whole."""
        try:
            self._store.put_file(owner, bucket, key, path)
        except S3Error as exc:
            raise _error(exc, bucket) from exc

    def usage(self, owner: str) -> tuple[int, int]:
        """Count a user's buckets and bytes."""
        found = self._store.usage(owner)
        return found.buckets, found.bytes


def _error(exc: S3Error, bucket: str) -> BucketsError:
    if isinstance(exc, NoSuchBucketError):
        return NoBucketError(bucket)
    # A full disk, or a full account, has room again some time.
    return BucketsError(f"bucket {bucket!r}: {exc}", lasting=exc.status < 500)
