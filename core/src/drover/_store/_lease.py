"""One engine per store: the lease, its epoch, and the right to start an engine."""

import json
import os
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from drover._store._host import boot_id, process_started
from drover.errors import StaleEpochError
from drover.hookspecs import Clock

TTL_S: Final = 10.0
"""A lease that was not renewed for so long may be taken over. A paused engine that wakes
later finds its epoch gone and can write nothing."""
RENEW_S: Final = 3.0
STARTING_S: Final = 15.0
"""How long one client that starts an engine keeps the others from starting more."""


@frozen(kw_only=True)
class LeaseHolder:
    """The engine that works on the store, as of now."""

    epoch: int
    pid: int
    live: bool
    """Whether its process is there and its lease has not run out."""
    released: bool
    info: Mapping[str, Any]


def read(connection: sqlite3.Connection, clock: Clock) -> LeaseHolder:
    """Read who holds the lease."""
    epoch, boot, pid, process, expires, info = connection.execute(
        "SELECT epoch, boot, pid, process, expires, info FROM lease"
    ).fetchone()
    live = (
        pid != 0
        and boot == boot_id()
        and clock.monotonic() < expires
        and process_started(pid) == process
    )
    return LeaseHolder(epoch=epoch, pid=pid, live=live, released=pid == 0, info=json.loads(info))


def acquire(connection: sqlite3.Connection, clock: Clock, info: Mapping[str, Any]) -> int | None:
    """Take the lease, inside the caller's transaction.

    Returns:
        The new epoch, or `None` if a living engine holds it.
    """
    holder = read(connection, clock)
    if holder.live:
        return None
    epoch = holder.epoch + 1
    connection.execute(
        "UPDATE lease SET epoch = ?, boot = ?, pid = ?, process = ?, expires = ?, starting = 0, "
        "info = ?",
        (
            epoch,
            boot_id(),
            os.getpid(),
            process_started(os.getpid()),
            clock.monotonic() + TTL_S,
            json.dumps(info),
        ),
    )
    return epoch


def check(connection: sqlite3.Connection, epoch: int) -> None:
    """Refuse a transaction of an engine that is not the present one.

    Raises:
        StaleEpochError: Another engine has taken over, or this one has released.
    """
    current, pid = connection.execute("SELECT epoch, pid FROM lease").fetchone()
    if current != epoch or pid == 0:
        raise StaleEpochError(epoch, current)


def renew(connection: sqlite3.Connection, clock: Clock, info: Mapping[str, Any] | None) -> None:
    """Extend the lease, inside the holder's transaction; *info* replaces what it tells."""
    expires = clock.monotonic() + TTL_S
    if info is None:
        connection.execute("UPDATE lease SET expires = ?", (expires,))
    else:
        connection.execute("UPDATE lease SET expires = ?, info = ?", (expires, json.dumps(info)))


def release(connection: sqlite3.Connection) -> None:
    """Give the lease back, inside the holder's transaction."""
    connection.execute("UPDATE lease SET pid = 0, expires = 0, starting = 0")


def may_start(connection: sqlite3.Connection, clock: Clock) -> bool:
    """Decide, inside the caller's transaction, whether the caller is to start an engine now."""
    if read(connection, clock).live:
        return False
    boot, starting = connection.execute("SELECT boot, starting FROM lease").fetchone()
    now = clock.monotonic()
    if boot == boot_id() and now < starting <= now + STARTING_S:
        return False
    connection.execute(
        "UPDATE lease SET boot = ?, pid = 0, starting = ?", (boot_id(), now + STARTING_S)
    )
    return True


def starting_failed(connection: sqlite3.Connection) -> None:
    """Let others try, inside the caller's transaction."""
    connection.execute("UPDATE lease SET starting = 0")
