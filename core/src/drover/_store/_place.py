"""Where a store lies, whose it is, and whether it may be written."""

import errno
import os
import sqlite3
import warnings
from pathlib import Path
from typing import Final

import platformdirs
from attrs import frozen

from drover._store._host import file_system, host_name, is_network, machine_id
from drover.errors import StoreElsewhereError, StoreUnusableError

DATABASE: Final = "store.db"


# The log beside it as well: SQLite would put what it holds into the new one.
RESTORE: Final = (
    "Restore store.db from a backup, or move the files store.db* away to begin a new store"
)


class NetworkFileSystemWarning(UserWarning):
    """Say that a store lies where file locks cannot be trusted."""


def default_home() -> Path:
    """Give the store's folder that is used where nobody names one: `DROVER_HOME`, or the
    user's data folder.
    """
    named = os.environ.get("DROVER_HOME")
    return Path(named) if named else Path(platformdirs.user_data_dir("drover", appauthor=False))


def make_private(folder: Path) -> None:
    """Make a folder with mode 0700, whatever the umask; parents too.

    Raises:
        StoreUnusableError: It cannot be made, or belongs to somebody else.
    """
    try:
        missing = [part for part in (folder, *folder.parents) if not part.exists()]
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise StoreUnusableError(str(folder), "it belongs to another user")
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as exc:
        why = exc.strerror or str(exc)
        if isinstance(exc, PermissionError) or exc.errno == errno.EROFS:
            why += ". Choose another folder with --home or DROVER_HOME"
        raise StoreUnusableError(str(folder), why) from exc


def make_private_file(path: Path) -> None:
    """Make an empty file with mode 0600 if there is none."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def refuse_what_is_no_file(database: Path) -> None:
    """Refuse a folder in the database's place, and a database that has lost its content.

    SQLite takes an empty file for a new database, and all jobs would be gone without a word. The
    key is made after the tables: beside it the database was not empty once.

    Raises:
        StoreUnusableError: It says what to do.
    """
    folder = str(database.parent)
    if not database.is_file():
        raise StoreUnusableError(folder, f"{DATABASE} is no file. {RESTORE}")
    if database.stat().st_size == 0 and (database.parent / "key").exists():
        raise StoreUnusableError(folder, f"{DATABASE} has lost its content. {RESTORE}")


@frozen(kw_only=True)
class Identity:
    """Which file on which machine a store is."""

    machine: str
    host: str
    device_inode: str


def identity_of(database: Path) -> Identity:
    """Read the identity that a store at this place would have."""
    status = database.stat()
    # Device numbers change from boot to boot; an inode and the machine do not.
    return Identity(machine=machine_id(), host=host_name(), device_inode=str(status.st_ino))


def why_read_only(connection: sqlite3.Connection, database: Path) -> str:
    """Say why a store may not be written, or nothing.

    Raises:
        StoreElsewhereError: It lies on a shared file system and belongs to another machine.
    """
    rows = dict(connection.execute("SELECT key, value FROM meta"))
    here = identity_of(database)
    if rows["machine"] != here.machine and is_network(file_system(database)):
        raise StoreElsewhereError(str(database.parent), rows["host"], here.host)
    if rows["machine"] != here.machine:
        return f"it is a copy: the store belongs to host {rows['host']!r}"
    if rows["inode"] != here.device_inode:
        return f"it is a copy of the store at {rows['home']!r}"
    if _lies_read_only(database):
        return "it lies on a file system that is mounted read-only"
    if not os.access(database, os.W_OK) or not os.access(database.parent, os.W_OK):
        return "no permission to write"
    return ""


def is_frozen(database: Path) -> bool:
    """Tell whether nobody can change a database, and its log holds nothing that it has not."""
    log = database.with_name(f"{DATABASE}-wal")
    return _lies_read_only(database) and not (log.exists() and log.stat().st_size)


def _lies_read_only(database: Path) -> bool:
    return bool(os.statvfs(database).f_flag & os.ST_RDONLY)


def warn_if_shared(database: Path) -> None:
    """Warn of a store on a network file system: SQLite's locks are unsafe there."""
    kind = file_system(database.parent)
    if is_network(kind):
        warnings.warn(
            f"the store {str(database.parent)!r} lies on {kind}, and is as safe as the locks of "
            "that file server; use it from this machine alone, and where no nodes have to see "
            "it choose a folder on a local disk with --home or DROVER_HOME",
            NetworkFileSystemWarning,
            stacklevel=4,
        )
