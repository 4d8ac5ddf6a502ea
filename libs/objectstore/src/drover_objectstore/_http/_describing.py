"""The headers that describe an object: as they come with it, and as they go back."""

from collections.abc import Mapping
from typing import Final

from drover_objectstore._http._request import Request
from drover_objectstore._http._response import http_date
from drover_objectstore.errors import InvalidArgumentError, MetadataTooLargeError
from drover_objectstore.models import DEFAULT_TYPE, Described, ObjectInfo

_KEPT: Final = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
)  # fmt: skip
_METADATA: Final = "x-amz-meta-"
_OVERRIDES: Final = {f"response-{name}": name for name in ("content-type", *_KEPT)}
_NO_TEXT: Final = frozenset(map(chr, (*range(32), 127)))


def described(request: Request, limit: int) -> Described:
    """Read what is said of an object.

    Raises:
        MetadataTooLargeError: It is more than is allowed.
    """
    headers = request.headers
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in headers.items()
        if name.startswith(_METADATA)
    }
    kept = {name: headers[name] for name in _KEPT if name in headers}
    if "content-encoding" in kept:
        words = [word.strip() for word in kept.pop("content-encoding").split(",")]
        # It is how the body came, and no property of the object.
        left = ",".join(word for word in words if word and word != "aws-chunked")
        kept |= {"content-encoding": left} if left else {}
    size = sum(len(name) + len(value) for name, value in (*metadata.items(), *kept.items()))
    content_type = headers.get("content-type") or DEFAULT_TYPE
    if size + len(content_type) > limit:
        raise MetadataTooLargeError(Size=str(size), MaxSizeAllowed=str(limit))
    return Described(content_type=content_type, metadata=metadata, headers=kept)


def headers_of(info: ObjectInfo) -> dict[str, str]:
    """Give the headers that describe an object."""
    return {
        "content-type": info.content_type,
        "etag": f'"{info.etag}"',
        "last-modified": http_date(info.modified),
        "accept-ranges": "bytes",
        **info.headers,
        **{f"{_METADATA}{name}": value for name, value in info.metadata.items()},
    }


def overrides(request: Request) -> dict[str, str]:
    """Read which headers of an answer a (signed) request wants to be otherwise.

    Raises:
        InvalidArgumentError: One has a character that would end the header.
    """
    wanted: dict[str, str] = {}
    for parameter, name in _OVERRIDES.items():
        value = request.parameters.get(parameter)
        if value is not None:
            if not _NO_TEXT.isdisjoint(value):
                raise InvalidArgumentError(ArgumentName=parameter)
            wanted[name] = value
    return wanted


def sums_of(sums: Mapping[str, str]) -> dict[str, str]:
    """Give the headers of checksums, with their kind."""
    if not sums:
        return {}
    composite = any("-" in value for value in sums.values())
    return {
        **{f"x-amz-checksum-{name}": value for name, value in sums.items()},
        "x-amz-checksum-type": "COMPOSITE" if composite else "FULL_OBJECT",
    }
