"""The official package, imported when it is first needed: it takes half a second, with boto3.

It has no types, so that what comes of it is `Any`.
"""

import importlib
from typing import Any


def official(name: str = "") -> Any:
    """Give a module of the package, `qarnot` itself or one in it."""
    return importlib.import_module(f"qarnot.{name}" if name else "qarnot")


def outside(name: str) -> Any:
    """Give a module of the packages that it brings with it."""
    return importlib.import_module(name)
