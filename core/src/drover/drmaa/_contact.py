"""Contact strings: which backend, which session, which store."""

import re
import uuid
from typing import Final

from attrs import frozen

from drover.drmaa.vocabulary import InvalidContactStringException, fault

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_FORM: Final = "[BACKEND][;session=KEY][;home=FOLDER]"


@frozen(kw_only=True)
class Contact:
    """What a contact string says. What it does not say is `None`."""

    backend: str | None = None
    key: str | None = None
    """Names the session. The user may choose it; a second `initialize` with it finds the jobs."""
    home: str | None = None
    """The store's folder."""

    def __str__(self) -> str:
        parts = [
            self.backend,
            None if self.key is None else f"session={self.key}",
            # The last: a folder's name may hold anything.
            None if self.home is None else f"home={self.home}",
        ]
        return ";".join(part for part in parts if part is not None)


def new_key() -> str:
    """Name a session that nobody has named."""
    return uuid.uuid4().hex[:12]


def read_contact(given: str | bytes | None) -> Contact:
    """Read a contact string.

    Args:
        given: As `Session.contact` tells it, or a part of that: a backend alone, `session=KEY`
            alone. Empty or `None`: the default backend and a new session.

    Raises:
        InvalidContactStringException: It is none.
    """
    text = given.decode() if isinstance(given, bytes) else given or ""
    head, home_follows, home = text.partition("home=")
    if home_follows and (not home or head[-1:] not in {"", ";"}):
        raise _refused(text)
    parts = (head.removesuffix(";") if home_follows else head).split(";")
    backend: str | None = None
    key: str | None = None
    for part in parts if parts != [""] else ():
        name, equals, value = part.partition("=")
        if not equals and backend is None and _NAME.fullmatch(name):
            backend = name
        elif name == "session" and key is None and _NAME.fullmatch(value):
            key = value
        else:
            raise _refused(text)
    return Contact(backend=backend, key=key, home=home or None)


def _refused(text: str) -> Exception:
    return fault(
        InvalidContactStringException, f"{text!r} is no contact string; write it as {_FORM}"
    )
