"""The version of drmaa-python whose API this is, for programs that look."""

from typing import Final

__version__: Final = "0.7.9"
VERSION: Final = (0, 7, 9)
