"""Checksums, held to the values of the catalogue and to each other."""

import base64
import os

import pytest

from drover_objectstore import _crc, checksums
from drover_objectstore.errors import InvalidRequestError

# Of "123456789", from the catalogue of parametrised CRC algorithms.
CHECKS = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("way", [_crc.function, _crc.in_python])
def test_a_crc_is_the_catalogues(name: str, way: object) -> None:
    """A client that checks would throw away good bytes."""
    crc = way(name)  # type: ignore[operator]

    assert CHECKS[name] == crc(b"123456789", 0)
    assert CHECKS[name] == crc(b"6789", crc(memoryview(b"12345"), 0))


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("cut", [0, 1, 1000, 4095, 4096])
def test_two_halves_join(name: str, cut: int) -> None:
    """The checksum of a multipart object is not computed from its bytes again."""
    data, crc = os.urandom(4096), _crc.function(name)

    assert crc(data, 0) == _crc.joined(name, crc(data[:cut], 0), crc(data[cut:], 0), 4096 - cut)


def test_the_kinds_that_s3_has() -> None:
    """Source: Amazon S3 user guide, the table of algorithms and types for multipart uploads."""
    table = {
        (name, kind): checksums.is_full_object(name, kind)
        for name in checksums.ALGORITHMS
        for kind in ("", "FULL_OBJECT", "COMPOSITE")
        if allowed(name, kind)
    }

    assert {
        ("crc32", ""): False,
        ("crc32", "FULL_OBJECT"): True,
        ("crc32", "COMPOSITE"): False,
        ("crc32c", ""): False,
        ("crc32c", "FULL_OBJECT"): True,
        ("crc32c", "COMPOSITE"): False,
        ("crc64nvme", ""): True,
        ("crc64nvme", "FULL_OBJECT"): True,
        ("sha1", ""): False,
        ("sha1", "COMPOSITE"): False,
        ("sha256", ""): False,
        ("sha256", "COMPOSITE"): False,
    } == table


def allowed(name: str, kind: str) -> bool:
    try:
        checksums.is_full_object(name, kind)
    except InvalidRequestError:
        return False
    return True


@pytest.mark.parametrize("value", ["", "AAAA", "####", base64.b64encode(b"12345").decode(), "ä"])
def test_what_is_no_checksum_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequestError):
        checksums.checked("crc32", value)
