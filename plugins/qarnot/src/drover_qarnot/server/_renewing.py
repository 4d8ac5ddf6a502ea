"""New resources for instances that run already."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from drover_qarnot.server._asked import ResourceBucket
from drover_qarnot.server._buckets import Buckets
from drover_qarnot.server._layout import renew


def renew_instances(
    buckets: Buckets, owner: str, wanted: Sequence[ResourceBucket], folder: Path, most: int
) -> None:
    """Bring a task's resources up to date, and lay what has changed into instances that run.

    What is laid in is noted, so that it is not taken for a result.

    Raises:
        LayoutError: An object cannot become a file.
        BucketsError: A bucket is gone.
    """
    changed = renew(buckets, owner, wanted, folder / "resources", most)
    if not changed or not (folder / "i").is_dir():
        return
    for place in sorted((folder / "i").iterdir()):
        if (place / "manifest.json").exists():
            _lay_into(place, folder / "resources", changed)


def _lay_into(place: Path, source: Path, changed: Sequence[str]) -> None:
    noted: dict[str, list[int]] = {}
    note = place / "renewed.json"
    if note.exists():
        noted = json.loads(note.read_bytes())
    for path in changed:
        target = place / "job" / path
        # A task may have put a link there: nothing outside its folder is written to.
        if not target.parent.resolve().is_relative_to((place / "job").resolve()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{os.getpid()}.draft")
        shutil.copy2(source / path, draft)
        found = draft.stat()
        draft.replace(target)
        noted[path] = [found.st_size, found.st_mtime_ns]
    fresh = note.with_name("renewed.draft")
    fresh.write_text(json.dumps(noted), encoding="utf-8")
    fresh.replace(note)
