"""What can be done with buckets, and with many objects of one."""

from drover_objectstore._http import _xml
from drover_objectstore._http._auth import Payload
from drover_objectstore._http._intake import DocumentSink
from drover_objectstore._http._listings import Listings
from drover_objectstore._http._objects import acl_of
from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response, Sink, iso, xml
from drover_objectstore._http._xml import Tree
from drover_objectstore._store import ObjectStore
from drover_objectstore.errors import (
    MalformedXmlError,
    NoSuchVersionError,
    NotConfiguredError,
    S3Error,
    UnsupportedError,
)
from drover_objectstore.models import Limits
from drover_objectstore.names import key_bytes

Rows = list[tuple[str, Tree]]
_DELETED_AT_ONCE = 1000
# What a bucket can have on S3 and none has here, with the word for "none".
ABSENT = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
}


class Buckets:
    """The verbs of buckets."""

    def __init__(self, store: ObjectStore, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._listings = Listings(store)

    def all(self, request: Request) -> Response:
        """List the buckets of who asks."""
        who: Rows = [("ID", request.owner), ("DisplayName", request.owner)]
        rows: Rows = [
            ("Bucket", [("Name", each.name), ("CreationDate", iso(each.created))])
            for each in self._store.buckets(request.owner)
        ]
        return xml("ListAllMyBucketsResult", [("Owner", who), ("Buckets", rows)])

    def create(self, request: Request, payload: Payload) -> Sink:
        """Make a bucket, wherever a client wants it; one that is the client's already is made."""

        def use(body: bytes) -> Response:
            if body:
                _xml.read(body, "CreateBucketConfiguration")
            self._store.create_bucket(request.owner, request.bucket)
            return Response(headers={"location": f"/{request.bucket}"})

        return DocumentSink(request, payload, self._limits.xml_bytes, use)

    def head(self, request: Request) -> Response:
        """Say whether there is such a bucket."""
        self._store.check_access(request.owner, request.bucket)
        return Response()

    def delete(self, request: Request) -> Response:
        """Delete an empty bucket."""
        self._store.delete_bucket(request.owner, request.bucket)
        return Response(status=204)

    def get(self, request: Request) -> Response:
        """List objects, or tell what a bucket is like."""
        given, listings = request.parameters, self._listings
        if "versions" in given:
            return listings.versions(request)
        if "uploads" in given:
            return listings.uploads(request)
        absent = next((word for word in ABSENT if word in given), None)
        plain = {"location", "versioning", "acl"} & given.keys()
        if absent is None and not plain:
            newer = given.get("list-type") == "2"
            return listings.version_2(request) if newer else listings.version_1(request)
        self._store.check_access(request.owner, request.bucket)
        if absent is not None:
            raise NotConfiguredError(ABSENT[absent])
        if "acl" in plain:
            return acl_of(request.owner)
        # Nothing in it: no region, and versions were never kept.
        return xml("LocationConstraint" if "location" in plain else "VersioningConfiguration", "")

    def delete_objects(self, request: Request, payload: Payload) -> Sink:
        """Delete up to a thousand objects, and tell of each."""
        self._store.check_access(request.owner, request.bucket)

        def use(body: bytes) -> Response:
            asked = _xml.read(body, "Delete")
            entries = [(row.need("Key"), row.get("VersionId")) for row in asked.all("Object")]
            if not 0 < len(entries) <= _DELETED_AT_ONCE:
                raise MalformedXmlError
            told: Rows = []
            keys: list[str] = []
            for key, version in entries:
                fault = _fault(key, version)
                if fault is None:
                    keys.append(key)
                    told.append(("Deleted", [("Key", key)]))
                else:
                    words = [("Code", fault.code), ("Message", fault.message)]
                    told.append(("Error", [("Key", key), *words]))
            self._store.delete_many(request.owner, request.bucket, keys)
            if asked.get("Quiet").lower() == "true":
                told = [row for row in told if row[0] == "Error"]
            return xml("DeleteResult", told)

        return DocumentSink(request, payload, self._limits.xml_bytes, use)


def _fault(key: str, version: str) -> S3Error | None:
    """Find out why one of many objects cannot be deleted."""
    try:
        key_bytes(key)
        if version not in ("", "null"):
            raise NoSuchVersionError
    except S3Error as error:
        return error
    return None


def unsupported(request: Request) -> UnsupportedError:
    """Say what is not done here."""
    words = ", ".join(name for name, _ in request.query)[:100] or request.method
    return UnsupportedError(f"{request.method} with {words}")
