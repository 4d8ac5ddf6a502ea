"""What SQLite's errors mean to a user, and what to do about each."""

import re
from typing import Final

from drover._store._place import RESTORE

BUSY_S: Final = 60.0
"""How long a writer waits for the others. Two hundred clients that each commit in 5 ms need 1 s."""
_DAMAGE: Final = ("malformed", "not a database", "disk I/O error", "Could not decode to UTF-8")
# Only ENOSPC is "full" to SQLite. What a quota or a limit on sizes forbids is an error of one of
# these calls, and so is a disk that fails; none of them says that what is there was damaged.
# Source: sqlite.org/rescode.html; seen with RLIMIT_FSIZE, SQLite 3.40.
_UNWRITTEN: Final = re.compile(
    "SQLITE_IOERR_(WRITE|TRUNCATE|FSYNC|DIR_FSYNC|SHMOPEN|SHMSIZE|SHMMAP|DELETE|LOCK)"
)


def cure_of(exc: BaseException) -> str:
    """Say what happened and what to do; what is not known is told as it came."""
    text = str(exc)
    if _UNWRITTEN.fullmatch(getattr(exc, "sqlite_errorname", "")):
        return (
            f"{text}: nothing can be written. Look at your quota, the limit on the sizes of files "
            "(ulimit -f) and the disk; what was stored is as it was"
        )
    if "locked" in text:
        return f"{text}: another process has been writing for {BUSY_S:g} s"
    if any(word in text for word in _DAMAGE):
        return f"{text}. {RESTORE}"
    if "full" in text:
        return f"{text}: free some space, nothing was lost"
    if "unable to open" in text:
        return f"{text}: look at the permissions of the folder and of the files store.db*"
    return text
