"""Copy inputs and outputs where the jobs see the same files as we do.

Each file is copied under another name and renamed, so a reader sees the old or the new one,
never half of it. Those who copy the same at once, for other jobs or another backend, have names of
their own for that. A copy that is there already (same size and time) is not made again, so a
transfer can be repeated and goes on where it was cut off. A link that is named itself is
followed; links inside a folder are copied as links. Paths may lead anywhere the user may write:
this is the user's own machine.
"""

import os
import shutil
import stat
import threading
from typing import Final

from drover.models import Attempt, StageAnswer, Transfer

_TEMPORARY: Final = ".drover-part"


def stage(attempt: Attempt, transfers: tuple[Transfer, ...], what: str) -> StageAnswer:
    """Make the copies of one attempt, both sides relative to its working directory.

    Args:
        attempt: Whose transfers.
        transfers: `source` and `target` of each.
        what: `inputs` or `outputs`, for the message.

    Returns:
        Whether all of them are there now, and how many bytes were copied.
    """
    cwd = attempt.spec.cwd
    base = os.path.abspath(cwd) if cwd else os.path.expanduser("~")
    moved = 0
    for transfer in transfers:
        source = os.path.join(base, transfer.source)
        target = os.path.join(base, transfer.target)
        try:
            moved += _copy(source, _inside(source, target))
        except OSError as exc:
            why = (exc.strerror or str(exc)).lower()
            at = exc.filename or transfer.source
            message = f"{what}: {transfer.source!r} to {transfer.target!r}: {why} ({at!r})"
            return StageAnswer(token=attempt.token, ok=False, message=message, bytes_moved=moved)
    return StageAnswer(token=attempt.token, ok=True, bytes_moved=moved)


def _inside(source: str, target: str) -> str:
    """Put a file that goes to a folder inside it, as cp does."""
    if os.path.isdir(source):
        return target
    if target.endswith("/") or os.path.isdir(target):
        return os.path.join(target, os.path.basename(source))
    return target


def _copy(source: str, target: str) -> int:
    status = os.stat(source)
    if os.path.exists(target) and os.path.samestat(status, os.stat(target)):
        return 0
    os.makedirs(os.path.dirname(target) or "/", exist_ok=True)
    if not stat.S_ISDIR(status.st_mode):
        return _copy_file(source, target, status)
    if _lies_in(target, source):
        raise OSError(0, "a folder cannot be copied into itself", target)
    return _copy_folder(source, target)


def _copy_folder(source: str, target: str) -> int:
    os.makedirs(target, exist_ok=True)
    moved = 0
    with os.scandir(source) as entries:
        for entry in entries:
            path = os.path.join(target, entry.name)
            if entry.is_symlink():
                _copy_link(entry.path, path)
            elif entry.is_dir():
                moved += _copy_folder(entry.path, path)
            elif not entry.name.endswith(_TEMPORARY):
                moved += _copy_file(entry.path, path, entry.stat())
    shutil.copystat(source, target)
    return moved


def _copy_link(source: str, target: str) -> None:
    part = _part_of(target)
    if os.path.lexists(part):
        os.unlink(part)
    os.symlink(os.readlink(source), part)
    os.replace(part, target)


def _copy_file(source: str, target: str, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "only files, folders and links can be copied", source)
    try:
        there = os.stat(target)
    except OSError:
        pass
    else:
        if (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns):
            return 0
    part = _part_of(target)
    shutil.copy2(source, part)
    os.replace(part, target)
    return status.st_size


def _part_of(target: str) -> str:
    """Give the name under which this thread copies into a folder: one file at a time."""
    name = f".{os.uname().nodename}-{os.getpid()}-{threading.get_native_id()}{_TEMPORARY}"
    return os.path.join(os.path.dirname(target), name)


def _lies_in(path: str, folder: str) -> bool:
    folder = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), folder]) == folder
