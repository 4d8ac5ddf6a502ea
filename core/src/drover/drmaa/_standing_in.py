"""Be `drmaa` for programs that import that name."""

import sys
from importlib import import_module
from typing import Final

PARTS: Final = ("const", "errors", "session", "version")


def stand_in() -> None:
    """Let `import drmaa` give the face, in this process from now on.

    Its modules too: the import system would load a second copy of each under the other name, with
    other classes in it.
    """
    face = import_module("drover.drmaa")
    sys.modules["drmaa"] = face
    for part in PARTS:
        sys.modules[f"drmaa.{part}"] = import_module(f"drover.drmaa.{part}")
