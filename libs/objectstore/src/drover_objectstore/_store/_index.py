"""The index: one SQLite file that says which objects there are. What it does not name is not there.

Who writes while another does is taken along by that one: many small writes share one commit, and
so one wait for the disk.
"""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from drover_objectstore.errors import StorageFullError, StoreVersionError

T = TypeVar("T")

FORMAT: Final = 1
# Keys are BLOBs: they sort by their bytes, which is S3's order. `content` is shared by copies.
SCHEMA: Final = """
CREATE TABLE bucket (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, created REAL NOT NULL,
  objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX bucket_owner ON bucket (owner, name);
CREATE TABLE content (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL DEFAULT 1, body BLOB) STRICT;
CREATE TABLE piece (
  content INTEGER NOT NULL, seq INTEGER NOT NULL, blob TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
  PRIMARY KEY (content, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE object (
  bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  modified REAL NOT NULL, content INTEGER NOT NULL, facts TEXT NOT NULL,
  PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID;
CREATE TABLE upload (
  id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, created REAL NOT NULL,
  algorithm TEXT NOT NULL, full_object INTEGER NOT NULL, facts TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX upload_key ON upload (bucket, key, id);
CREATE TABLE part (
  upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  modified REAL NOT NULL, content INTEGER NOT NULL, facts TEXT NOT NULL,
  PRIMARY KEY (upload, number)) STRICT, WITHOUT ROWID;
CREATE TRIGGER object_came AFTER INSERT ON object BEGIN
  UPDATE bucket SET objects = objects + 1, bytes = bytes + NEW.size WHERE id = NEW.bucket; END;
CREATE TRIGGER object_changed AFTER UPDATE OF size ON object BEGIN
  UPDATE bucket SET bytes = bytes + NEW.size - OLD.size WHERE id = NEW.bucket; END;
CREATE TRIGGER object_went AFTER DELETE ON object BEGIN
  UPDATE bucket SET objects = objects - 1, bytes = bytes - OLD.size WHERE id = OLD.bucket; END;
"""
# Only our own threads wait for each other: nobody else has the folder.
_BUSY_S: Final = 30.0


class _Job(Generic[T]):
    """One write: what is to be done, and what came of it."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.work = work
        self.done = False
        self.value: T | None = None
        self.error: Exception | None = None


class Index:
    """The SQLite file of one store, read and written by many threads of one process."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._queue: deque[_Job[object]] = deque()
        self._writing = threading.Lock()
        self._writer = self._connect()
        self._prepare()

    def _connect(self) -> sqlite3.Connection:
        # Each is used by one thread at a time; closing them all is another's task.
        made = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._opened.append(made)
        made.execute("PRAGMA journal_mode = WAL")
        # What was answered with 200 is there after a power cut, too.
        made.execute("PRAGMA synchronous = FULL")
        return made

    def _prepare(self) -> None:
        (found,) = self._writer.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._writer.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        elif found != FORMAT:
            self.close()
            raise StoreVersionError(str(self._path.parent), found)

    def close(self) -> None:
        """Close all connections; no thread may be in here."""
        for connection in self._opened:
            connection.close()

    @property
    def reader(self) -> sqlite3.Connection:
        """Give this thread's connection for reading."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return cast("sqlite3.Connection", connection)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work* in a transaction, and return when it is on disk.

        It may share the transaction with others' work; what it raises undoes its own alone.

        Raises:
            StorageFullError: The disk is full; nothing was changed.
        """
        job = _Job(work)
        self._queue.append(cast("_Job[object]", job))
        with self._writing:
            # Whoever held the lock may have done it along with its own.
            if not job.done:
                self._drain()
        if job.error is not None:
            raise job.error
        return cast("T", job.value)

    def _drain(self) -> None:
        jobs: list[_Job[object]] = []
        while self._queue:
            jobs.append(self._queue.popleft())
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._do(job, alone=len(jobs) == 1)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for job in jobs:
                job.error = _fault(error)
        finally:
            for job in jobs:
                job.done = True

    def _do(self, job: _Job[object], *, alone: bool) -> None:
        if not alone:
            self._writer.execute("SAVEPOINT job")
        try:
            job.value = job.work(self._writer)
        except sqlite3.Error:
            raise  # the transaction may be gone as a whole
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            job.error = error
            self._writer.execute("ROLLBACK" if alone else "ROLLBACK TO job")
            if alone:
                self._writer.execute("BEGIN")
        if not alone:
            self._writer.execute("RELEASE job")


def _fault(error: sqlite3.Error) -> Exception:
    """Make one error per waiting thread of one that concerns all."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return StorageFullError()
    return type(error)(*error.args)
