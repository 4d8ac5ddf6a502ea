"""Frames between engine and agent: four bytes of length, then JSON.

orjson writes it, and the standard library what that cannot carry: lone surrogates, which stand for
bytes that are not UTF-8, so that any path and any argument gets through unchanged.
"""

import json
import struct
from typing import Any, Final, cast

import orjson

Frame = dict[str, Any]

_HEAD: Final = struct.Struct(">I")
# A batch of 1,000 attempts with large environments is below 40 MiB; more is not a frame.
MAX_FRAME: Final = 256 * 2**20


def encode(message: Frame) -> bytes:
    """Write a message as JSON."""
    try:
        return orjson.dumps(message)
    except TypeError:
        return json.dumps(message, separators=(",", ":")).encode("ascii")


def _decode(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def pack(message: Frame) -> bytes:
    """Make the bytes of one frame."""
    body = encode(message)
    return _HEAD.pack(len(body)) + body


class FrameReader:
    """Cut a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they come, give the frames that are complete.

        Raises:
            ValueError: It is not a stream of frames; the connection is of no use any more.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        begin = 0
        while len(buffer) - begin >= _HEAD.size:
            (size,) = _HEAD.unpack_from(buffer, begin)
            if size > MAX_FRAME:
                raise ValueError(f"a frame of {size} bytes")
            end = begin + _HEAD.size + size
            if len(buffer) < end:
                break
            frame: Any = _decode(bytes(buffer[begin + _HEAD.size : end]))
            if not isinstance(frame, dict):
                raise ValueError("a frame that is not an object")  # noqa: TRY004 - a bad stream
            frames.append(cast("Frame", frame))
            begin = end
        del buffer[:begin]
        return frames
