"""What a store tells, and what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB
DEFAULT_TYPE = "binary/octet-stream"
"""What S3 says of an object whose type it was not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketInfo:
    """A bucket; *created* in seconds since 1970."""

    name: str
    created: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What an owner has; unfinished multipart uploads do not count."""

    buckets: int
    objects: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What a client says of an object, and gets back with it."""

    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Its own names, without `x-amz-meta-`, in small letters."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Standard headers that are kept, such as `cache-control`, in small letters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """An object without its bytes; *etag* without quotes, *modified* in seconds since 1970."""

    key: str
    size: int
    etag: str
    modified: float
    content_type: str = DEFAULT_TYPE
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])
    """By algorithm, such as `crc32`: in base64, with `-N` where it is one of N parts' checksums."""

    @property
    def described(self) -> Described:
        """Give what a client said of it."""
        return Described(
            content_type=self.content_type, metadata=self.metadata, headers=self.headers
        )

    @property
    def parts(self) -> int:
        """Tell of how many parts it was made; 0: it came whole."""
        return int(self.etag.partition("-")[2] or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some objects and common prefixes of a bucket, in the order of their UTF-8 bytes."""

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...]
    next: str | None
    """What to give as *after* for the next page; `None`: this is the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartInfo:
    """A part of a multipart upload that has come."""

    number: int
    size: int
    etag: str
    modified: float
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadInfo:
    """A multipart upload that is neither completed nor aborted."""

    id: str
    key: str
    created: float
    algorithm: str = ""
    """The checksum that its parts have; empty: none is asked for."""
    full_object: bool = False
    """Whether the checksum of the object is that of all its bytes, not that of its parts'."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartClaim:
    """A part as a client lists it to complete an upload."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much of anything is allowed. The defaults are S3's own where S3 has a number."""

    put_bytes: int = 5 * GIB
    object_bytes: int = 5 * TIB
    part_bytes_min: int = 5 * MIB
    parts: int = 10_000
    metadata_bytes: int = 2 * KIB
    buckets: int = 1_000
    """Per owner."""
    uploads: int = 10_000
    """Unfinished multipart uploads per bucket; ours: each keeps what has come on disk."""
    xml_bytes: int = 8 * MIB
    """The largest list that S3 allows, 1000 keys to delete with every byte escaped, has 6 MiB."""
    owner_bytes: int | None = None
    """What an owner may use in all; `None`: the disk."""
    idle_s: float = 60.0
    """How long a client may be silent in the middle of a body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Whose buckets an access key opens. The secret signs, so it must be readable here."""

    owner: str
    secret: str = field(repr=False)


class Credentials(Protocol):
    """Whoever knows the users."""

    def lookup(self, access_key: str) -> Account | None:
        """Find the account of an access key; called for every request, from any thread."""
        ...
