"""Which attempt is in which task: written down before the cloud hears of it.

A store of its own in `home/backends/NAME/`, since the engine's is not open to plugins. A batch is
`preparing` until its objects are uploaded, `posted` from before the request that makes its task,
and keeps its members for ever: what was posted may be there, whatever the answer was.
"""

import json
import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import frozen

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    name TEXT PRIMARY KEY, posted INTEGER NOT NULL DEFAULT 0, uuid TEXT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    token TEXT PRIMARY KEY, batch TEXT NOT NULL, instance INTEGER NOT NULL,
    ending TEXT, requests TEXT NOT NULL DEFAULT '[]', ended INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS of_batch ON members (batch);
CREATE TABLE IF NOT EXISTS closed (token TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS staged (token TEXT PRIMARY KEY, prefix TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_prefix ON staged (prefix);
CREATE TABLE IF NOT EXISTS uploads (
    target TEXT PRIMARY KEY, facts TEXT NOT NULL);
"""


@frozen(kw_only=True)
class Member:
    """One attempt, as one instance of a task."""

    token: str
    batch: str
    instance: int
    posted: bool
    uuid: str | None
    ending: Mapping[str, Any] | None
    """Somebody asked for the end: `verb`, and the time at which the task is to be aborted."""
    requests: Sequence[Mapping[str, Any]]
    """What was asked of the command so far."""
    ended: bool
    """Its end was told, and nothing more is looked at."""


class Book:
    """The file. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tasks.sqlite"
        self._local = threading.local()

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """Give this thread's connection, in a transaction."""
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
            known.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
            self._path.chmod(0o600)
            self._local.connection = known
        known.execute("BEGIN IMMEDIATE")
        try:
            yield known
        except BaseException:
            known.execute("ROLLBACK")
            raise
        known.execute("COMMIT")

    def close(self) -> None:
        """Let this thread's connection go."""
        known = getattr(self._local, "connection", None)
        if known is not None:
            known.close()
            self._local.connection = None

    # --- batches -------------------------------------------------------------------------------

    def begin(self, name: str, body: Mapping[str, Any], tokens: Mapping[str, int]) -> bool:
        """Write down a batch that is about to be uploaded.

        Returns:
            False if one of its tokens is closed, or in a batch that may have been posted.
        """
        with self._open() as file:
            for token in tokens:
                taken = file.execute(
                    "SELECT 1 FROM closed WHERE token = ? UNION ALL SELECT 1 FROM members "
                    "JOIN batches ON name = batch WHERE token = ? AND posted", (token, token)
                ).fetchone()  # fmt: skip
                if taken:
                    return False
            stale: set[tuple[str]] = set()
            for token in tokens:
                stale.update(
                    file.execute("SELECT batch FROM members WHERE token = ?", (token,)).fetchall()
                )
            for (batch,) in stale:
                file.execute("DELETE FROM members WHERE batch = ?", (batch,))
                file.execute("DELETE FROM batches WHERE name = ?", (batch,))
            file.execute("INSERT INTO batches (name, body) VALUES (?, ?)", (name, json.dumps(body)))
            file.executemany(
                "INSERT INTO members (token, batch, instance) VALUES (?, ?, ?)",
                [(token, name, instance) for token, instance in tokens.items()],
            )
        return True

    def will_post(self, name: str) -> bool:
        """Write down that the cloud is about to hear of a batch.

        Returns:
            False if the batch is gone or one of its tokens was closed meanwhile: it must not.
        """
        with self._open() as file:
            closed = file.execute(
                "SELECT 1 FROM members JOIN closed USING (token) WHERE batch = ?", (name,)
            ).fetchone()
            if closed:
                return False
            return bool(
                file.execute("UPDATE batches SET posted = 1 WHERE name = ?", (name,)).rowcount
            )

    def accepted(self, name: str, uuid: str) -> None:
        """Write down the task's uuid."""
        with self._open() as file:
            file.execute("UPDATE batches SET uuid = ? WHERE name = ?", (uuid, name))

    def body(self, name: str) -> dict[str, Any]:
        """Give what was posted, or is to be."""
        with self._open() as file:
            row = file.execute("SELECT body FROM batches WHERE name = ?", (name,)).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    # --- members -------------------------------------------------------------------------------

    def members(self, tokens: Sequence[str]) -> dict[str, Member]:
        """Look attempts up by token; those that are not written down are left out."""
        found: dict[str, Member] = {}
        with self._open() as file:
            for token in tokens:
                rows = self._rows(file, "token", token)
                found.update((row.token, row) for row in rows)
        return found

    def crew(self, batch: str) -> list[Member]:
        """List all members of a batch, by instance."""
        with self._open() as file:
            return self._rows(file, "batch", batch)

    @staticmethod
    def _rows(file: sqlite3.Connection, column: str, value: str) -> list[Member]:
        rows = file.execute(
            "SELECT token, batch, instance, posted, uuid, ending, requests, ended FROM members "  # noqa: S608
            f"JOIN batches ON name = batch WHERE {column} = ? ORDER BY instance", (value,)
        )  # fmt: skip
        return [
            Member(
                token=token, batch=batch, instance=instance, posted=bool(posted), uuid=uuid,
                ending=json.loads(ending) if ending else None, requests=json.loads(requests),
                ended=bool(ended),
            )
            for token, batch, instance, posted, uuid, ending, requests, ended in rows
        ]  # fmt: skip

    def note_ending(self, token: str, ending: Mapping[str, Any]) -> None:
        """Write down that somebody asked for the end."""
        with self._open() as file:
            file.execute(
                "UPDATE members SET ending = ? WHERE token = ?", (json.dumps(ending), token)
            )

    def add_request(self, token: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Add to what is asked of a command; gives all of it. The same id is added once."""
        with self._open() as file:
            row = file.execute("SELECT requests FROM members WHERE token = ?", (token,)).fetchone()
            asked: list[dict[str, Any]] = json.loads(row[0]) if row else []
            if all(known["id"] != request["id"] for known in asked):
                asked.append(dict(request))
                file.execute(
                    "UPDATE members SET requests = ? WHERE token = ?", (json.dumps(asked), token)
                )
        return asked

    def note_ended(self, token: str) -> None:
        """Write down that the end was told."""
        with self._open() as file:
            file.execute("UPDATE members SET ended = 1 WHERE token = ?", (token,))

    # --- closing -------------------------------------------------------------------------------

    def close_token(self, token: str) -> Member | None:
        """Shut a token: no batch with it is posted from now on. Gives what may have been."""
        with self._open() as file:
            file.execute("INSERT OR IGNORE INTO closed VALUES (?)", (token,))
            rows = self._rows(file, "token", token)
        return rows[0] if rows and rows[0].posted else None

    def is_closed(self, token: str) -> bool:
        """Tell whether a token was shut."""
        with self._open() as file:
            row = file.execute("SELECT 1 FROM closed WHERE token = ?", (token,)).fetchone()
        return row is not None

    def forget(self, token: str) -> bool:
        """Strike a member off; tells whether its batch has no other left. Closed ones stay shut."""
        with self._open() as file:
            row = file.execute("SELECT batch FROM members WHERE token = ?", (token,)).fetchone()
            if row is None:
                return False
            file.execute("DELETE FROM members WHERE token = ?", (token,))
            file.execute("INSERT OR IGNORE INTO closed VALUES (?)", (token,))
            left = file.execute("SELECT 1 FROM members WHERE batch = ?", row).fetchone()
            if left is None:
                file.execute("DELETE FROM batches WHERE name = ?", row)
        return left is None

    # --- inputs --------------------------------------------------------------------------------

    def stage(self, prefixes: Mapping[str, str]) -> None:
        """Write down under which prefix each token's inputs are about to lie.

        Those of an array's elements are the same.
        """
        with self._open() as file:
            file.executemany("INSERT OR REPLACE INTO staged VALUES (?, ?)", prefixes.items())

    def own_inputs(self, token: str) -> str:
        """Give the prefix of a token's inputs if they are nobody else's, or ""."""
        with self._open() as file:
            row = file.execute(
                "SELECT prefix FROM staged AS own WHERE token = ? AND NOT EXISTS (SELECT 1 FROM "
                "staged AS other WHERE other.prefix = own.prefix AND other.token != own.token)",
                (token,),
            ).fetchone()
        return "" if row is None else str(row[0])

    def unstage(self, token: str) -> None:
        """Strike off that inputs are a token's."""
        with self._open() as file:
            file.execute("DELETE FROM staged WHERE token = ?", (token,))

    # --- uploads that can be taken up again ------------------------------------------------------

    def upload(self, target: str) -> dict[str, Any] | None:
        """Give what is known of an upload in parts."""
        with self._open() as file:
            row = file.execute("SELECT facts FROM uploads WHERE target = ?", (target,)).fetchone()
        return json.loads(row[0]) if row else None

    def note_upload(self, target: str, facts: Mapping[str, Any] | None) -> None:
        """Write down how far an upload has come; `None`: it is over."""
        with self._open() as file:
            file.execute("DELETE FROM uploads WHERE target = ?", (target,))
            if facts is not None:
                file.execute("INSERT INTO uploads VALUES (?, ?)", (target, json.dumps(facts)))

    def uploads_under(self, target: str) -> list[tuple[str, str]]:
        """List unfinished uploads whose targets begin so, with the ids that the store gave."""
        with self._open() as file:
            rows = file.execute(
                "SELECT target, json_extract(facts, '$.id') FROM uploads "
                "WHERE substr(target, 1, ?) = ?", (len(target), target)
            ).fetchall()  # fmt: skip
        return [(str(found), str(upload)) for found, upload in rows]
