"""Which verb on what is whose task. What S3 does and this store does not is refused by its name."""

from collections.abc import Callable
from typing import Final

from drover_objectstore._http._auth import Payload
from drover_objectstore._http._buckets import Buckets, unsupported
from drover_objectstore._http._multipart import Multipart
from drover_objectstore._http._objects import Objects
from drover_objectstore._http._request import Request
from drover_objectstore._http._response import Response, Sink
from drover_objectstore._store import ObjectStore
from drover_objectstore.errors import MethodNotAllowedError
from drover_objectstore.models import Limits

# Words in a query that ask for something else than the object or bucket itself.
_BUCKET_WORDS: Final = frozenset({
    "accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory",
    "lifecycle", "logging", "metrics", "notification", "object-lock", "ownershipControls", "policy",
    "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning",
    "website",
})  # fmt: skip
_OBJECT_WORDS: Final = frozenset({
    "acl", "attributes", "legal-hold", "restore", "retention", "select", "tagging", "torrent",
})  # fmt: skip
_KNOWN_OF_BUCKETS: Final = frozenset({
    "acl", "cors", "encryption", "lifecycle", "object-lock", "ownershipControls", "policy",
    "publicAccessBlock", "replication", "tagging", "versioning", "website",
})  # fmt: skip


class Routes:
    """Finds who answers a request."""

    def __init__(self, store: ObjectStore, limits: Limits) -> None:
        self._buckets = Buckets(store, limits)
        self._objects = Objects(store, limits)
        self._multipart = Multipart(store, limits)

    def answer(self, request: Request, payload: Payload) -> Response | Sink:
        """Answer a request, or give what takes its body and answers then.

        Raises:
            S3Error: It is not to be, or not done here.
        """
        if not request.bucket:
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowedError
            return self._buckets.all(request)
        if not request.key:
            return self._bucket(request, payload)
        return self._object(request, payload)

    def _bucket(self, request: Request, payload: Payload) -> Response | Sink:
        words = _BUCKET_WORDS & request.parameters.keys()
        buckets = self._buckets
        match request.method:
            case "GET" if words <= _KNOWN_OF_BUCKETS:
                return buckets.get(request)
            case "HEAD" if not words:
                return buckets.head(request)
            case "PUT" if not words:
                return buckets.create(request, payload)
            case "DELETE" if not words:
                return buckets.delete(request)
            case "POST" if "delete" in request.parameters:
                return buckets.delete_objects(request, payload)
            case "GET" | "HEAD" | "PUT" | "DELETE" | "POST":
                raise unsupported(request)
            case _:
                raise MethodNotAllowedError

    def _object(self, request: Request, payload: Payload) -> Response | Sink:
        words = _OBJECT_WORDS & request.parameters.keys()
        if words and (request.method != "GET" or words != frozenset({"acl"})):
            raise unsupported(request)
        if words:
            return self._objects.acl(request)
        if "uploadId" in request.parameters:
            return self._part(request, payload)
        match request.method:
            case "GET" | "HEAD":
                return self._objects.get(request)
            case "PUT" if "x-amz-copy-source" in request.headers:
                return self._objects.copy(request)
            case "PUT":
                return self._objects.put(request, payload)
            case "DELETE":
                return self._objects.delete(request)
            case "POST" if "uploads" in request.parameters:
                return self._multipart.begin(request)
            case "POST":
                raise unsupported(request)
            case _:
                raise MethodNotAllowedError

    def _part(self, request: Request, payload: Payload) -> Response | Sink:
        multipart = self._multipart
        plain: dict[str, Callable[[Request], Response]] = {
            "GET": multipart.parts,
            "DELETE": multipart.abort,
        }
        if request.method in plain:
            return plain[request.method](request)
        match request.method:
            case "PUT" if "x-amz-copy-source" in request.headers:
                return multipart.copy_part(request)
            case "PUT":
                return multipart.put_part(request, payload)
            case "POST":
                return multipart.complete(request, payload)
            case _:
                raise MethodNotAllowedError
