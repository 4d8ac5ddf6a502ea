"""Where the objects of buckets are: the store in this process, or any S3 endpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from attrs import frozen


class BucketsError(Exception):
    """The store did not do what was asked.

    Attributes:
        lasting: Whether it would not do so the next time, either.
    """

    def __init__(self, message: str, *, lasting: bool) -> None:
        self.lasting = lasting
        super().__init__(message)


class NoBucketError(BucketsError):
    """The bucket is not there, or is another user's.

    Attributes:
        bucket: Its name.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__(f"bucket {bucket!r} does not exist", lasting=True)


@frozen(kw_only=True)
class Entry:
    """An object of a bucket."""

    key: str
    size: int
    etag: str


class Buckets(Protocol):
    """What the server does with buckets. Blocking; used from several threads."""

    def exists(self, owner: str, bucket: str) -> bool:
        """Tell whether a user has a bucket."""
        ...

    def ensure(self, owner: str, bucket: str) -> None:
        """Make a bucket if the user has it not.

        Raises:
            BucketsError: It is another's, or cannot be made.
        """
        ...

    def entries(self, owner: str, bucket: str, prefix: str) -> Iterator[Entry]:
        """List objects whose key begins with *prefix*.

        Raises:
            NoBucketError: The bucket is not there.
        """
        ...

    def fetch(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Write an object to a new file.

        Raises:
            BucketsError: It is not there any more, or cannot be read.
        """
        ...

    def send(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Make an object of a file, in one step.

        Raises:
            BucketsError: It could not be.
        """
        ...

    def usage(self, owner: str) -> tuple[int, int]:
        """Count a user's buckets and bytes."""
        ...


class NoBuckets:
    """A server without buckets: every name is missing."""

    def exists(self, owner: str, bucket: str) -> bool:
        """Say no."""
        del owner, bucket
        return False

    def ensure(self, owner: str, bucket: str) -> None:
        """Refuse."""
        del owner
        raise NoBucketError(bucket)

    def entries(self, owner: str, bucket: str, prefix: str) -> Iterator[Entry]:
        """Refuse."""
        del owner, prefix
        raise NoBucketError(bucket)

    def fetch(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Refuse."""
        del owner, key, path
        raise NoBucketError(bucket)

    def send(self, owner: str, bucket: str, key: str, path: Path) -> None:
        """Refuse."""
        del owner, key, path
        raise NoBucketError(bucket)

    def usage(self, owner: str) -> tuple[int, int]:
        """Count none."""
        del owner
        return 0, 0
