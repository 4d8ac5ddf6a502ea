"""Signatures of version 4: what is signed, and with which key.

Source: AWS, "Authenticating requests (AWS Signature Version 4)", S3 API reference.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from drover_objectstore._http._request import Request
from drover_objectstore.errors import (
    AuthorizationMalformedError,
    ExpiredError,
    QueryAuthorizationError,
    RequestTimeTooSkewedError,
)

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SKEW_S: Final = 15 * 60
_WEEK_S: Final = 7 * 24 * 3600
_SPACES: Final = re.compile(r" +")


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature as a client gave it, and what it says that it covers."""

    access_key: str
    scope: str
    """`DATE/REGION/s3/aws4_request`; any region will do."""
    stamp: str
    """When it was made, as it is written there."""
    headers: tuple[str, ...]
    value: str
    query: bool
    """Whether it stands in the query: a presigned URL."""


def of_header(request: Request) -> Signature:
    """Read the `Authorization` header.

    Raises:
        AuthorizationMalformedError: It is not as it should be.
    """
    words = request.headers["authorization"].removeprefix(ALGORITHM).split(",")
    fields = {name.strip(): value for name, _, value in (word.partition("=") for word in words)}
    stamp = request.headers.get("x-amz-date", "")
    try:
        return _signature(
            fields["Credential"], fields["SignedHeaders"], fields["Signature"], stamp, query=False
        )
    except (KeyError, ValueError):
        raise AuthorizationMalformedError from None


def of_query(request: Request) -> Signature:
    """Read the parameters of a presigned URL.

    Raises:
        QueryAuthorizationError: They are not as they should be.
    """
    given = request.parameters
    try:
        return _signature(
            given["X-Amz-Credential"],
            given["X-Amz-SignedHeaders"],
            given["X-Amz-Signature"],
            given["X-Amz-Date"],
            query=True,
        )
    except (KeyError, ValueError):
        raise QueryAuthorizationError from None


def _signature(credential: str, headers: str, value: str, stamp: str, *, query: bool) -> Signature:
    # An access key may be an address with any character in it.
    access_key, date, region, service, end = credential.strip().rsplit("/", 4)
    names = tuple(headers.strip().split(";"))
    moment(stamp)
    if (service, end) != ("s3", "aws4_request") or date != stamp[:8] or "host" not in names:
        raise ValueError
    return Signature(
        access_key=access_key,
        scope=f"{date}/{region}/{service}/{end}",
        stamp=stamp,
        headers=names,
        value=value.strip(),
        query=query,
    )


def moment(stamp: str) -> float:
    """Read a time such as 20260102T030405Z.

    Raises:
        ValueError: It is none.
    """
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def check_time(signature: Signature, request: Request, now: float) -> None:
    """Refuse what was signed too long ago, or by a clock that is wrong.

    Raises:
        RequestTimeTooSkewedError: More than a quarter of an hour lies between the clocks.
        ExpiredError: A presigned URL's time is over.
        QueryAuthorizationError: A presigned URL is valid for longer than a week.
    """
    at, error = moment(signature.stamp), RequestTimeTooSkewedError(RequestTime=signature.stamp)
    if not signature.query:
        if abs(now - at) > SKEW_S:
            raise error
        return
    text = request.parameters.get("X-Amz-Expires", "")
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _WEEK_S):
        raise QueryAuthorizationError("X-Amz-Expires must be between 1 and 604800 seconds")
    if at - now > SKEW_S:
        raise error
    if now > at + int(text):
        raise ExpiredError


def signing_key(secret: str, scope: str) -> bytes:
    """Derive the key of a day, a region and a service."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = digest(key, word)
    return key


def digest(key: bytes, text: str) -> bytes:
    """Sign some text."""
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256")


def expected(signature: Signature, request: Request, key: bytes, payload: str) -> str:
    """Give the signature that the request ought to have."""
    canonical = "\n".join(
        [
            request.method,
            quote(request.path, safe="/~"),
            _query(request.query),
            *(f"{name}:{_value(request, name)}" for name in signature.headers),
            "",
            ";".join(signature.headers),
            payload,
        ]
    )
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return digest(key, f"{ALGORITHM}\n{signature.stamp}\n{signature.scope}\n{hashed}").hex()


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    words = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in pairs
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in words)


def _value(request: Request, name: str) -> str:
    return _SPACES.sub(" ", request.headers.get(name, ""))


def uncovered(signature: Signature, request: Request) -> list[str]:
    """List the headers that change what is done and that the signature does not cover."""
    return [
        name
        for name in request.headers
        if name.startswith("x-amz-")
        and name not in signature.headers
        # Of presigned URLs it only says what was sent, which is compared with it.
        and not (signature.query and name == "x-amz-content-sha256")
    ]
