"""Variables of jobs at rest: sealed, because their values may be secret.

AES-GCM from the package `cryptography`; the key lies beside the store in a file of its own, so that
a copy of the database alone tells nothing.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from drover.errors import StoreUnusableError

_NONCE: Final = 12
_KEY: Final = 32
CLOSED: Final = {"?": "closed: the store's key file is missing"}
"""Stands for variables that cannot be read, so that a job is listed all the same."""


def load_key(home: Path, *, create: bool) -> bytes | None:
    """Read the store's key, or make one with mode 0600.

    Returns:
        32 bytes, or `None` if there is none and none may be made.
    """
    path = home / "key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not create:
            return None
        key = _make_key(path)
    if len(key) != _KEY:
        raise StoreUnusableError(str(home), f"its key file {str(path)!r} is damaged")
    return key


def _make_key(path: Path) -> bytes:
    # Linked into place whole: of two processes that make a store at once, one key wins.
    draft = path.with_name(f".key.{os.getpid()}")
    key = os.urandom(_KEY)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
    try:
        os.link(draft, path)
    except FileExistsError:
        key = path.read_bytes()
    finally:
        draft.unlink()
    return key


class Sealer:
    """Seal and open variables with one key."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._digests: dict[int, tuple[Mapping[str, str], str]] = {}

    def digest(self, variables: Mapping[str, str]) -> str:
        """Name variables without telling them: equal ones have equal digests."""
        known = self._digests.get(id(variables))
        if known is not None and known[0] is variables:
            return known[1]
        text = json.dumps(sorted(variables.items())).encode()
        name = hmac.new(self._key or b"", text, hashlib.sha256).hexdigest()[:32]
        if len(self._digests) > 64:
            self._digests.clear()
        self._digests[id(variables)] = (variables, name)
        return name

    def seal(self, digest: str, variables: Mapping[str, str]) -> bytes:
        """Encrypt variables; *digest* is bound to them."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        text = json.dumps(dict(variables)).encode()
        return nonce + AESGCM(self._key or b"").encrypt(nonce, text, digest.encode())

    def open(self, digest: str, sealed: bytes) -> dict[str, str]:
        """Decrypt what `seal` made; without a key, which only a copy can lack, say so instead.

        Raises:
            StoreUnusableError: The key is not the one.
        """
        if self._key is None:
            return dict(CLOSED)
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            text = AESGCM(self._key).decrypt(sealed[:_NONCE], sealed[_NONCE:], digest.encode())
        except InvalidTag as exc:
            raise StoreUnusableError(
                "", "an environment cannot be read: the key file is of another store"
            ) from exc
        out: dict[str, str] = json.loads(text)
        return out
