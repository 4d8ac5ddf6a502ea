"""The checksums that S3 keeps with objects, and those of objects that came in parts.

Source: Amazon S3 user guide, "Checking object integrity".
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from drover_objectstore import _crc
from drover_objectstore.errors import InvalidRequestError

ALGORITHMS: Final = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")
_CRCS: Final = frozenset(_crc.POLYNOMIALS)
_SIZES: Final = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}


class Checksum(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take some bytes."""

    def base64(self) -> str:
        """Give the checksum of all that came, as S3 writes it."""
        ...


class _Crc:
    def __init__(self, name: str) -> None:
        self._go_on, self._bytes, self._value = _crc.function(name), _SIZES[name], 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = self._go_on(data, self._value)

    def base64(self) -> str:
        return base64.b64encode(self._value.to_bytes(self._bytes)).decode()


class _Sha:
    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._hash.update(data)

    def base64(self) -> str:
        return base64.b64encode(self._hash.digest()).decode()


def checksum(name: str) -> Checksum:
    """Begin a checksum by its name in small letters."""
    return _Crc(name) if name in _CRCS else _Sha(name)


def known(name: str) -> str:
    """Give an algorithm as it is named here.

    Raises:
        InvalidRequestError: There is no such algorithm.
    """
    if name.lower() not in ALGORITHMS:
        raise InvalidRequestError(f"Checksum algorithm {name!r} is not supported.")
    return name.lower()


def checked(name: str, value: str) -> str:
    """Refuse what cannot be a checksum of that kind.

    Raises:
        InvalidRequestError: It is no base64 of the right length.
    """
    try:
        size = len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size != _SIZES[name]:
        raise InvalidRequestError(f"Value for x-amz-checksum-{name} header is invalid.")
    return value


def is_full_object(name: str, kind: str) -> bool:
    """Tell whether an upload's checksum is that of all its bytes.

    Args:
        name: The algorithm.
        kind: FULL_OBJECT, COMPOSITE, or nothing for what S3 takes then.

    Raises:
        InvalidRequestError: The algorithm has no such kind.
    """
    if kind not in ("", "FULL_OBJECT", "COMPOSITE"):
        raise InvalidRequestError(f"Checksum type {kind!r} is not supported.")
    full = kind == "FULL_OBJECT" or (not kind and name == "crc64nvme")
    if full != (name == "crc64nvme") and not (full and name in _CRCS):
        raise InvalidRequestError(f"The {kind} checksum type is not supported with {name}.")
    return full


def of_parts(name: str, values: Sequence[str], sizes: Sequence[int], *, full: bool) -> str:
    """Give the checksum of an object from those of its parts, in order."""
    digests = [base64.b64decode(value) for value in values]
    if not full:
        whole = checksum(name)
        whole.update(b"".join(digests))
        return f"{whole.base64()}-{len(digests)}"
    value = 0
    for digest, size in zip(digests, sizes, strict=True):
        value = _crc.joined(name, value, int.from_bytes(digest), size)
    return base64.b64encode(value.to_bytes(_SIZES[name])).decode()
