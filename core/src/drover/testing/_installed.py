"""Backends that are installed for a test, in this process alone."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import Any, Final, cast

from drover._plugins import BACKENDS, found

_FACTORIES: Final[dict[str, Callable[[Any], object]]] = {}


class _TestPoint(EntryPoint):
    """An entry point whose factory is at hand."""

    def load(self) -> Any:
        """Give the factory."""
        return _FACTORIES[self.name]


@contextmanager
def installed(name: str, factory: Callable[[Any], object]) -> Generator[None]:
    """Let this process find a backend under *name*, as if its distribution were installed.

    Engines in other processes do not see it: open sessions with `engine="inline"`.

    Args:
        name: As users write it in `backend=`. It hides an installed one of that name.
        factory: Given a Context, makes the backend object.
    """
    points = cast("dict[str, EntryPoint]", found(BACKENDS))
    hidden = points.get(name)
    _FACTORIES[name] = factory
    points[name] = _TestPoint(name=name, value="drover.testing:SimulatedBackend", group=BACKENDS)
    try:
        yield
    finally:
        del _FACTORIES[name]
        del points[name]
        if hidden is not None:
            points[name] = hidden
