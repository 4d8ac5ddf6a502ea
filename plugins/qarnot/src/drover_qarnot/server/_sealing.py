"""Secrets at rest: sealed with a key that lies in a file of its own, mode 0600.

S3's signatures are made with the secret itself, and a task is given the value of its secrets, so
neither can be kept as a hash. A copy of the database alone tells none of them.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12
_KEY: Final = 32


class UnreadableSecretError(Exception):
    """The key file is of another home, or damaged."""


class Sealer:
    """Seal and open texts with the key of a home."""

    def __init__(self, home: Path) -> None:
        self._cipher = AESGCM(_key(home / "key"))

    def seal(self, text: str, about: str) -> bytes:
        """Encrypt a text; it opens only with the same *about*."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), about.encode())

    def open(self, sealed: bytes, about: str) -> str:
        """Decrypt what `seal` made.

        Raises:
            UnreadableSecretError: The key is not the one.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode()).decode()
        except InvalidTag as exc:
            raise UnreadableSecretError("a secret cannot be read: the key file is another") from exc


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = _make_key(path)
    if len(key) != _KEY:
        raise UnreadableSecretError(f"the key file {str(path)!r} is damaged")
    return key


def _make_key(path: Path) -> bytes:
    # Linked into place whole: of two processes that begin at once, one key wins.
    draft = path.with_name(f".key.{os.getpid()}")
    key = os.urandom(_KEY)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        key = path.read_bytes()
    finally:
        draft.unlink()
    return key
