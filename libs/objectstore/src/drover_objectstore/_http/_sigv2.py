"""Presigned URLs of version 2, which botocore still makes where nobody says otherwise.

Source: AWS, "Signing and authenticating REST requests" (version 2), S3 API reference.
"""

import base64
import hmac
from typing import Final
from urllib.parse import quote

from drover_objectstore._http._request import Request
from drover_objectstore.errors import ExpiredError, QueryAuthorizationError

# What of the query is signed.
_SIGNED: Final = frozenset({
    "acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber",
    "policy", "requestPayment", "response-cache-control", "response-content-disposition",
    "response-content-encoding", "response-content-language", "response-content-type",
    "response-expires", "restore", "tagging", "torrent", "uploadId", "uploads", "versionId",
    "versioning", "versions", "website",
})  # fmt: skip


def check_time(request: Request, now: float) -> None:
    """Refuse a URL whose time is over.

    Raises:
        ExpiredError: It is.
        QueryAuthorizationError: It does not say when.
    """
    text = request.parameters.get("Expires", "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise QueryAuthorizationError
    if now > int(text):
        raise ExpiredError


def matches(request: Request, secret: str, prefix: str) -> bool:
    """Tell whether a URL was signed with that secret.

    Where the store is mounted under a prefix, some clients sign it along and some do not.
    """
    given = request.parameters.get("Signature", "").encode()
    paths = {request.path, request.path.removeprefix(prefix)}
    return any(hmac.compare_digest(given, _signed(request, secret, path)) for path in paths)


def _signed(request: Request, secret: str, path: str) -> bytes:
    headers = request.headers
    query = "&".join(
        f"{name}={value}" if value else name
        for name, value in sorted(request.query)
        if name in _SIGNED
    )
    text = "".join(
        [
            f"{request.method}\n{headers.get('content-md5', '')}\n",
            f"{headers.get('content-type', '')}\n{request.parameters['Expires']}\n",
            *(f"{name}:{headers[name]}\n" for name in sorted(headers) if name[:6] == "x-amz-"),
            quote(path, safe="/~"),
            f"?{query}" if query else "",
        ]
    )
    data = text.encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(secret.encode(), data, "sha1"))
