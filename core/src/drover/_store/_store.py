"""Open a store and hold its connection."""

import sqlite3
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from attrs import evolve

from drover._store import _forking, _lease, _schema
from drover._store._cures import BUSY_S, cure_of
from drover._store._drafts import Batch, Draft
from drover._store._host import SystemClock
from drover._store._ids import new_store_id
from drover._store._place import (
    DATABASE,
    identity_of,
    is_frozen,
    make_private,
    make_private_file,
    refuse_what_is_no_file,
    warn_if_shared,
    why_read_only,
)
from drover._store._reader import Reader
from drover._store._sealing import Sealer, load_key
from drover._store._writer import Writer
from drover.errors import StoreReadOnlyError, StoreUnusableError, StoreVersionError
from drover.hookspecs import Clock

BUSY_LOOK_S: Final = 0.01
CACHE_KIB: Final = 16384
"""Of pages that a process keeps: work is where the store grows, and more of them gain nothing."""


class Store:
    """A store that is open. One object may be used from several threads."""

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        key: bytes | None,
        clock: Clock,
        read_only: str,
    ) -> None:
        self.home: Final = home
        self.clock: Final = clock
        self.why_read_only: Final = read_only
        self._sql = connection
        self._inode = (home / DATABASE).stat().st_ino
        self._lock = threading.RLock()
        self._is_closed = False
        self._is_apart = False
        """Whether the connection was closed for a fork."""
        self._sealer = Sealer(key)
        self._reader = Reader(connection, self._sealer)
        self.store_id: Final = str(
            connection.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0]
        )
        _forking.register(self)

    @classmethod
    def open(cls, home: Path, *, clock: Clock | None = None) -> Self:
        """Open the store in a folder; make both if they are not there.

        Raises:
            StoreUnusableError: It cannot be opened.
            StoreVersionError: It was made by a newer drover.
            StoreElsewhereError: It belongs to another machine.
        """
        home = Path(home).expanduser().absolute()
        clock = clock or SystemClock()
        database = home / DATABASE
        try:
            made = not database.exists()
            if made:
                make_private(home)
                make_private_file(database)
                warn_if_shared(database)
            else:
                refuse_what_is_no_file(database)
            connection = _connect(database)
        except (sqlite3.DatabaseError, OSError) as exc:
            raise StoreUnusableError(str(home), cure_of(exc)) from exc
        try:
            _prepare(connection, database, clock)
            why = why_read_only(connection, database)
            key = load_key(home, create=not why)
            if why:
                connection.execute("PRAGMA query_only = ON")
            return cls(home, connection, key, clock, why)
        except (sqlite3.DatabaseError, OSError) as exc:
            connection.close()
            raise StoreUnusableError(str(home), cure_of(exc)) from exc
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._is_closed = True
            self._sql.close()

    @contextmanager
    def _connected(self) -> Generator[None]:
        """Hold the connection for one thread; open it anew after a fork."""
        with self._lock:
            if self._is_apart and not self._is_closed:
                try:
                    self._sql = _connect(self.home / DATABASE)
                    self._sql.execute(f"PRAGMA query_only = {int(self.read_only)}")
                except (sqlite3.DatabaseError, OSError) as exc:
                    raise StoreUnusableError(str(self.home), cure_of(exc)) from exc
                self._reader = Reader(self._sql, self._sealer)
                self._is_apart = False
            yield

    def before_fork(self) -> None:
        """Close the connection, unless this very thread is in a transaction."""
        self._lock.acquire()
        if self._is_closed or self._is_apart or self._sql.in_transaction:
            return
        self._sql.close()
        self._is_apart = True

    def after_fork(self, *, is_child: bool) -> None:
        """Let it be opened again."""
        if is_child:
            # In the other process it may be another thread that waits for it.
            self._lock = threading.RLock()
        else:
            self._lock.release()

    @property
    def read_only(self) -> bool:
        """Tell whether nothing can be written."""
        return bool(self.why_read_only)

    @contextmanager
    def read(self) -> Generator[Reader]:
        """Give a reader that sees one state of the store."""
        with self._connected():
            if self._sql.in_transaction:
                yield self._reader
                return
            try:
                self._sql.execute("BEGIN")
                yield self._reader
                self._sql.execute("COMMIT")
            except BaseException as exc:
                self._undo()
                self._refuse(exc)
                raise

    @contextmanager
    def write(self, epoch: int = 0) -> Generator[tuple[Writer, Reader]]:
        """Give a writer and a reader for one transaction, which an exception undoes.

        Args:
            epoch: The engine's epoch; 0 for a client.

        Raises:
            StaleEpochError: Another engine has taken over.
            StoreReadOnlyError: The store cannot be changed.
        """
        self.refuse_if_read_only()
        with self._connected():
            self._begin()
            try:
                if epoch:
                    _lease.check(self._sql, epoch)
                yield Writer(self._sql, self._reader, self._sealer, epoch), self._reader
            except BaseException as exc:
                self._undo()
                self._refuse(exc)
                raise
            self._commit()

    def _undo(self) -> None:
        # A damaged file cannot do even this; on a full disk SQLite has done it already.
        with suppress(sqlite3.DatabaseError):
            self._sql.execute("ROLLBACK")

    def _refuse(self, exc: BaseException) -> None:
        """Tell a fault of the file or the disk as such; others are raised as they are."""
        if type(exc) in {sqlite3.DatabaseError, sqlite3.OperationalError}:
            raise StoreUnusableError(str(self.home), cure_of(exc)) from exc

    def _begin(self) -> None:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            raise StoreUnusableError(str(self.home), cure_of(exc)) from exc

    def _commit(self) -> None:
        try:
            self._sql.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise StoreUnusableError(str(self.home), cure_of(exc)) from exc

    def prepare(self, drafts: Iterable[Draft], now: float) -> Batch:
        """Make the rows of jobs that are about to be inserted, while others may write."""
        return Batch(drafts, now, self._sealer.digest)

    def digest(self, variables: dict[str, str]) -> str:
        """Name variables without telling them."""
        return self._sealer.digest(variables)

    def is_there(self) -> bool:
        """Tell whether the database still lies where it was opened: nobody has deleted it."""
        try:
            return (self.home / DATABASE).stat().st_ino == self._inode
        except OSError:
            return False

    def data_version(self) -> int:
        """Give a number that changes when another connection has committed."""
        with self._connected():
            return int(self._sql.execute("PRAGMA data_version").fetchone()[0])

    def check_integrity(self) -> list[str]:
        """Ask SQLite whether the file is whole.

        Returns:
            Its findings, empty if there are none.
        """
        with self._connected():
            try:
                rows = self._sql.execute("PRAGMA quick_check").fetchall()
            except sqlite3.DatabaseError as exc:
                return [str(exc)]
        return [row[0] for row in rows if row[0] != "ok"]

    # The lease

    def lease(self) -> _lease.LeaseHolder:
        """Read who holds the lease. The engine that a copy names works on another file."""
        with self._connected():
            holder = _lease.read(self._sql, self.clock)
        return evolve(holder, live=holder.live and not self.read_only)

    def refuse_if_read_only(self) -> None:
        """Say that nothing can be changed.

        Raises:
            StoreReadOnlyError: So it is.
        """
        if self.why_read_only:
            raise StoreReadOnlyError(str(self.home), self.why_read_only)

    def acquire_lease(self, info: dict[str, object]) -> int | None:
        """Take the lease; `None` if a living engine holds it."""
        with self.write():
            return _lease.acquire(self._sql, self.clock, info)

    def renew_lease(self, epoch: int, info: dict[str, object] | None = None) -> None:
        """Extend the lease.

        Raises:
            StaleEpochError: It is not ours any more.
        """
        with self.write(epoch):
            _lease.renew(self._sql, self.clock, info)

    def release_lease(self, epoch: int, *, if_idle: bool = False) -> bool:
        """Give the lease back.

        Args:
            epoch: Ours.
            if_idle: Only if no job is unfinished, decided in the same transaction.

        Returns:
            Whether it was given back.
        """
        with self.write(epoch) as (_, reader):
            if if_idle and reader.has_unfinished():
                return False
            _lease.release(self._sql)
            return True

    def may_start_engine(self) -> bool:
        """Decide whether the caller is to start an engine now."""
        with self.write():
            return _lease.may_start(self._sql, self.clock)

    def engine_start_failed(self) -> None:
        """Let others try to start an engine."""
        with self.write():
            _lease.starting_failed(self._sql)


def _connect(database: Path) -> sqlite3.Connection:
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            # FULL: an intent must outlive a power cut, or its job could run twice.
            return _connected(database, "rw", "journal_mode = WAL", "synchronous = FULL")
        except sqlite3.OperationalError as exc:
            # Of two that make a store at once, SQLite tells one without waiting that it is locked.
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                break
            time.sleep(BUSY_LOOK_S)
    try:
        # What is read makes it open the file.
        return _connected(database, "ro", "schema_version")
    except sqlite3.OperationalError:
        if not is_frozen(database):
            raise
        # SQLite needs a file for its locks, which cannot be made there and protects nothing.
        return _connected(database, "ro&immutable=1")


def _connected(database: Path, mode: str, *pragmas: str) -> sqlite3.Connection:
    # Opened by URI so that a file that vanished is not made again with wrong permissions.
    connection = sqlite3.connect(
        f"{database.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in (*pragmas, f"cache_size = -{CACHE_KIB}", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, database: Path, clock: Clock) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == _schema.SUPPORTED:
        return
    if version > _schema.SUPPORTED:
        raise StoreVersionError(str(database.parent), version, _schema.SUPPORTED)
    if version < 0:
        raise StoreUnusableError(str(database.parent), f"no drover has made schema {version}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _make(connection, database, clock)
        elif version < _schema.SUPPORTED:
            _schema.migrate(connection, version)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    # Out of the log and into the file: a copy of that alone has to know whose copy it is.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _make(connection: sqlite3.Connection, database: Path, clock: Clock) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreUnusableError(str(database.parent), "the file is a database of another program")
    _schema.create(connection)
    here = identity_of(database)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        {
            "store_id": new_store_id(),
            "machine": here.machine,
            "host": here.host,
            "inode": here.device_inode,
            "home": str(database.parent).encode("utf-8", "backslashreplace").decode(),
            "created_at": str(clock.time()),
        }.items(),
    )


__all__ = ["Store"]
