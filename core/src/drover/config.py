"""Settings: from files and variables, each with where it came from.

Later wins: the user's `config.toml`, the project's `drover.toml` (looked for from the working
directory upwards), variables `DROVER_*`. In variables two underscores go one table down:
`DROVER_BACKENDS__CLUSTER__PLUGIN=slurm` is `plugin` in `[backends.cluster]`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import platformdirs
from attrs import field, frozen

from drover.errors import ConfigError, did_you_mean

FILE: Final = "drover.toml"
_TOP: Final = ("backend", "backends", "drmaa", "engine", "home", "plugins")
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {"drmaa": ("categories",), "engine": ("idle_s",)}
"""What a table holds that is not open to names of the user's own."""
_TEXTS: Final = ("backend", "home")
# Variables that are told to jobs or read before any setting; they are no settings.
_TOLD: Final = (
    "DROVER_ARRAY_ID", "DROVER_ARRAY_INDEX", "DROVER_ATTEMPT", "DROVER_JOB_ID", "DROVER_RESTART",
    "DROVER_TOKEN",
)  # fmt: skip
_OTHER: Final = (*_TOLD, "DROVER_BOOT_ID", "DROVER_DEBUG", "DROVER_TRACE")


@frozen(kw_only=True)
class Setting:
    """One value and where it came from."""

    key: str
    """Dotted: `backends.cluster.plugin`."""
    value: Any
    origin: str
    """A file's path, or a variable's name."""


@frozen(kw_only=True)
class Config:
    """All settings of a process."""

    settings: Mapping[str, Setting] = field(factory=dict[str, Setting])
    project: Path | None = None
    """The folder of the project's file, if there is one."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read one value by its dotted key."""
        setting = self.settings.get(key)
        return default if setting is None else setting.value

    def path(self, key: str) -> Path | None:
        """Read a path; a relative one begins at the folder of the file that it stands in."""
        setting = self.settings.get(key)
        if setting is None or not setting.value:
            return None
        # Of a variable this is the working directory: its name has no folder.
        return Path(setting.origin).parent / Path(setting.value).expanduser()

    def table(self, prefix: str) -> dict[str, Any]:
        """Read a table as nested mappings; empty if there is none."""
        out: dict[str, Any] = {}
        for key, setting in self.settings.items():
            if not key.startswith(prefix + "."):
                continue
            *path, last = key[len(prefix) + 1 :].split(".")
            inner = out
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = setting.value
        return out


def load(start: Path | None = None, variables: Mapping[str, str] | None = None) -> Config:
    """Read all settings.

    Args:
        start: Where to look for the project's file; `None` is the working directory.
        variables: `None` is this process's environment.

    Raises:
        ConfigError: A file cannot be read, or has a key that nobody knows.
    """
    settings: dict[str, Setting] = {}
    user = Path(platformdirs.user_config_dir("drover", appauthor=False)) / "config.toml"
    project = _project_file(start or _here())
    for path in (user, project):
        if path is not None and _is_there(path):
            settings.update((setting.key, setting) for setting in _read_file(path))
    for setting in _read_variables(os.environ if variables is None else variables):
        settings[setting.key] = setting
    for setting in settings.values():
        _check(setting)
    return Config(settings=settings, project=None if project is None else project.parent)


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as exc:
        why = "was deleted, and settings are looked for from it upwards. Change to another"
        raise ConfigError("the working directory", why) from exc


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as exc:
        # Somebody else's home folder, as under `sudo`: with its settings unread, all may differ.
        raise ConfigError(str(path), f"cannot be read: {exc.strerror}") from exc


def _project_file(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def _read_file(path: Path) -> Iterator[Setting]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(str(path), f"cannot be read: {exc}") from exc
    yield from _flatten(content, "", str(path))


def _flatten(table: Mapping[str, Any], prefix: str, origin: str) -> Iterator[Setting]:
    for key, value in table.items():
        if "." in key:
            raise ConfigError(
                origin, f"the name {key!r} has a dot, which parts tables; use another"
            )
        if isinstance(value, dict) and value:
            yield from _flatten(cast("dict[str, Any]", value), f"{prefix}{key}.", origin)
        else:
            yield Setting(key=prefix + key, value=value, origin=origin)


def setting_variables(variables: Mapping[str, str]) -> list[str]:
    """List the names that are settings, and not what drover tells a job about itself."""
    return sorted(n for n in variables if n.startswith("DROVER_") and n not in _TOLD)


def _read_variables(variables: Mapping[str, str]) -> Iterator[Setting]:
    for name in sorted(variables):
        if name.startswith("DROVER_") and name not in _OTHER:
            key = name.removeprefix("DROVER_").lower().replace("__", ".")
            text = variables[name]
            yield Setting(key=key, value=text if key in _TEXTS else _value(text), origin=name)


def _value(text: str) -> Any:
    """Read a variable as a TOML value where it is one: numbers, true, lists; else as text."""
    try:
        read = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["v"] if len(read) == 1 else text


def _check(setting: Setting) -> None:
    top, _, rest = setting.key.partition(".")
    known: tuple[str, ...] = _TOP
    owner = "settings"
    if top in _TOP:
        part = rest if top == "engine" else rest.partition(".")[0]
        if top not in _PARTS or part in _PARTS[top]:
            _check_value(setting)
            return
        known, owner = _PARTS[top], f"[{top}]"
    word = rest if top in _TOP and rest else setting.key
    raise ConfigError(
        setting.origin,
        f"{setting.key!r} is not known{did_you_mean(word, known)} "
        f"{owner.capitalize()} are: {', '.join(known)}",
    )


def _check_value(setting: Setting) -> None:
    wanted = _wanted(setting.key, setting.value)
    if wanted:
        raise ConfigError(setting.origin, f"{setting.key} is {setting.value!r}; give {wanted}")


def _wanted(key: str, value: Any) -> str:
    """Say what a setting's value has to be, or nothing if it is so."""
    path = key.split(".")
    if key in _TEXTS or (path[0] == "backends" and path[2:] == ["plugin"]):
        return "" if isinstance(value, str) else "text"
    if path[0] in {"backends", "plugins"} and len(path) == 1:
        return "" if value == {} else f"a table: [{key}.NAME]"
    if key == "plugins.disabled":
        return "" if isinstance(value, list) else "a list of names"
    if path[0] in {"backends", "plugins"} and len(path) == 2:
        return "" if value == {} else f"a table: [{key}]"
    if path[0] == "drmaa" and len(path) < 4:
        return "" if value == {} else "a table: [drmaa.categories.NAME]"
    if key == "engine.idle_s":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if is_number and value >= 0 else "a number of seconds, 0 or more"
    return ""
