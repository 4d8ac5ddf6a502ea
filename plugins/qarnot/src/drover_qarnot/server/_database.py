"""The server's own facts in one SQLite file: users, tasks, pools, jobs, secrets, snapshots."""

import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

VERSION: Final = 1
ADDED: Final = """
CREATE TABLE IF NOT EXISTS spent(owner TEXT PRIMARY KEY, core_s REAL NOT NULL) WITHOUT ROWID
"""
"""What an older server does without, and leaves alone."""
SCHEMA: Final = """
CREATE TABLE users(owner TEXT PRIMARY KEY, created_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens(
  digest TEXT PRIMARY KEY, owner TEXT NOT NULL, sealed BLOB NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_of ON tokens(owner);
CREATE TABLE tasks(
  n INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
  shortname TEXT NOT NULL, name TEXT NOT NULL, profile TEXT NOT NULL, pool TEXT, job TEXT,
  size INTEGER NOT NULL, state TEXT NOT NULL, previous_state TEXT, state_at REAL NOT NULL,
  previous_state_at REAL, created_at REAL NOT NULL, modified_at REAL NOT NULL, started_at REAL,
  ended_at REAL, phase TEXT NOT NULL, wanted TEXT NOT NULL DEFAULT '', array_id TEXT,
  cap INTEGER, due_at REAL, snapshot_at REAL,
  answered INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL,
  sealed BLOB, asked TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE UNIQUE INDEX tasks_named ON tasks(owner, shortname);
CREATE INDEX tasks_counted ON tasks(owner) WHERE wanted <> 'delete';
CREATE INDEX tasks_unfinished ON tasks(phase) WHERE phase <> 'over';
CREATE INDEX tasks_wanted ON tasks(wanted) WHERE wanted = 'delete';
CREATE INDEX tasks_due ON tasks(due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_snapshot ON tasks(snapshot_at) WHERE snapshot_at IS NOT NULL;
CREATE INDEX tasks_of_job ON tasks(job) WHERE job IS NOT NULL;
CREATE INDEX tasks_of_pool ON tasks(pool) WHERE pool IS NOT NULL;
CREATE INDEX tasks_unanswered ON tasks(owner, digest) WHERE answered = 0;
CREATE TABLE instances(
  task TEXT NOT NULL, instance INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(task, instance)
) WITHOUT ROWID;
CREATE TABLE cursors(
  task TEXT NOT NULL, stream TEXT NOT NULL, view TEXT NOT NULL, offsets TEXT NOT NULL,
  PRIMARY KEY(task, stream, view)
) WITHOUT ROWID;
CREATE TABLE snapshots(
  id TEXT PRIMARY KEY, task TEXT NOT NULL, over INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX snapshots_of ON snapshots(task);
CREATE TABLE pools(
  n INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
  shortname TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, previous_state TEXT,
  state_at REAL NOT NULL, previous_state_at REAL, created_at REAL NOT NULL,
  modified_at REAL NOT NULL, ended_at REAL, phase TEXT NOT NULL, due_at REAL, sealed BLOB,
  asked TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE UNIQUE INDEX pools_named ON pools(owner, shortname);
CREATE TABLE jobs(
  n INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
  shortname TEXT NOT NULL, name TEXT NOT NULL, pool TEXT, state TEXT NOT NULL, previous_state TEXT,
  state_at REAL NOT NULL, previous_state_at REAL, created_at REAL NOT NULL,
  modified_at REAL NOT NULL, due_at REAL, asked TEXT NOT NULL
);
CREATE UNIQUE INDEX jobs_named ON jobs(owner, shortname);
CREATE TABLE secrets(
  owner TEXT NOT NULL, key TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY(owner, key)
) WITHOUT ROWID;
"""


class Database:
    """Open the file from any thread: one connection each, writers take turns."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        # Made before SQLite opens it, so that it is never readable by others.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        with self.write() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise ValueError(f"{str(path)!r} has format {version}; this server reads {VERSION}")
            connection.execute(ADDED)

    def relax(self) -> None:
        """Let this thread's transactions reach the disk later, in their order.

        For what can be found out anew: a power failure takes the last of them back, and the steps
        that they tell of are done again.
        """
        self._local.relaxed = True

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            return known
        fresh = sqlite3.connect(
            self.path, timeout=30, isolation_level=None, check_same_thread=False
        )
        fresh.row_factory = sqlite3.Row
        fresh.execute("PRAGMA journal_mode = WAL")
        # A created task must outlive a power failure: its client was told so.
        relaxed = getattr(self._local, "relaxed", False)
        fresh.execute(f"PRAGMA synchronous = {'NORMAL' if relaxed else 'FULL'}")
        fresh.execute("PRAGMA cache_size = -2048")
        self._local.connection = fresh
        with self._lock:
            self._all.append(fresh)
        return fresh

    def read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Ask one question."""
        return self._connection().execute(query, values).fetchall()

    def first(self, query: str, *values: Any) -> sqlite3.Row | None:
        """Ask for one row."""
        row: sqlite3.Row | None = self._connection().execute(query, values).fetchone()
        return row

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection, None, None]:
        """Make one transaction: all of it, or nothing."""
        connection = self._connection()
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
