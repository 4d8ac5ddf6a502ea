"""From buckets to folders: the resources of a task, as every instance gets them."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from drover_qarnot.server._asked import ResourceBucket
from drover_qarnot.server._buckets import Buckets, BucketsError

MODE: Final = 0o700
"""Of files that are laid out: S3 keeps no modes, and a program among them should run."""


class LayoutError(Exception):
    """An object cannot become a file; trying again would not help."""


def path_of(key: str) -> str | None:
    """Make a relative path of a key, without its leading slash.

    Returns:
        `None` for a key that is nothing but slashes.

    Raises:
        LayoutError: It would lead out of the folder, or is no file's name.
    """
    parts = [part for part in key.split("/") if part]
    if any(part in {".", ".."} or "\0" in part or len(part.encode()) > 255 for part in parts):
        raise LayoutError(f"the key {key[:200]!r} cannot be a file's path")
    return "/".join(parts) or None


def stage(
    buckets: Buckets, owner: str, wanted: Sequence[ResourceBucket], folder: Path, most: int
) -> int:
    """Lay the objects of buckets over each other in a folder; later buckets win.

    The folder appears whole or not at all.

    Returns:
        Bytes written.

    Raises:
        LayoutError: An object cannot become a file, or they are more than *most* bytes.
        BucketsError: A bucket is gone, or the store does not answer.
    """
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    total = 0
    for bucket in wanted:
        total += _lay(buckets, owner, bucket, draft, most - total)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return total


def _lay(buckets: Buckets, owner: str, bucket: ResourceBucket, target: Path, most: int) -> int:
    total = 0
    for entry in buckets.entries(owner, bucket.bucket_name, bucket.prefix):
        key = entry.key
        if bucket.strip and key.startswith(bucket.strip):
            key = key[len(bucket.strip) :]
        path = path_of(key)
        if path is None:
            continue
        total += entry.size
        if total > most:
            raise LayoutError(f"the resources are more than {most} bytes")
        _lay_one(buckets, owner, bucket.bucket_name, entry.key, target / path)
    return total


def _lay_one(buckets: Buckets, owner: str, bucket: str, key: str, path: Path) -> None:
    try:
        if key.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{os.getpid()}.draft")
        buckets.fetch(owner, bucket, key, draft)
        draft.chmod(MODE)
        draft.replace(path)
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as exc:
        why = f"{key[:200]!r} of bucket {bucket!r} is a file and a folder at once"
        raise LayoutError(why) from exc


def renew(
    buckets: Buckets, owner: str, wanted: Sequence[ResourceBucket], folder: Path, most: int
) -> list[str]:
    """Bring a folder up to date with its buckets; nothing is taken away.

    Returns:
        Paths that are new or have changed.

    Raises:
        LayoutError: As `stage`.
        BucketsError: As `stage`.
    """
    fresh = folder.with_name(f"{folder.name}.fresh")
    stage(buckets, owner, wanted, fresh, most)
    changed: list[str] = []
    for inside, _, names in os.walk(fresh):
        for name in names:
            source = Path(inside) / name
            path = source.relative_to(fresh)
            target = folder / path
            if target.is_file() and same(source, target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            changed.append(path.as_posix())
    shutil.rmtree(fresh, ignore_errors=True)
    return changed


def same(one: Path, other: Path) -> bool:
    """Compare two files."""
    with one.open("rb") as a, other.open("rb") as b:
        if os.fstat(a.fileno()).st_size != os.fstat(b.fileno()).st_size:
            return False
        while True:
            left, right = a.read(1 << 20), b.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True


__all__ = ["BucketsError", "LayoutError", "path_of", "renew", "same", "stage"]
