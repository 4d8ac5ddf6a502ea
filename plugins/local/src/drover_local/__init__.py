"""Run jobs on this machine: the backend `local`.

`LocalBackend` is loaded on first use, so that the agent, which lives in this package too and
should stay small, does not pull the core in.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drover_local._backend import LocalBackend

__all__ = ["LocalBackend"]


def __getattr__(name: str) -> Any:
    if name == "LocalBackend":
        from drover_local._backend import LocalBackend

        return LocalBackend
    raise AttributeError(name)
