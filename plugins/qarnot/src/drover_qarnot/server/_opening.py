"""Open the home of a server: for its owner alone, by one server at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._database import Database
from drover_qarnot.server._sealing import Sealer


class HomeInUseError(Exception):
    """Another server works on the home.

    Attributes:
        home: Its folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(f"another server works on {str(home)!r}")


def open_database(home: Path) -> tuple[Database, Accounts, Sealer]:
    """Open the users of a home; make what is not there."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("tasks", "pools"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    sealer = Sealer(home)
    database = Database(home / "qarnot.db")
    return database, Accounts(database, sealer), sealer


def take(home: Path) -> IO[bytes]:
    """Take a home for this process. It is given back when the file is closed, or by the end.

    Raises:
        HomeInUseError: Another has it.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.fdopen(os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        handle.close()
        raise HomeInUseError(home) from exc
    return handle
