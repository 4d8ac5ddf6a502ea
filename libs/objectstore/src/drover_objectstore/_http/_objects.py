"""What can be done with one object."""

from urllib.parse import unquote

from drover_objectstore._http._auth import Payload
from drover_objectstore._http._conditions import check_read, check_write, wanted
from drover_objectstore._http._describing import described, headers_of, overrides, sums_of
from drover_objectstore._http._intake import ObjectSink
from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response, Sink, iso, xml
from drover_objectstore._http._xml import Tree
from drover_objectstore._store import Content, Incoming, ObjectStore
from drover_objectstore.errors import (
    InvalidArgumentError,
    InvalidRangeError,
    InvalidRequestError,
    NoSuchVersionError,
)
from drover_objectstore.models import Limits, ObjectInfo
from drover_objectstore.names import key_bytes


def check_version(version: str | None) -> None:
    """Refuse a version that is not the only one there is.

    Raises:
        NoSuchVersionError: It is another.
    """
    if version not in (None, "", "null"):
        raise NoSuchVersionError


def source_of(request: Request) -> tuple[str, str]:
    """Read bucket and key of what is to be copied.

    Raises:
        InvalidArgumentError: They are not told.
    """
    text, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    check_version(version)
    bucket, _, key = unquote(text).removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgumentError(ArgumentName="x-amz-copy-source")
    return bucket, key


class Objects:
    """The verbs of objects."""

    def __init__(self, store: ObjectStore, limits: Limits) -> None:
        self._store, self._limits = store, limits

    def get(self, request: Request) -> Response:
        """Send an object, or a range or part of it; for HEAD, what there is to tell."""
        check_version(request.parameters.get("versionId"))
        info, content = self._store.content(request.owner, request.bucket, request.key)
        try:
            check_read(request.headers, info)
            response = self._answer(request, info, content)
        except BaseException:
            content.close()
            raise
        if request.method == "HEAD":
            content.close()
            response.headers["content-length"] = str(response.length)
            response.content = None
        return response

    def _answer(self, request: Request, info: ObjectInfo, content: Content) -> Response:
        headers = {**headers_of(info), **overrides(request)}
        part = request.number("partNumber", 0, self._limits.parts)
        some = (
            _part(content, info, part) if part else wanted(request.headers.get("range"), info.size)
        )
        begin, end = some or (0, info.size)
        if some is not None:
            headers["content-range"] = f"bytes {begin}-{end - 1}/{info.size}"
        elif request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            # Only of all bytes: that is what a client would compare.
            headers |= sums_of(info.checksums)
        if part and info.parts:
            headers["x-amz-mp-parts-count"] = str(info.parts)
        status = 200 if some is None else 206
        return Response(status=status, headers=headers, content=content, begin=begin, end=end)

    def put(self, request: Request, payload: Payload) -> Sink:
        """Take an object."""
        key_bytes(request.key)
        self._store.check_access(request.owner, request.bucket)
        check = check_write(request.headers, request.bucket, request.key)
        told = described(request, self._limits.metadata_bytes)

        def keep(incoming: Incoming) -> Response:
            info = self._store.keep(
                request.owner, request.bucket, request.key, incoming, described=told, check=check
            )
            return Response(headers={"etag": f'"{info.etag}"', **sums_of(info.checksums)})

        incoming = self._store.incoming()
        return ObjectSink(request, payload, self._limits.put_bytes, incoming, keep)

    def copy(self, request: Request) -> Response:
        """Make an object of another one."""
        bucket, key = source_of(request)
        directive = request.headers.get("x-amz-metadata-directive", "COPY").upper()
        if directive not in ("COPY", "REPLACE"):
            raise InvalidArgumentError(ArgumentName="x-amz-metadata-directive")
        if directive == "COPY" and (bucket, key) == (request.bucket, request.key):
            raise InvalidRequestError(
                "This copy request is illegal because it is trying to copy an object to itself "
                "without changing the object's metadata."
            )
        told = described(request, self._limits.metadata_bytes) if directive == "REPLACE" else None
        info = self._store.copy(
            request.owner,
            request.bucket,
            request.key,
            source_bucket=bucket,
            source_key=key,
            described=told,
            check_source=lambda there: check_read(request.headers, there, "x-amz-copy-source-"),
        )
        rows = [("LastModified", iso(info.modified)), ("ETag", f'"{info.etag}"')]
        return xml("CopyObjectResult", [*rows])

    def delete(self, request: Request) -> Response:
        """Delete an object, also one that is not there."""
        check_version(request.parameters.get("versionId"))
        self._store.delete(request.owner, request.bucket, request.key)
        return Response(status=204)

    def acl(self, request: Request) -> Response:
        """Say that the object is its owner's alone."""
        self._store.head(request.owner, request.bucket, request.key)
        return acl_of(request.owner)


def acl_of(owner: str) -> Response:
    """Say that something is its owner's alone."""
    who: list[tuple[str, Tree]] = [("ID", owner), ("DisplayName", owner)]
    grant: list[tuple[str, Tree]] = [("Grantee", who), ("Permission", "FULL_CONTROL")]
    return xml("AccessControlPolicy", [("Owner", who), ("AccessControlList", [("Grant", grant)])])


def _part(content: Content, info: ObjectInfo, number: int) -> tuple[int, int]:
    """Give begin and end of a part; what came whole has one."""
    ends = content.ends if info.parts else [info.size]
    if number > len(ends):
        raise InvalidRangeError(info.size)
    return (ends[number - 2] if number > 1 else 0), ends[number - 1]
