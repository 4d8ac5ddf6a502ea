"""Who asks: the signature of every request is checked, in constant time; nobody is anonymous."""

import hmac
import re
from dataclasses import dataclass
from typing import Final

from drover_objectstore._http import _sigv2, _sigv4
from drover_objectstore._http._chunked import Chain
from drover_objectstore._http._request import Request
from drover_objectstore.errors import (
    AccessDeniedError,
    InvalidAccessKeyIdError,
    InvalidArgumentError,
    InvalidRequestError,
    SignatureDoesNotMatchError,
    UnsupportedError,
)
from drover_objectstore.models import Account, Credentials

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_CHUNKED: Final = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What was signed of a body."""

    sha256: str = ""
    """Its hash; empty: it was not signed as a whole."""
    chunked: bool = False
    chain: Chain | None = None
    """What its chunks are signed with."""
    trailers: bool = False


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Lets requests in."""

    credentials: Credentials
    prefix: str

    def admit(self, request: Request, now: float) -> Payload:
        """Find out who asks, and note it on the request.

        Raises:
            AccessDeniedError: Nobody signed it, or not all that counts.
            S3Error: The signature cannot be read, is too old, or is not right.
        """
        if request.headers.get("authorization", "").startswith(_sigv4.ALGORITHM):
            return self._version_4(request, _sigv4.of_header(request), now)
        if request.parameters.get("X-Amz-Algorithm") == _sigv4.ALGORITHM:
            return self._version_4(request, _sigv4.of_query(request), now)
        if "Signature" in request.parameters and "AWSAccessKeyId" in request.parameters:
            return self._version_2(request, now)
        if "authorization" in request.headers:
            raise UnsupportedError("that kind of authorization")
        raise AccessDeniedError

    def _account(self, request: Request, access_key: str) -> Account:
        account = self.credentials.lookup(access_key)
        if account is None:
            raise InvalidAccessKeyIdError(AWSAccessKeyId=access_key)
        request.access_key = access_key
        return account

    def _version_4(self, request: Request, given: _sigv4.Signature, now: float) -> Payload:
        _sigv4.check_time(given, request, now)
        account = self._account(request, given.access_key)
        told = request.headers.get("x-amz-content-sha256", "")
        payload = UNSIGNED if given.query and not told else told
        if not payload:
            raise InvalidRequestError("The header x-amz-content-sha256 is missing.")
        key = _sigv4.signing_key(account.secret, given.scope)
        # A presigned URL does not say what is sent; a client may say it all the same.
        words = {payload, UNSIGNED} if given.query else {payload}
        right = [_sigv4.expected(given, request, key, word).encode() for word in sorted(words)]
        if not any(hmac.compare_digest(each, given.value.encode()) for each in right):
            raise SignatureDoesNotMatchError(AWSAccessKeyId=given.access_key)
        if _sigv4.uncovered(given, request):
            raise AccessDeniedError("There were headers present that were not signed.")
        request.account = account
        return self._payload(payload, Chain(key, given.stamp, given.scope, given.value))

    def _payload(self, told: str, chain: Chain) -> Payload:
        if told in _CHUNKED:
            signed, trailers = _CHUNKED[told]
            return Payload(chunked=True, chain=chain if signed else None, trailers=trailers)
        if told == UNSIGNED:
            return Payload()
        if told.startswith("STREAMING-"):
            raise UnsupportedError(told)
        if not _SHA256.fullmatch(told):
            raise InvalidArgumentError(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- kind, or a sha256",
                ArgumentName="x-amz-content-sha256",
            )
        return Payload(sha256=told)

    def _version_2(self, request: Request, now: float) -> Payload:
        _sigv2.check_time(request, now)
        account = self._account(request, request.parameters["AWSAccessKeyId"])
        if not _sigv2.matches(request, account.secret, self.prefix):
            raise SignatureDoesNotMatchError(AWSAccessKeyId=request.access_key)
        request.account = account
        return Payload()
