"""Small JSON files that are whole or absent, private to the user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drover.commandline import wrapper


def write_json(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Put a file in place in one step, on the disk, mode 0600; replaces one of the same name.

    Raises:
        OSError: It could not be written; nothing was changed.
    """
    wrapper.write_whole(str(folder), name, content)


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty if there is no file, or it holds something else."""
    try:
        return wrapper.read_json(str(path)) or {}
    except OSError:
        return {}
