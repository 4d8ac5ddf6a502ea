"""Variables of jobs at rest: sealed, because their values may be secret.

The key lies beside the store in a file of its own, so that a copy of the database alone tells
nothing.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from drover.errors import StoreUnusableError
from drover.sealing import read_key, seal, unseal

CLOSED: Final = {"?": "closed: the store's key file is missing"}
"""Stands for variables that cannot be read, so that a job is listed all the same."""


def load_key(home: Path, *, create: bool) -> bytes | None:
    """Read the store's key, or make one.

    Returns:
        The key, or `None` if there is none and none may be made.
    """
    try:
        return read_key(home / "key", create=create)
    except ValueError as exc:
        raise StoreUnusableError(str(home), str(exc)) from exc


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
        return seal(self._key or b"", json.dumps(dict(variables)).encode(), digest)

    def open(self, digest: str, sealed: bytes) -> dict[str, str]:
        """Decrypt what `seal` made; without a key, which only a copy can lack, say so instead.

        Raises:
            StoreUnusableError: The key is not the one.
        """
        if self._key is None:
            return dict(CLOSED)
        try:
            text = unseal(self._key, sealed, digest)
        except ValueError as exc:
            raise StoreUnusableError(
                "", "an environment cannot be read: the key file is of another store"
            ) from exc
        out: dict[str, str] = json.loads(text)
        return out
