"""Keep hostile text from driving the terminal: show control characters, never send them."""

import codecs
import re
import sys
from typing import Final, TextIO

# C0 and C1 controls and DEL drive a terminal; bidirectional overrides and isolates reorder
# what is read; line and paragraph separators break a row; lone surrogates are bytes that
# were no UTF-8 and cannot be written.
_LINE_CONTROLS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# Output keeps its lines and tabs.
_OUTPUT_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Bytes that are no UTF-8 are decoded to U+DC80..U+DCFF.
_SURROGATE_BYTES: Final = range(0xDC80, 0xDD00)
_ONE_BYTE: Final = 0x100


def shown(text: str) -> str:
    r"""Make *text* safe for one line or one cell: ESC becomes the four characters `\x1b`."""
    return _LINE_CONTROLS.sub(_escape, text)


def shortened(text: str, width: int) -> str:
    """Make *text* safe and at most *width* characters long, with an ellipsis."""
    safe = shown(text[: width + 1])
    return safe if len(safe) <= width else safe[: width - 1] + "\u2026"


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code in _SURROGATE_BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < _ONE_BYTE else f"\\u{code:04x}"


class OutputFilter:
    """Turn a job's output, piece by piece, into text that a terminal can be shown.

    Lines and tabs stay. A lone carriage return, which would let output overwrite what stands
    there, becomes a line end. Everything else that controls is shown as an escape.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._after_return = False

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Take the next piece and give what can be shown of it by now."""
        text = self._decoder.decode(data, final)
        if self._after_return:
            text = "\r" + text
        self._after_return = text.endswith("\r") and not final
        if self._after_return:
            text = text[:-1]
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return _OUTPUT_CONTROLS.sub(_escape, text)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Tell whether *stream* (stdout if `None`) is a terminal that can be drawn on."""
    return (stream or sys.stdout).isatty()


def can_ask() -> bool:
    """Tell whether a person is there to answer a question on stderr."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def complain(message: str) -> None:
    """Write one line about trouble to stderr, in the form `drover: ...`."""
    sys.stderr.write(f"drover: {shown(message)}\n")
    sys.stderr.flush()
