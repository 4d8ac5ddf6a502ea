"""New resources for instances that run already."""

import json
import os
import shutil
from pathlib import Path

from drover_qarnot.server._results import manifest_of

Manifest = dict[str, list[int]]


def renew_instances(folder: Path) -> bool:
    """Lay into each instance of a task what its resources have now and it was not given yet.

    What is laid in is noted, so that it is not taken for a result. A file that the instance itself
    has changed stays as it is, unless the resource has changed as well.

    Returns:
        Whether all instances could be reached: one that is being made ready has no list of what it
        was given yet.
    """
    staged = _staged(folder / "resources")
    whole = True
    for place in _places(folder / "i"):
        given = manifest_of(place)
        if given is None:
            whole = False
            continue
        missing = {path: facts for path, facts in staged.items() if given.get(path) != facts}
        if missing:
            _lay_into(place, folder / "resources", missing)
    return whole


def _places(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _staged(source: Path) -> Manifest:
    found: Manifest = {}
    for inside, _, names in os.walk(source):
        for name in names:
            path = Path(inside) / name
            facts = path.stat()
            found[path.relative_to(source).as_posix()] = [facts.st_size, facts.st_mtime_ns]
    return found


def _lay_into(place: Path, source: Path, missing: Manifest) -> None:
    job = (place / "job").resolve()
    laid: Manifest = {}
    for path, facts in missing.items():
        target = place / "job" / path
        # A task may have put a link there: nothing outside its folder is written to.
        if not target.parent.resolve().is_relative_to(job):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = place / "renewed.file"
        shutil.copy2(source / path, draft)
        draft.replace(target)
        laid[path] = facts
    note = place / "renewed.json"
    noted: Manifest = json.loads(note.read_bytes()) if note.exists() else {}
    draft = place / "renewed.draft"
    draft.write_text(json.dumps(noted | laid), encoding="utf-8")
    draft.replace(note)
