"""Plugins: found by entry point, loaded lazily, validated, called with care."""

from drover._plugins._context import BackendContext, CompletedCommand
from drover._plugins._environment import scrubbed
from drover._plugins._registry import (
    ALL_HOOKS,
    BACKEND_HOOKS,
    BACKENDS,
    COMMANDS,
    LIFECYCLE_HOOKS,
    PLUGINS,
    Backend,
    BackendName,
    assemble,
    backend_names,
    broken_plugins,
    found,
    lifecycle,
    load_backend,
    load_entry,
    named,
    wrappers,
)

__all__ = [
    "ALL_HOOKS",
    "BACKENDS",
    "BACKEND_HOOKS",
    "COMMANDS",
    "LIFECYCLE_HOOKS",
    "PLUGINS",
    "Backend",
    "BackendContext",
    "BackendName",
    "CompletedCommand",
    "assemble",
    "backend_names",
    "broken_plugins",
    "found",
    "lifecycle",
    "load_backend",
    "load_entry",
    "named",
    "scrubbed",
    "wrappers",
]
