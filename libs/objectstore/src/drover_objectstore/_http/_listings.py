"""Listings of a bucket in S3's four shapes: version 1, version 2, versions, and uploads."""

import base64
import binascii
from collections.abc import Callable
from urllib.parse import quote

from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response, iso, xml
from drover_objectstore._http._xml import Tree
from drover_objectstore._store import ObjectStore
from drover_objectstore.errors import InvalidArgumentError
from drover_objectstore.models import ObjectInfo, Page
from drover_objectstore.names import KEY_BYTES

Rows = list[tuple[str, Tree]]
PAGE = 1000


class Listings:
    """What GET of a bucket gives."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def version_1(self, request: Request) -> Response:
        """List objects from a marker on."""
        given, word = request.parameters, _encoder(request)
        page, limit = self._page(request, given.get("marker", ""))
        more: Rows = [("NextMarker", word(page.next))] if page.next is not None else []
        head: Rows = [("Marker", word(given.get("marker", ""))), *more]
        return xml("ListBucketResult", _list(request, page, limit, head))

    def version_2(self, request: Request) -> Response:
        """List objects from a token on."""
        given, word = request.parameters, _encoder(request)
        token, start = given.get("continuation-token"), given.get("start-after", "")
        page, limit = self._page(request, start if token is None else _untoken(token))
        count = len(page.objects) + len(page.prefixes)
        head: Rows = [("KeyCount", str(count))]
        if token is not None:
            head.append(("ContinuationToken", token))
        if page.next is not None:
            head.append(
                ("NextContinuationToken", base64.urlsafe_b64encode(page.next.encode()).decode())
            )
        if start:
            head.append(("StartAfter", word(start)))
        owner = given.get("fetch-owner", "").lower() == "true"
        return xml("ListBucketResult", _list(request, page, limit, head, owner=owner))

    def versions(self, request: Request) -> Response:
        """List the only version that each object has."""
        given, word = request.parameters, _encoder(request)
        marker = given.get("key-marker", "")
        page, limit = self._page(request, marker)
        rows: Rows = [
            *_echo(request, limit, page.next is not None),
            ("KeyMarker", word(marker)),
            ("VersionIdMarker", given.get("version-id-marker", "")),
        ]
        if page.next is not None:
            rows += [("NextKeyMarker", word(page.next)), ("NextVersionIdMarker", "null")]
        for info in page.objects:
            version: Rows = [("VersionId", "null"), ("IsLatest", "true")]
            rows.append(("Version", _object(info, word, [*version, _owner(request)])))
        return xml("ListVersionsResult", [*rows, *_prefixes(page, word)])

    def uploads(self, request: Request) -> Response:
        """List uploads that nobody finished."""
        given, word = request.parameters, _encoder(request)
        limit = request.number("max-uploads", PAGE, PAGE)
        # Without an id, all uploads of the marked key are behind us.
        after = (given.get("key-marker", ""), given.get("upload-id-marker", "") or "~")
        prefix = given.get("prefix", "")
        found = self._store.uploads.pending(
            request.owner, request.bucket, prefix=prefix, after=after if after[0] else ("", "")
        )
        rows: Rows = [
            ("Bucket", request.bucket),
            ("KeyMarker", word(given.get("key-marker", ""))),
            ("UploadIdMarker", given.get("upload-id-marker", "")),
            ("Prefix", word(prefix)),
            ("MaxUploads", str(limit)),
            ("IsTruncated", str(len(found) > limit).lower()),
        ]
        if len(found) > limit > 0:
            last = found[limit - 1]
            rows += [("NextKeyMarker", word(last.key)), ("NextUploadIdMarker", last.id)]
        for upload in found[:limit]:
            about: Rows = [("Key", word(upload.key)), ("UploadId", upload.id)]
            about += [_owner(request), ("Initiated", iso(upload.created))]
            rows.append(("Upload", about))
        return xml("ListMultipartUploadsResult", rows)

    def _page(self, request: Request, after: str) -> tuple[Page, int]:
        given = request.parameters
        limit = request.number("max-keys", PAGE, PAGE)
        for name in ("prefix", "delimiter"):
            if len(given.get(name, "").encode()) > KEY_BYTES:
                raise InvalidArgumentError(ArgumentName=name)
        page = self._store.list_page(
            request.owner,
            request.bucket,
            prefix=given.get("prefix", ""),
            delimiter=given.get("delimiter", ""),
            after=after,
            limit=limit,
        )
        return page, limit


def _encoder(request: Request) -> Callable[[str], str]:
    """Give what makes any key fit into XML, where a client asked for it."""
    kind = request.parameters.get("encoding-type", "")
    if kind not in ("", "url"):
        raise InvalidArgumentError(ArgumentName="encoding-type", ArgumentValue=kind[:64])
    return quote if kind else str


def _untoken(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidArgumentError(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from None


def _owner(request: Request) -> tuple[str, Tree]:
    return "Owner", [("ID", request.owner), ("DisplayName", request.owner)]


def _echo(request: Request, limit: int, truncated: bool) -> Rows:
    """Say what was asked for."""
    given, word = request.parameters, _encoder(request)
    rows: Rows = [("Name", request.bucket), ("Prefix", word(given.get("prefix", "")))]
    rows += [("MaxKeys", str(limit)), ("IsTruncated", str(truncated).lower())]
    if given.get("delimiter"):
        rows.append(("Delimiter", word(given["delimiter"])))
    if "encoding-type" in given:
        rows.append(("EncodingType", given["encoding-type"]))
    return rows


def _list(request: Request, page: Page, limit: int, head: Rows, *, owner: bool = True) -> Rows:
    word = _encoder(request)
    more: Rows = [_owner(request)] if owner else []
    return [
        *_echo(request, limit, page.next is not None),
        *head,
        *(("Contents", _object(info, word, more)) for info in page.objects),
        *_prefixes(page, word),
    ]


def _object(info: ObjectInfo, word: Callable[[str], str], more: Rows) -> Rows:
    sums = [("ChecksumAlgorithm", name.upper()) for name in info.checksums]
    return [
        ("Key", word(info.key)),
        ("LastModified", iso(info.modified)),
        ("ETag", f'"{info.etag}"'),
        *sums,
        ("Size", str(info.size)),
        ("StorageClass", "STANDARD"),
        *more,
    ]


def _prefixes(page: Page, word: Callable[[str], str]) -> Rows:
    return [("CommonPrefixes", [("Prefix", word(prefix))]) for prefix in page.prefixes]
