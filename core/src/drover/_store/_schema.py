"""The tables, and how an older store becomes a newer one."""

import sqlite3
from collections.abc import Callable
from typing import Final

APPLICATION_ID: Final = 0x44525652
"""Marks the file as a drover store: `DRVR`."""

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    boot TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process TEXT NOT NULL,
    expires REAL NOT NULL,
    starting REAL NOT NULL,
    info TEXT NOT NULL
);
INSERT INTO lease VALUES (1, 0, '', 0, '', 0, 0, '{}');

-- The truth. Rows are only ever appended, and deleted with a forgotten job.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    n INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX journal_by_job ON journal (n);

-- Projections of the journal, written in the transaction that appends to it.
CREATE TABLE jobs (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    spec_seq INTEGER NOT NULL,
    array_id TEXT,
    array_index INTEGER,
    backend TEXT NOT NULL,
    name TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted_at REAL NOT NULL,
    state TEXT NOT NULL,
    turn INTEGER,
    wake_at REAL,
    asked INTEGER,
    ended_at REAL,
    record TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_turn ON jobs (backend, priority DESC, n) WHERE turn IS NOT NULL;
CREATE INDEX jobs_by_wake ON jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX jobs_by_asked ON jobs (n) WHERE asked IS NOT NULL;
CREATE INDEX jobs_by_array ON jobs (array_id, state) WHERE array_id IS NOT NULL;

CREATE TABLE arrays (
    id TEXT PRIMARY KEY, first_n INTEGER NOT NULL, size INTEGER NOT NULL, spec_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tags (tag TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (tag, n)) WITHOUT ROWID;
CREATE TABLE dependencies (
    n INTEGER NOT NULL,
    on_id TEXT NOT NULL,
    condition TEXT NOT NULL,
    met INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (n, on_id)
) WITHOUT ROWID;
CREATE INDEX dependencies_by_job ON dependencies (on_id) WHERE met = 0;

-- Sealed: values of variables may be secret.
CREATE TABLE environments (digest TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;

-- Tokens of attempts that were given up: whatever bears one of them is cancelled.
CREATE TABLE closed (
    token TEXT PRIMARY KEY, backend TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
"""


def _from_1(_connection: sqlite3.Connection) -> None:
    """Change nothing: what is written now reads what was written then, not the other way."""


def _from_2(_connection: sqlite3.Connection) -> None:
    """Change nothing: predecessors that a backend waits for were added, none is by default."""


def _from_3(_connection: sqlite3.Connection) -> None:
    """Change nothing: a predecessor may be a whole array now, and was none then."""


def _from_4(_connection: sqlite3.Connection) -> None:
    """Change nothing: of a hold it is said now whether somebody asked for it, and was not."""


MIGRATIONS: Final[dict[int, Callable[[sqlite3.Connection], None]]] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
    4: _from_4,
}
"""How to come from schema N to N + 1. Runs inside one transaction."""

SUPPORTED: Final = 5


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, inside the caller's transaction."""
    for statement in SCHEMA.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SUPPORTED}")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store from *version* to the present one, inside the caller's transaction."""
    for older in range(version, SUPPORTED):
        MIGRATIONS[older](connection)
    connection.execute(f"PRAGMA user_version = {SUPPORTED}")
