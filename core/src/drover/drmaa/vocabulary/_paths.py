"""Paths as DRMAA writes them: `[host]:path`, with placeholders."""

from drover.drmaa.vocabulary._faults import InvalidArgumentException, fault
from drover.drmaa.vocabulary._words import PLACEHOLDER_HD, PLACEHOLDER_INCR, PLACEHOLDER_WD


def split_path(text: str) -> tuple[str, str]:
    """Part `[host]:path` into its host, which may be empty, and its path.

    Raises:
        InvalidArgumentException: It has no colon, or nothing after it.
    """
    host, colon, path = text.partition(":")
    if not colon or not path:
        raise fault(InvalidArgumentException, f"{text!r} is no path; write it as [host]:path")
    return host, path


def filled(text: str, *, home: str, cwd: str = "", index: str | None = None) -> str:
    """Put what they stand for in the place of placeholders.

    Args:
        text: A path without a host.
        home: The user's home directory; its placeholder counts at the beginning alone.
        cwd: The job's working directory, likewise.
        index: What stands for the index of a bulk job, anywhere. `None`: it is no bulk job, and
            the placeholder stays.
    """
    for placeholder, folder in ((PLACEHOLDER_HD, home), (PLACEHOLDER_WD, cwd)):
        if folder and text.startswith(placeholder):
            text = folder + text[len(placeholder) :]
    return text if index is None else text.replace(PLACEHOLDER_INCR, index)


def escaped(path: str) -> str:
    """Write a path so that no `%` in it stands for something of a job."""
    return path.replace("%", "%%")


def stream_in(folder: str, name: str, letter: str) -> str:
    """Name the file of a stream in a folder as Grid Engine does: `NAME.oID`.

    Args:
        folder: Escaped, with or without a slash at its end.
        name: Of the job.
        letter: `o` or `e`.
    """
    return f"{folder.rstrip('/')}/{escaped(name.replace('/', '_'))}.{letter}%j"
