"""Who may ask: users by email, and their tokens."""

import hashlib
import re
import secrets
import time
from typing import Final

from attrs import frozen

from drover_qarnot.server._database import Database
from drover_qarnot.server._sealing import Sealer

_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_LONGEST: Final = 512


class BadUserError(ValueError):
    """An email that is none, or is there already."""


@frozen(kw_only=True)
class S3Account:
    """What S3's signatures are checked with: the access key is the email, the secret the token."""

    owner: str
    secret: str


def digest_of(token: str) -> str:
    """Name a token without telling it. It is random and long: no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


class Accounts:
    """Users of one server."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def owner_of(self, token: str) -> str | None:
        """Find who a token belongs to."""
        if not token or len(token) > _LONGEST:
            return None
        row = self._database.first(
            "SELECT owner FROM tokens WHERE digest = ?",
            digest_of(token.encode("utf-8", "surrogateescape").decode("utf-8", "replace")),
        )
        return None if row is None else str(row["owner"])

    def names(self) -> list[str]:
        """List all users."""
        return [str(row["owner"]) for row in self._database.read("SELECT owner FROM users")]

    def add(self, email: str, token: str | None = None) -> str:
        """Add a user.

        Returns:
            The token, which is told this once.

        Raises:
            BadUserError: The email is none, or is there already.
        """
        if not _EMAIL.fullmatch(email):
            raise BadUserError(f"{email[:80]!r} is no email")
        fresh = token or secrets.token_urlsafe(32)
        now = time.time()
        with self._database.write() as connection:
            if connection.execute("SELECT 1 FROM users WHERE owner = ?", (email,)).fetchone():
                raise BadUserError(f"{email!r} is a user already")
            connection.execute("INSERT INTO users VALUES (?, ?)", (email, now))
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?)",
                (digest_of(fresh), email, self._sealer.seal(fresh, f"token {email}"), now),
            )
        return fresh

    def token_of(self, owner: str) -> str | None:
        """Open a user's token, for S3's signatures and for tasks with that privilege."""
        row = self._database.first(
            "SELECT sealed FROM tokens WHERE owner = ? ORDER BY created_at DESC LIMIT 1", owner
        )
        return None if row is None else self._sealer.open(row["sealed"], f"token {owner}")

    def lookup(self, access_key: str) -> S3Account | None:
        """Find the account of an S3 access key, which is an email."""
        token = self.token_of(access_key)
        return None if token is None else S3Account(owner=access_key, secret=token)
