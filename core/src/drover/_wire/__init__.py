"""Facts, records and specifications as JSON text, and back.

What equals its default is left out. `FORMAT` counts versions: a change that an older drover would
misread raises it together with the store's schema.
"""

from typing import Final

from drover._wire._reading import decode_event, decode_record, decode_spec, decode_submitted
from drover._wire._writing import SubmittedEncoder, encode_event, encode_record, encode_spec

FORMAT: Final = 2

__all__ = [
    "FORMAT",
    "SubmittedEncoder",
    "decode_event",
    "decode_record",
    "decode_spec",
    "decode_submitted",
    "encode_event",
    "encode_record",
    "encode_spec",
]
