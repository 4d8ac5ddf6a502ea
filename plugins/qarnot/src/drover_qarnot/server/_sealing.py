"""Secrets of a server at rest: sealed with a key that lies in its home.

S3's signatures are made with the secret itself, and a task is given the value of its secrets, so
neither can be kept as a hash. A copy of the database alone tells none of them.
"""

from pathlib import Path

from drover.sealing import read_key, seal, unseal


class UnreadableSecretError(Exception):
    """The key file is of another home, or damaged."""


class Sealer:
    """Seal and open texts with the key of a home."""

    def __init__(self, home: Path) -> None:
        """Read the key, or make one.

        Raises:
            UnreadableSecretError: The key is damaged.
        """
        try:
            self._key = read_key(home / "key") or b""
        except ValueError as exc:
            raise UnreadableSecretError(str(exc)) from exc

    def seal(self, text: str, about: str) -> bytes:
        """Encrypt a text; it opens only with the same *about*."""
        return seal(self._key, text.encode(), about)

    def open(self, sealed: bytes, about: str) -> str:
        """Decrypt what `seal` made.

        Raises:
            UnreadableSecretError: The key is not the one.
        """
        try:
            return unseal(self._key, sealed, about).decode()
        except ValueError as exc:
            raise UnreadableSecretError("a secret cannot be read: the key file is another") from exc
