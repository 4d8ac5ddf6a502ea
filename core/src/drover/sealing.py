"""What is secret at rest: sealed with a key that lies in a file of its own, for its user alone.

A copy of a database alone tells nothing then. AES-GCM from the package `cryptography`, which is
imported when something is sealed or opened: most programs do neither.
"""

import os
import secrets
from pathlib import Path
from typing import Final

_NONCE: Final = 12
_KEY: Final = 32


def read_key(path: Path, *, create: bool = True) -> bytes | None:
    """Read a key from its file, or make one with mode 0600.

    Args:
        path: The file.
        create: Whether one is made if there is none. It is on disk when this returns.

    Returns:
        32 bytes, or `None` if there is none and none may be made.

    Raises:
        ValueError: What lies there is no key.
    """
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if not create:
            return None
        key = _make_key(path)
    if len(key) != _KEY:
        raise ValueError(f"the key file {str(path)!r} is damaged")
    return key


def _make_key(path: Path) -> bytes:
    from drover.commandline.wrapper import sync_folder

    # Linked into place whole: of two processes that begin at once, one key wins.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    key = os.urandom(_KEY)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
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
    sync_folder(str(path.parent))
    return key


def seal(key: bytes, secret: bytes, about: str) -> bytes:
    """Encrypt a secret; it opens only with the same key and the same *about*."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, secret, about.encode())


def unseal(key: bytes, sealed: bytes, about: str) -> bytes:
    """Decrypt what `seal` made.

    Raises:
        ValueError: The key or *about* is another, or it was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
    except InvalidTag as exc:
        raise ValueError("it was not sealed with this key, or not for this purpose") from exc
