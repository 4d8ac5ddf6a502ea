"""What can be done with multipart uploads."""

from drover_objectstore import checksums
from drover_objectstore._http import _xml
from drover_objectstore._http._auth import Payload
from drover_objectstore._http._conditions import check_read, check_write, wanted
from drover_objectstore._http._describing import described, sums_of
from drover_objectstore._http._intake import SUMS, DocumentSink, ObjectSink
from drover_objectstore._http._objects import source_of
from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response, Sink, iso, xml
from drover_objectstore._http._xml import Tree
from drover_objectstore._store import Incoming, ObjectStore
from drover_objectstore.errors import InvalidArgumentError, MalformedXmlError
from drover_objectstore.models import MIB, Limits, PartClaim, PartInfo
from drover_objectstore.names import key_bytes

Rows = list[tuple[str, Tree]]
_PAGE = 1000


class Multipart:
    """The verbs of multipart uploads."""

    def __init__(self, store: ObjectStore, limits: Limits) -> None:
        self._store, self._limits = store, limits

    def begin(self, request: Request) -> Response:
        """Begin an upload."""
        given = request.headers.get("x-amz-checksum-algorithm", "")
        algorithm = checksums.known(given) if given else ""
        kind = request.headers.get("x-amz-checksum-type", "").upper()
        full = bool(algorithm) and checksums.is_full_object(algorithm, kind)
        upload = self._store.uploads.begin(
            request.owner,
            request.bucket,
            request.key,
            described=described(request, self._limits.metadata_bytes),
            algorithm=algorithm,
            full_object=full,
        )
        headers = {
            "x-amz-checksum-algorithm": algorithm.upper(),
            "x-amz-checksum-type": "FULL_OBJECT" if full else "COMPOSITE",
        }
        rows: Rows = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload)]
        return xml("InitiateMultipartUploadResult", rows, **(headers if algorithm else {}))

    def put_part(self, request: Request, payload: Payload) -> Sink:
        """Take a part."""
        incoming = self._incoming(request)

        def keep(incoming: Incoming) -> Response:
            part = self._keep(request, incoming)
            return Response(headers={"etag": f'"{part.etag}"', **_part_sums(part)})

        return ObjectSink(request, payload, self._limits.put_bytes, incoming, keep)

    def copy_part(self, request: Request) -> Response:
        """Make a part of another object, or of a range of it."""
        bucket, key = source_of(request)
        info, content = self._store.content(request.owner, bucket, key)
        try:
            check_read(request.headers, info, "x-amz-copy-source-")
            asked = request.headers.get("x-amz-copy-source-range")
            begin, end = wanted(asked, info.size) or (0, info.size)
            incoming = self._incoming(request)
            try:
                while data := content.read_at(begin, min(MIB, end - begin)):
                    incoming.write(data)
                    begin += len(data)
                incoming.finish()
                part = self._keep(request, incoming)
            finally:
                incoming.discard()
        finally:
            content.close()
        rows: Rows = [("LastModified", iso(part.modified)), ("ETag", f'"{part.etag}"')]
        return xml("CopyPartResult", rows)

    def _incoming(self, request: Request) -> Incoming:
        self._number(request)
        upload = self._store.uploads.find(
            request.owner, request.bucket, request.key, request.parameters["uploadId"]
        )
        return self._store.incoming([upload.algorithm] if upload.algorithm else [], part=True)

    def _number(self, request: Request) -> int:
        number = request.number("partNumber", 0, self._limits.parts + 1)
        if not 0 < number <= self._limits.parts:
            raise InvalidArgumentError(
                f"Part number must be an integer between 1 and {self._limits.parts}, inclusive",
                ArgumentName="partNumber",
            )
        return number

    def _keep(self, request: Request, incoming: Incoming) -> PartInfo:
        return self._store.uploads.put_part(
            request.owner,
            request.bucket,
            request.key,
            request.parameters["uploadId"],
            self._number(request),
            incoming,
        )

    def parts(self, request: Request) -> Response:
        """List parts that have come."""
        limit = request.number("max-parts", _PAGE, _PAGE)
        after = request.number("part-number-marker", 0, self._limits.parts)
        upload = request.parameters["uploadId"]
        found = self._store.uploads.parts(
            request.owner, request.bucket, request.key, upload, after=after, limit=limit + 1
        )
        shown, truncated = found[:limit], len(found) > limit
        rows: Rows = [
            ("Bucket", request.bucket),
            ("Key", request.key),
            ("UploadId", upload),
            ("PartNumberMarker", str(after)),
            ("MaxParts", str(limit)),
            ("IsTruncated", str(truncated).lower()),
        ]
        if truncated and shown:
            rows.append(("NextPartNumberMarker", str(shown[-1].number)))
        return xml("ListPartsResult", [*rows, *(("Part", _part(part)) for part in shown)])

    def complete(self, request: Request, payload: Payload) -> Sink:
        """Make an object of parts."""
        key_bytes(request.key)
        check = check_write(request.headers, request.bucket, request.key)
        expected = {
            name: checksums.checked(name, request.headers[header])
            for header, name in SUMS.items()
            if header in request.headers and "-" not in request.headers[header]
        }
        # Here they are about the object, not about this body.
        bare = {name: text for name, text in request.headers.items() if name not in SUMS}

        def use(body: bytes) -> Response:
            info = self._store.uploads.complete(
                request.owner,
                request.bucket,
                request.key,
                request.parameters["uploadId"],
                _claims(body, self._limits.parts),
                expected=expected,
                check=check,
            )
            rows: Rows = [
                ("Location", request.path),
                ("Bucket", request.bucket),
                ("Key", request.key),
                ("ETag", f'"{info.etag}"'),
            ]
            rows += [(f"Checksum{name.upper()}", value) for name, value in info.checksums.items()]
            if info.checksums:
                rows.append(("ChecksumType", sums_of(info.checksums)["x-amz-checksum-type"]))
            return xml("CompleteMultipartUploadResult", rows)

        request.headers = bare
        return DocumentSink(request, payload, self._limits.xml_bytes, use)

    def abort(self, request: Request) -> Response:
        """Forget an upload."""
        self._store.uploads.abort(
            request.owner, request.bucket, request.key, request.parameters["uploadId"]
        )
        return Response(status=204)


def _claims(body: bytes, most: int) -> list[PartClaim]:
    """Read which parts make the object."""
    rows = _xml.read(body, "CompleteMultipartUpload").all("Part")
    if len(rows) > most:
        raise MalformedXmlError
    claims: list[PartClaim] = []
    for row in rows:
        number = row.need("PartNumber").strip()
        if not (number.isascii() and number.isdigit() and len(number) < 6):
            raise MalformedXmlError
        sums = {name: row.get(f"Checksum{name.upper()}") for name in checksums.ALGORITHMS}
        claims.append(
            PartClaim(
                number=int(number),
                etag=row.need("ETag").strip().strip('"'),
                checksums={name: value for name, value in sums.items() if value},
            )
        )
    return claims


def _part(part: PartInfo) -> Rows:
    return [
        ("PartNumber", str(part.number)),
        ("LastModified", iso(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", str(part.size)),
        *((f"Checksum{name.upper()}", value) for name, value in part.checksums.items()),
    ]


def _part_sums(part: PartInfo) -> dict[str, str]:
    return {f"x-amz-checksum-{name}": value for name, value in part.checksums.items()}
