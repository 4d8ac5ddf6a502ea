"""A request as it came: what is asked of what, in the words that were signed."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from drover_objectstore.errors import InvalidArgumentError, InvalidRequestError, InvalidUriError
from drover_objectstore.models import Account

_PARAMETERS: Final = 100


def decoded(text: str) -> str:
    """Undo percent signs.

    Raises:
        InvalidUriError: What comes out is no UTF-8.
    """
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidUriError from None


@dataclass(kw_only=True)
class Request:
    """One request, without its body."""

    method: str
    raw_path: str
    """As it was sent, with the prefix under which the store is mounted."""
    path: str
    """Decoded, as it is signed."""
    bucket: str
    key: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    """By names in small letters; those that came several times are joined by commas."""
    id: str = field(default_factory=lambda: secrets.token_hex(8).upper())
    access_key: str = ""
    account: Account = field(default_factory=lambda: Account(owner="", secret=""))
    """Known once the signature was checked."""

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Give the query by name."""
        return dict(self.query)

    @property
    def owner(self) -> str:
        """Say who asks."""
        return self.account.owner

    def number(self, name: str, default: int, most: int) -> int:
        """Give a parameter that is a number from 0 on; what is larger than *most* is *most*.

        Raises:
            InvalidArgumentError: It is none.
        """
        text = self.parameters.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise InvalidArgumentError(ArgumentName=name, ArgumentValue=text[:64])
        return min(int(text), most)

    @property
    def length(self) -> int | None:
        """Give the number of bytes that are announced; `None`: it is not told."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def parsed(scope: Mapping[str, Any], prefix: str) -> Request:
    """Read what the server tells of a request.

    Raises:
        InvalidUriError: The path or the query is no UTF-8, or is outside of *prefix*.
        InvalidRequestError: There are too many parameters.
    """
    raw_path = (scope.get("raw_path") or b"").decode("latin-1")
    path, query = decoded(raw_path), scope["query_string"].decode("latin-1")
    if query.count("&") >= _PARAMETERS:
        raise InvalidRequestError("The query has too many parameters.")
    # Some clients ask for the list of buckets without the last slash.
    if not f"{raw_path}/".startswith(f"{prefix}/"):
        raise InvalidUriError
    bucket, _, key = raw_path[len(prefix) + 1 :].partition("/")
    return Request(
        method=scope["method"],
        raw_path=raw_path,
        path=path,
        bucket=decoded(bucket),
        key=decoded(key),
        query=[_pair(word) for word in query.split("&") if word],
        headers=_headers(scope["headers"]),
    )


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.replace("+", "%20").partition("=")
    return decoded(name), decoded(value)


def _headers(rows: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in rows:
        word = name.decode("latin-1").lower()
        # Bytes come back as they were: signatures are over bytes.
        text = value.decode("utf-8", "surrogateescape").strip()
        headers[word] = f"{headers[word]},{text}" if word in headers else text
    return headers
