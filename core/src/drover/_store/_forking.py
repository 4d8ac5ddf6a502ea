"""No connection is open while a process forks.

SQLite notes which locks it has on a file in memory that a fork copies, and the locks themselves are
not copied. Of two processes that go on with what one has opened, the one that closes last does not
see the other, and takes the log with its commits away under it: jobs are lost without a word. That
holds for what the child opens anew, too. So connections are closed before the fork, and each side
opens its own where it next needs one.

Source: sqlite.org/howtocorrupt.html, 2.6; tried with SQLite 3.40.
"""

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """What holds a connection."""

    def before_fork(self) -> None:
        """Close it, and keep it closed until after."""
        ...

    def after_fork(self, *, is_child: bool) -> None:
        """Let it be opened again."""
        ...


_known: Final[WeakSet[Forkable]] = WeakSet()


class _Fork(threading.local):
    """The fork that a thread is about to make."""

    told: tuple[Forkable, ...] = ()


_fork: Final = _Fork()


def register(store: Forkable) -> None:
    """Tell a store of every fork of this process, as long as it is there."""
    _known.add(store)


def _before() -> None:
    # In one order: two threads that fork at once would wait for each other.
    _fork.told = tuple(sorted(_known, key=id))
    for store in _fork.told:
        store.before_fork()


def _after(*, is_child: bool) -> None:
    for store in _fork.told:
        store.after_fork(is_child=is_child)
    _fork.told = ()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(is_child=False),
        after_in_child=lambda: _after(is_child=True),
    )
