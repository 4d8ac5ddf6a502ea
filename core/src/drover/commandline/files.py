"""Small JSON files that are whole or absent, private to the user."""

import os
from collections.abc import Mapping
from contextlib import suppress
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


def see_afresh(folder: Path) -> None:
    """Have a folder of an attempt seen as it is now, and not as it was a minute ago.

    A client of NFS remembers for so long that a name is not there. Who opens a folder makes it
    ask when that was changed last, and then for the names. The folders above count as well: the
    node makes those of an array's elements.

    Source: nfs(5), "lookupcache" and "acdirmax"; nfs_lookup_verify_inode in fs/nfs/dir.c.
    """
    for each in (folder.parent.parent, folder.parent, folder):
        with suppress(OSError):
            os.close(os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty if there is no file, or it holds something else."""
    try:
        return wrapper.read_json(str(path)) or {}
    except OSError:
        return {}
