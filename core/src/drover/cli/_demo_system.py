"""A system of its own for the demo, where a backend's distribution can start one."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

DEMOS: Final = "drover.demos"
"""Entry points named like backends. Each is a context manager that is given a folder, runs what
the demo needs, and gives the table `[backends.NAME]` for it."""


@contextmanager
def own_system(backend: str | None, folder: Path) -> Generator[None]:
    """Start what the backend's distribution offers for demos; nothing if it offers nothing.

    Its settings stand in variables meanwhile, which the engine of the demo inherits.
    """
    entries = {entry.name: entry for entry in entry_points(group=DEMOS)}
    entry = entries.get(backend or "")
    if entry is None or backend is None:
        yield
        return
    begin = entry.load()
    with begin(folder) as table:
        heads = {
            f"DROVER_BACKENDS__{backend.upper()}__{key.upper()}": value
            for key, value in table.items()
        }
        before = {name: os.environ.get(name) for name in heads}
        for name, value in heads.items():
            os.environ[name] = value if isinstance(value, str) else json.dumps(value)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
