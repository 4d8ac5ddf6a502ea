"""Facts, records and specifications as JSON text, and back.

What equals its default is left out. `FORMAT` counts versions: a change that an older drover would
misread raises it together with the store's schema.
"""

from typing import Final

from cattrs.errors import ForbiddenExtraKeysError

from drover._wire._reading import decode_event, decode_record, decode_spec, decode_submitted
from drover._wire._writing import SubmittedEncoder, encode_event, encode_record, encode_spec
from drover.errors import InvalidSpecError

FORMAT: Final = 5
UNREADABLE: Final = (
    ValueError, LookupError, TypeError, AttributeError, InvalidSpecError, ForbiddenExtraKeysError,
)  # fmt: skip
"""What is raised where a text is read whose bytes were changed: SQLite has no checksums."""

__all__ = [
    "FORMAT",
    "UNREADABLE",
    "SubmittedEncoder",
    "decode_event",
    "decode_record",
    "decode_spec",
    "decode_submitted",
    "encode_event",
    "encode_record",
    "encode_spec",
]
