"""The one DRMAA session of this process."""

import os
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

from drover.drmaa._contact import Contact, new_key
from drover.drmaa._roll import Roll
from drover.drmaa._translating import translated
from drover.drmaa.vocabulary import (
    AlreadyActiveSessionException,
    DefaultContactStringException,
    DrmsInitException,
    ExitTimeoutException,
    InvalidContactStringException,
    NoActiveSessionException,
    fault,
)
from drover.errors import UnknownBackendError
from drover.session import open_session
from drover.session._watch import Watch

LEAVE_S: Final = 0.5
"""How long a waiting thread may take to notice that the session is left."""


class Attached:
    """An open session: a store, a backend, and the jobs submitted under one key."""

    def __init__(self, contact: Contact) -> None:
        with translated(DrmsInitException):
            self.session = open_session(contact.home, backend=contact.backend)
        try:
            self.backend: Final = self.session.default_backend
            self._load(named=contact.backend is not None)
            self.contact: Final = Contact(
                backend=self.backend, key=contact.key or new_key(), home=str(self.session.home)
            )
            with translated(DrmsInitException):
                self.roll = Roll(self.session, str(self.contact.key))
        except BaseException:
            self.session.close()
            raise
        self.inside: Counter[int] = Counter()
        """How many calls are in it, by thread."""
        self.leaving = False
        self.left = False
        """Whether nobody waits to close it: the last call does."""

    def _load(self, *, named: bool) -> None:
        try:
            with translated(DrmsInitException):
                self.session.load_backend(self.backend)
        except DrmsInitException as exc:
            if not isinstance(exc.__cause__, UnknownBackendError):
                raise
            kind = InvalidContactStringException if named else DefaultContactStringException
            raise fault(kind, str(exc.__cause__)) from exc

    def turns(self, timeout: float) -> Iterator[None]:
        """Take turns until the time is over, or the session is left: look, then go on.

        Between two turns something has happened in the store, or a while has passed.

        Args:
            timeout: In seconds; -1 for ever, 0 for one turn.

        Raises:
            ExitTimeoutException: The time is over.
        """
        clock = self.session.store.clock
        deadline = float("inf") if timeout < 0 else clock.monotonic() + timeout
        yield
        if timeout != 0:
            watch = Watch(self.session.store, self.session.care)
            try:
                while clock.monotonic() < deadline and not self.leaving:
                    watch.wait(min(deadline, clock.monotonic() + LEAVE_S))
                    yield
            finally:
                watch.close()
        why = "the session was left" if self.leaving else "the time to wait ran out"
        raise fault(ExitTimeoutException, why)

    def close(self) -> None:
        """Let go of everything. Jobs go on."""
        self.roll.close()
        self.session.close()


class Gate:
    """Let calls into the session, and nobody when there is none."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._attached: Attached | None = None
        self._inherited: Attached | None = None
        """Of the parent of a forked process: its connections must not be used here, nor closed."""

    def initialize(self, contact: Contact) -> None:
        """Open the session.

        Raises:
            AlreadyActiveSessionException: There is one.
        """
        with self._condition:
            if self._attached is not None or self._inherited is not None:
                raise fault(AlreadyActiveSessionException, "a session is active already")
            self._attached = Attached(contact)

    def exit(self) -> None:
        """Leave the session, once every call of other threads has come back.

        Raises:
            NoActiveSessionException: There is none.
        """
        mine = threading.get_ident()
        with self._condition:
            attached = self._current()
            self._attached = None
            attached.leaving = True
            while attached.inside.keys() - {mine}:
                self._condition.wait()
            # A handler of signals: the call that it interrupted cannot come back before it.
            attached.left = bool(attached.inside)
        if not attached.left:
            attached.close()

    @property
    def active(self) -> Attached | None:
        """Give the session, if there is one, to look at its fixed facts."""
        with self._condition:
            return self._attached or self._inherited

    def refuse_without_session(self) -> None:
        """Refuse what makes no sense outside of a session.

        Raises:
            NoActiveSessionException: There is none.
        """
        with self._condition:
            self._current()

    @contextmanager
    def entered(self) -> Generator[Attached]:
        """Give the session, which is not closed before this is over.

        Raises:
            NoActiveSessionException: There is none.
        """
        mine = threading.get_ident()
        with self._condition:
            attached = self._current()
            attached.inside[mine] += 1
        try:
            with translated():
                yield attached
        finally:
            with self._condition:
                attached.inside[mine] -= 1
                # Without those that are 0.
                attached.inside = +attached.inside
                is_last = attached.left and not attached.inside
                self._condition.notify_all()
            if is_last:
                attached.close()

    def _current(self) -> Attached:
        if self._attached is None and self._inherited is not None:
            # Bound before the attempt: a child that cannot open it has none.
            contact = self._inherited.contact
            _LEFT.append(self._inherited)
            self._inherited = None
            self._attached = Attached(contact)
        if self._attached is None:
            raise fault(NoActiveSessionException, "no session is active; call initialize() first")
        return self._attached

    def after_fork(self) -> None:
        """Begin anew in a forked process: it opens the same session by its contact string."""
        self._condition = threading.Condition()
        self._inherited = self._attached or self._inherited
        self._attached = None


_LEFT: Final[list[Attached]] = []
"""Sessions of a parent process, kept so that nothing closes them here."""
GATE: Final = Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=GATE.after_fork)
