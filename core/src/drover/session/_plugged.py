"""The plugins of a client process: for plans, output, diagnoses and preparation."""

import threading
from typing import Any, Final

from drover._plugins import (
    Backend,
    BackendContext,
    backend_names,
    lifecycle,
    load_backend,
    wrappers,
)
from drover._store import Store
from drover.config import Config
from drover.errors import DroverError, PluginError
from drover.models import JobSpec
from drover.session._status import BackendInfo


class Plugged:
    """Load plugins into a client process, once each."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._lock: Final = threading.Lock()
        self._backends: dict[str, Backend] = {}
        self._prepare: Any = None

    def context(self, name: str) -> BackendContext:
        """Make the context of a backend; of no backend if *name* is empty."""
        options = self._config.table(f"backends.{name}") if name else {}
        options.pop("plugin", None)
        return BackendContext(
            name=name,
            home=self._store.home,
            store_id=self._store.store_id,
            clock=self._store.clock,
            config=options,
        )

    def backend(self, name: str) -> Backend:
        """Give a backend, loaded now if need be.

        Raises:
            UnknownBackendError: Not installed.
            BrokenPluginError: It cannot be loaded.
        """
        with self._lock:
            known = self._backends.get(name)
            if known is None:
                known = load_backend(name, self.context(name), self._config)
                self._backends[name] = known
            return known

    def prepare(self, spec: JobSpec, backend: str) -> JobSpec:
        """Let plugins change a specification, one after the other.

        Raises:
            PluginError: One failed.
        """
        if self._prepare is None:
            plugins = wrappers(self.context(""), self._config)
            self._prepare = lifecycle(plugins).hook.drover_job_prepare.get_hookimpls()
        for implementation in self._prepare:
            arguments = {"spec": spec, "backend": backend}
            try:
                given = [arguments[name] for name in implementation.argnames]
                changed = implementation.function(*given)
            except DroverError:
                raise
            # A stranger's code: its fault is named, the submission fails.
            except Exception as exc:
                raise PluginError(
                    implementation.plugin_name, "drover_job_prepare", str(exc)
                ) from exc
            spec = changed if changed is not None else spec
        return spec

    def backends(self) -> list[BackendInfo]:
        """Describe what is installed or configured, by name."""
        out: list[BackendInfo] = []
        for name, entry in sorted(backend_names(self._config).items()):
            error, capabilities = "", None
            try:
                capabilities = self.backend(name).capabilities
            except DroverError as exc:
                error = str(exc)
            dist, _, number = entry.distribution.partition(" ")
            out.append(
                BackendInfo(
                    name=name,
                    plugin=entry.plugin,
                    distribution=dist,
                    version=number,
                    ok=not error,
                    error=error,
                    capabilities=capabilities,
                )
            )
        return out
