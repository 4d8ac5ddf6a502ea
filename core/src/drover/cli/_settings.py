"""What every command is given: the chosen store, and how to open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import define

if TYPE_CHECKING:
    from drover.session import Session

Engine = Literal["auto", "inline", "none"]
Opener = Callable[..., Any]


def _open_really(home: Path | None, *, engine: Engine, backend: str | None) -> Session:
    import drover

    return drover.open(home, engine=engine, backend=backend)


@define
class Settings:
    """Carry the global options from the command line to a command."""

    home: Path | None = None
    """`None`: DROVER_HOME, or the user's data folder."""
    opener: Opener = _open_really

    def open(self, *, engine: Engine = "auto", backend: str | None = None) -> Session:
        """Open the chosen store. Used as a context manager.

        Raises:
            StoreError: It cannot be opened.
        """
        session: Session = self.opener(self.home, engine=engine, backend=backend)
        return session
