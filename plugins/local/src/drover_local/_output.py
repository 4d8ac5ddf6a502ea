"""Where a job's output goes, and reading it back from any process."""

import os
import stat
from functools import lru_cache
from itertools import count
from typing import Final

from attrs import evolve

from drover.models import Attempt, Chunk, JobSpec, Stream
from drover_local._place import kept_name

_SUFFIX: Final = {Stream.STDOUT: "out", Stream.STDERR: "err"}


def expand(path: str, attempt: Attempt) -> str:
    """Put the job's id for `%j` and its array index for `%a`; `%%` is a percent sign."""
    if "%" not in path:
        return path
    index = "" if attempt.array_index is None else str(attempt.array_index)
    words = {"%": "%", "j": attempt.job_id, "a": index}
    parts: list[str] = []
    rest = path
    while "%" in rest:
        before, _, rest = rest.partition("%")
        letter = rest[:1]
        parts += [before, words.get(letter, "%" + letter)]
        rest = rest[1:]
    return "".join(parts) + rest


def working_dir(spec: JobSpec) -> str:
    """Give the job's working directory, the home directory where none is known."""
    return _absolute(spec.cwd) if spec.cwd else os.path.expanduser("~")


# Most jobs of a store share a few; what a session stores is absolute, so the answer never changes.
_absolute: Final = lru_cache(256)(os.path.abspath)


def kept_path(folder: str, attempt: Attempt, stream: Stream) -> str:
    """Give the file that drover keeps for a stream."""
    name = kept_name(attempt.job_id, attempt.number, attempt.restart, _SUFFIX[stream])
    return f"{folder}/{name}"


def stream_path(folder: str, attempt: Attempt, stream: Stream) -> str | None:
    """Give the file of a stream, `None` for stderr that goes where stdout does."""
    spec = attempt.spec
    if stream is Stream.STDERR and spec.join_output:
        return None
    chosen = spec.stdout if stream is Stream.STDOUT else spec.stderr
    if chosen is None:
        return kept_path(folder, attempt, stream)
    return os.path.join(working_dir(spec), expand(chosen, attempt))


def read_chunk(path: str, offset: int, size: int) -> Chunk | None:
    """Read a piece of a file, `None` if there is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        data = os.pread(fd, size, offset)
        return Chunk(data=data, offset=offset, size=status.st_size, path=path)
    finally:
        os.close(fd)


def forget_output(folder: str, attempt: Attempt) -> None:
    """Delete what drover keeps of an attempt's output; the user's own files stay.

    That of each restart: how often an earlier attempt was run again is not told.
    """
    for stream in Stream:
        for restart in count():
            path = kept_path(folder, evolve(attempt, restart=restart), stream)
            try:
                os.unlink(path)
            except FileNotFoundError:
                if restart >= attempt.restart:
                    break
