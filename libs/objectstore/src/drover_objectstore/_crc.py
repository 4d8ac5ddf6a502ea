"""Cyclic redundancy checks that the standard library lacks, and how to join those of two halves.

All three of S3's are reflected, begin with all bits set and end inverted (CRC-32/ISO-HDLC,
CRC-32/ISCSI, CRC-64/NVME in the catalogue of parametrised CRC algorithms).
"""

import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final

Crc = Callable[[bytes | bytearray | memoryview, int], int]

# Bits reversed, as the algorithms use them.
POLYNOMIALS: Final = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78, "crc64nvme": 0x9A6C9329AC4BC9B5}
WIDTHS: Final = {"crc32": 32, "crc32c": 32, "crc64nvme": 64}


@cache
def function(name: str) -> Crc:
    """Give the fastest way here to go on with a check: `(data, so_far) -> value`, 0 to begin."""
    if name == "crc32":
        return zlib.crc32
    if find_spec("awscrt") is not None:
        # It takes bytes alone: a view of a buffer has to be copied.
        native: Callable[[bytes, int], int] = getattr(import_module("awscrt.checksums"), name)
        return lambda data, so_far: native(bytes(data), so_far)
    return in_python(name)


def in_python(name: str) -> Crc:
    """Give the way that needs nothing: one byte at a time."""
    table, ones = _table(name), (1 << WIDTHS[name]) - 1

    def go_on(data: bytes | bytearray | memoryview, so_far: int) -> int:
        value = so_far ^ ones
        for byte in bytes(data):
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        return value ^ ones

    return go_on


@cache
def _table(name: str) -> list[int]:
    polynomial, table = POLYNOMIALS[name], list[int]()
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


def joined(name: str, first: int, second: int, second_size: int) -> int:
    """Give the check of two halves, one after the other, from theirs and the second's size.

    Source: zlib's crc32_combine: the first is multiplied by x to the power of the bits behind it.
    """
    return _times(name, _x_to_the(name, 8 * second_size), first) ^ second


def _times(name: str, left: int, right: int) -> int:
    """Multiply two polynomials modulo ours; the highest bit is x to the power of nothing."""
    polynomial, mask, product = POLYNOMIALS[name], 1 << (WIDTHS[name] - 1), 0
    while left:
        if left & mask:
            product ^= right
            left ^= mask
        mask >>= 1
        right = (right >> 1) ^ (polynomial if right & 1 else 0)
    return product


def _x_to_the(name: str, power: int) -> int:
    result, square = 1 << (WIDTHS[name] - 1), 1 << (WIDTHS[name] - 2)
    while power:
        if power & 1:
            result = _times(name, result, square)
        square = _times(name, square, square)
        power >>= 1
    return result
