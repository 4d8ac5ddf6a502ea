"""The users of a server: access keys in a file of the home, with their secrets sealed.

A secret cannot be kept as a hash: version 4 signatures are HMACs with it as the key, so the server
needs the secret itself to check one. It is encrypted instead, with a key in a file of its own.
"""

import json
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken

from drover_objectstore.errors import S3Error
from drover_objectstore.models import Account

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


class UserError(S3Error):
    """Say that a user cannot be added or read."""


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """A user who was just added; the secret is told this once."""

    name: str
    access_key: str
    secret: str


class Users:
    """The file `users.json`, and `key`, with which the secrets in it are sealed."""

    def __init__(self, home: Path) -> None:
        """Open the users of a home, or make none."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = home / "users.json"
        self._fernet = Fernet(_key(home / "key"))
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def add(self, name: str) -> NewUser:
        """Add a user, or one more key of a user who is there.

        Raises:
            UserError: Nobody can have that name.
        """
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{name!r} is no name for a user: take letters, digits and . _ @ + -, 128 at most"
            )
        # As long as those of AWS, which clients check here and there.
        made = NewUser(
            name=name,
            access_key="DR" + "".join(secrets.choice(_LETTERS) for _ in range(18)),
            secret=secrets.token_urlsafe(30),
        )
        sealed = self._fernet.encrypt(made.secret.encode()).decode()
        with self._lock:
            rows = self._rows()
            rows[made.access_key] = {"owner": name, "secret": sealed}
            _replace(self._file, json.dumps(rows, indent=1))
        return made

    def names(self) -> list[str]:
        """List who has a key, by name."""
        return sorted({row["owner"] for row in self._rows().values()})

    def lookup(self, access_key: str) -> Account | None:
        """Find the account of an access key; one that was added a moment ago, too."""
        with self._lock:
            stamp = self._stamped()
            if stamp != self._stamp:
                self._accounts = {
                    each: Account(owner=row["owner"], secret=self._opened(row["secret"]))
                    for each, row in self._rows().items()
                }
                self._stamp = stamp
            return self._accounts.get(access_key)

    def _stamped(self) -> tuple[int, int] | None:
        try:
            told = self._file.stat()
        except FileNotFoundError:
            return None
        return told.st_mtime_ns, told.st_ino

    def _rows(self) -> dict[str, dict[str, Any]]:
        try:
            return dict(json.loads(self._file.read_text("utf-8")))
        except FileNotFoundError:
            return {}

    def _opened(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise UserError(
                f"{str(self._file)!r} was sealed with another key than the one beside it"
            ) from None


_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _key(path: Path) -> bytes:
    """Read the key, or make one; of two who make it at once, one wins."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    return path.read_bytes()


def _replace(path: Path, text: str) -> None:
    """Write a file whole."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
