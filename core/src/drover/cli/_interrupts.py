"""Ctrl-C, where it has to wait a moment."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def finishing() -> Generator[Callable[[], bool]]:
    """Let what is under way come to its end when Ctrl-C is typed; a second one does not wait.

    Who is interrupted between the commit of a job and its id has a job that nobody can name.

    Yields:
        A function that tells whether it was typed.
    """
    before, was_typed = signal.getsignal(signal.SIGINT), False
    in_main = threading.current_thread() is threading.main_thread()
    if before is not signal.default_int_handler or not in_main:
        # A shell's background job is not to hear of Ctrl-C, and another thread cannot.
        yield lambda: False
        return

    def note(_number: int, _frame: object) -> None:
        nonlocal was_typed
        was_typed = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: was_typed
    finally:
        signal.signal(signal.SIGINT, before)
