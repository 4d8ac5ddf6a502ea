"""Wait for descriptors and signals.

Between two short jobs every call counts: the selectors of the standard library keep books of their
own, and a signal with a handler interrupts, writes to a pipe and calls Python.
"""

import contextlib
import ctypes
import os
import select
import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

# Both have the same values for epoll and for poll.
READ: Final = select.POLLIN
WRITE: Final = select.POLLOUT
# Longer sleeps are two: epoll_wait(2) takes milliseconds in 31 bits, which are 24 days.
_LONGEST_S: Final = 86400.0


class Poller:
    """Call back when something can be read, or written where that is wanted."""

    def __init__(self) -> None:
        self._ready: dict[int, Callable[[], None]] = {}
        self._set: Any
        if hasattr(select, "epoll"):
            self._set, self._unit = select.epoll(), 1.0
        else:
            self._set, self._unit = select.poll(), 1000.0
        self._poll = self._set.poll

    def register(self, fd: int, ready: Callable[[], None], events: int = READ) -> None:
        """Call *ready* at each of *events* from now on."""
        self._set.register(fd, events)
        self._ready[fd] = ready

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events."""
        self._set.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Wait for it no more; to be called before it is closed."""
        self._set.unregister(fd)
        del self._ready[fd]

    def wait(self, timeout_s: float | None) -> None:
        """Wait until something is ready, and call back; `None`: for as long as it takes.

        It may come back earlier than *timeout_s*, with nothing ready.
        """
        if timeout_s is not None:
            timeout_s = min(timeout_s, _LONGEST_S) * self._unit
        for fd, _ in self._poll(timeout_s):
            ready = self._ready.get(fd)
            if ready is not None:
                ready()

    def wake_up_on(self, numbers: Iterable[signal.Signals]) -> None:
        """End `wait` when one of these signals comes, or has come. Nothing else is done."""
        fd = _signal_fd(numbers)

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)

        self.register(fd, drain)


def _signal_fd(numbers: Iterable[signal.Signals]) -> int:
    """Give a descriptor that can be read after a signal has come.

    Source: signalfd(2). The mask is an array of bits, of which 1,024 are read.
    """
    make: Any = getattr(ctypes.CDLL(None, use_errno=True), "signalfd", None)
    if make is None:
        return _signal_pipe(numbers)
    mask = (ctypes.c_ulong * (1024 // 8 // ctypes.sizeof(ctypes.c_ulong)))()
    for number in numbers:
        mask[0] |= 1 << (number - 1)
    fd: int = make(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return _signal_pipe(numbers)
    # What is blocked only waits to be read. A job begins with nothing blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    return fd


def _signal_pipe(numbers: Iterable[signal.Signals]) -> int:
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, _only_wake)
    return reader


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: what counts is the byte in the pipe."""
