"""Secrets at rest."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drover.sealing import read_key, seal, unseal


def key(path: Path) -> bytes:
    made = read_key(path)
    assert made is not None
    return made


def test_what_is_sealed_opens_for_its_purpose_alone(tmp_path: Path) -> None:
    """A secret that is moved to another's place must not be given to that one."""
    mine, other = key(tmp_path / "key"), key(tmp_path / "other")
    sealed = seal(mine, b"hush", "ann")

    assert b"hush" not in sealed
    assert sealed != seal(mine, b"hush", "ann")
    assert b"hush" == unseal(mine, sealed, "ann")
    for wrong in (
        lambda: unseal(mine, sealed, "bob"),
        lambda: unseal(other, sealed, "ann"),
        lambda: unseal(mine, sealed[:-1] + bytes([sealed[-1] ^ 1]), "ann"),
        lambda: unseal(mine, b"short", "ann"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - in the words of the library, too
            wrong()


def test_a_key_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    """Of many who begin at once, all get the key that lies there in the end."""
    path = tmp_path / "key"
    assert read_key(path, create=False) is None

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(key, [path] * 32))

    assert {path.read_bytes()} == keys
    assert [path] == list(tmp_path.iterdir())
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_half_a_key_is_refused(tmp_path: Path) -> None:
    """To make another would close all that was sealed, for good."""
    (tmp_path / "key").write_bytes(b"k" * 31)

    with pytest.raises(ValueError, match="damaged"):
        read_key(tmp_path / "key")


def test_a_key_is_on_disk_before_it_seals_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses its power must not keep what was sealed, and lose the key to it."""
    synced: list[str] = []
    real = os.fsync

    def noting(handle: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real(handle)

    monkeypatch.setattr(os, "fsync", noting)
    key(tmp_path / "key")

    assert ["file", "folder"] == synced
