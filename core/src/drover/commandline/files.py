"""Small JSON files that are whole or absent, private to the user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drover.commandline import wrapper


def write_json(
    folder: Path, name: str, content: Mapping[str, Any], *, durable: bool = True
) -> None:
    """Put a file in place in one step, mode 0600; replaces one of the same name.

    Args:
        folder: Where.
        name: Of the file.
        content: An object.
        durable: Whether it must outlive a power cut.

    Raises:
        OSError: It could not be written; nothing was changed.
    """
    wrapper.write_whole(str(folder), name, content, durable)


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty if there is no file, or it holds something else."""
    try:
        return wrapper.read_json(str(path)) or {}
    except OSError:
        return {}
