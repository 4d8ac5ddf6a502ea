"""Find and load plugins: by entry point, lazily, by name. A broken one harms nobody else."""

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast

import pluggy
from attrs import frozen

from drover._plugins._answers import checked
from drover._plugins._context import BackendContext
from drover.config import Config
from drover.errors import (
    BrokenPluginError,
    ConfigError,
    DroverError,
    MisspeltHookError,
    PluginError,
    UnknownBackendError,
)
from drover.hookspecs import PROJECT, BackendHooks, LifecycleHooks
from drover.models import Capabilities

BACKENDS: Final = "drover.backends"
PLUGINS: Final = "drover.plugins"
COMMANDS: Final = "drover.commands"

_OURS: Final = ("local", "slurm", "drmaa", "qarnot", "playmolecule")
_MARK: Final = f"{PROJECT}_impl"


def _hooks_of(spec: type) -> tuple[str, ...]:
    return tuple(name for name in vars(spec) if name.startswith("drover_"))


BACKEND_HOOKS: Final = _hooks_of(BackendHooks)
LIFECYCLE_HOOKS: Final = _hooks_of(LifecycleHooks)
ALL_HOOKS: Final = (*BACKEND_HOOKS, *LIFECYCLE_HOOKS)


@cache
def found(group: str) -> Mapping[str, EntryPoint]:
    """List the entry points of a group by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def load_entry(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        BrokenPluginError: It cannot be imported; the error carries the traceback.
    """
    try:
        return point.load()
    # A plugin's import runs any code: whatever it raises is that plugin's fault alone.
    except (Exception, SystemExit) as exc:
        why = f"{type(exc).__name__}: {exc}"
        raise BrokenPluginError(point.name, why, traceback.format_exc()) from exc


@frozen(kw_only=True)
class BackendName:
    """A backend that users can name, and the plugin behind it."""

    name: str
    plugin: str
    point: EntryPoint | None
    """`None`: configured, but its plugin is not installed."""
    options: Mapping[str, Any]

    @property
    def distribution(self) -> str:
        """Name the distribution and its version, as installed."""
        dist = self.point.dist if self.point else None
        return f"{dist.name} {dist.version}" if dist else ""


def backend_names(config: Config) -> dict[str, BackendName]:
    """List the backends that are installed or configured; nothing is imported."""
    points = found(BACKENDS)
    out = {
        name: BackendName(name=name, plugin=name, point=point, options={})
        for name, point in points.items()
    }
    for name, table in config.table("backends").items():
        if not isinstance(table, dict):
            raise ConfigError(f"backends.{name}", "is not a table; write [backends.NAME]")
        options = dict(cast("dict[str, Any]", table))
        plugin = options.pop("plugin", name)
        out[name] = BackendName(name=name, plugin=plugin, point=points.get(plugin), options=options)
    return out


def named(name: str, config: Config) -> BackendName:
    """Find a backend by name.

    Raises:
        UnknownBackendError: There is none; the error says what to install.
    """
    names = backend_names(config)
    known = names.get(name)
    if known is None or known.point is None:
        plugin = known.plugin if known else name
        distribution = f"drover-{plugin}" if plugin in _OURS else ""
        installed = [entry.name for entry in names.values() if entry.point]
        raise UnknownBackendError(plugin, installed, distribution)
    return known


class Backend:
    """A loaded backend behind its hooks."""

    def __init__(self, name: str, manager: pluggy.PluginManager) -> None:
        self.name: Final = name
        self._hook: Final = manager.hook
        self.capabilities: Final[Capabilities] = self.call("drover_capabilities") or Capabilities()

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call one hook.

        Raises:
            PluginError: It raised; the cause is kept. A DroverError comes as it is. Or it
                answered what cannot be used; of rows, those that can are given.
        """
        try:
            answer = getattr(self._hook, hook)(**arguments)
        except DroverError:
            raise
        # Whatever a plugin raises is that plugin's fault: it fails this call alone.
        except Exception as exc:
            raise PluginError(self.name, hook, f"{type(exc).__name__}: {exc}") from exc
        return checked(self.name, hook, answer)


def load_backend(name: str, context: BackendContext, config: Config) -> Backend:
    """Make a backend object with the wrappers that are installed around it.

    Raises:
        UnknownBackendError: Not installed.
        BrokenPluginError: It cannot be imported or made.
        MisspeltHookError: It implements a hook that does not exist.
    """
    entry = named(name, config)
    assert entry.point is not None
    factory = load_entry(entry.point)
    return assemble(name, _make(entry.plugin, factory, context), wrappers(context, config))


def _make(plugin: str, factory: Callable[[Any], Any], context: BackendContext) -> Any:
    try:
        return factory(context)
    except DroverError:
        raise
    # As in load_entry: any code of a stranger.
    except (Exception, SystemExit) as exc:
        why = f"its factory raised {type(exc).__name__}: {exc}"
        raise BrokenPluginError(plugin, why, traceback.format_exc()) from exc


def assemble(name: str, implementation: object, around: Mapping[str, object]) -> Backend:
    """Put a backend object and wrappers behind the hooks."""
    manager = _manager()
    register(manager, name, implementation)
    for plugin, wrapper in around.items():
        _refuse_non_wrappers(plugin, wrapper)
        register(manager, plugin, wrapper)
    return Backend(name, manager)


def lifecycle(plugins: Mapping[str, object]) -> pluggy.PluginManager:
    """Put observers and policies behind the lifecycle hooks."""
    manager = _manager()
    for name, plugin in plugins.items():
        register(manager, name, plugin)
    return manager


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(BackendHooks)
    manager.add_hookspecs(LifecycleHooks)
    return manager


def register(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    """Register an object and refuse what pluggy would pass over in silence.

    Raises:
        MisspeltHookError: A hook that does not exist.
        BrokenPluginError: A hook with wrong arguments, or without its mark.
    """
    for hook, function in _methods(plugin):
        marked = hasattr(function, _MARK)
        if marked and hook not in ALL_HOOKS:
            raise MisspeltHookError(name, hook, ALL_HOOKS)
        if not marked and hook in ALL_HOOKS:
            raise BrokenPluginError(name, f"{hook} has no @hookimpl, it would never be called")
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as exc:
        raise BrokenPluginError(name, str(exc)) from exc


def _methods(plugin: object) -> Iterator[tuple[str, Any]]:
    for name in dir(plugin):
        if name.startswith("drover_") or hasattr(inspect.getattr_static(plugin, name, None), _MARK):
            yield name, getattr(plugin, name)


def _refuse_non_wrappers(plugin: str, implementation: object) -> None:
    for hook, function in _methods(implementation):
        options = getattr(function, _MARK, None)
        if hook in BACKEND_HOOKS and options and not options["wrapper"]:
            raise BrokenPluginError(
                plugin, f"{hook} must be a wrapper: @hookimpl(wrapper=True); it is no backend"
            )


def wrappers(context: BackendContext, config: Config) -> dict[str, object]:
    """Make the plugins of the group `drover.plugins` that are active.

    One that cannot be made is left out; `broken_plugins` tells of it.
    """
    return dict(_plugins(context, config))


def broken_plugins(context: BackendContext, config: Config) -> list[PluginError]:
    """Try to make every plugin, and list those that cannot be made."""
    broken: list[PluginError] = []
    list(_plugins(context, config, broken))
    return broken


def _plugins(
    context: BackendContext, config: Config, broken: list[PluginError] | None = None
) -> Iterator[tuple[str, object]]:
    off = config.get("plugins.disabled", [])
    for name, point in sorted(found(PLUGINS).items()):
        if name in off:
            continue
        own = BackendContext(
            name=name,
            home=context.home,
            store_id=context.store_id,
            clock=context.clock,
            epoch=context.epoch,
            config=config.table(f"plugins.{name}"),
            around=context.name,
        )
        try:
            made = _make(name, load_entry(point), own)
            _refuse_non_wrappers(name, made)
            register(_manager(), name, made)
        except DroverError as exc:
            if broken is not None:
                told = exc if isinstance(exc, PluginError) else BrokenPluginError(name, str(exc))
                broken.append(told)
            continue
        yield name, made
