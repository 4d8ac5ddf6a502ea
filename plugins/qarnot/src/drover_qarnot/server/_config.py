"""What a server's home says about it: profiles, limits, hardware, where buckets are."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import cattrs
from attrs import evolve, field, frozen

FILE: Final = "qarnot.toml"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
T = TypeVar("T")


class BadConfigError(ValueError):
    """The home's configuration cannot be used.

    Attributes:
        path: The file.
        why: What is wrong in it.
    """

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{str(path)!r} cannot be used: {why}")


@frozen(kw_only=True)
class ProfileConstant:
    """A constant that a profile knows."""

    name: str
    value: str = ""
    description: str = ""


@frozen(kw_only=True)
class Profile:
    """How tasks of one kind are run.

    The command is a list of words in which `${NAME}` stands for a constant or a variable. It never
    passes a shell, unless the profile itself names one.
    """

    name: str
    argv: tuple[str, ...] = ()
    """First words of the command."""
    command_line: str = ""
    """The constant whose text is split as Docker splits a command, behind the first words."""
    constants: tuple[ProfileConstant, ...] = ()
    environment: Mapping[str, str] = field(factory=dict[str, str])
    """Variables of every instance, beside the constants."""
    licenses: tuple[str, ...] = ()
    cpus: int = 1
    memory: int | None = None
    """Bytes per instance; `None`: no limit."""
    wall_time: float | None = None
    """Seconds per instance; `None`: no limit."""
    native: Mapping[str, Any] = field(factory=dict[str, Any])
    """Options for Drover's backend."""


@frozen(kw_only=True)
class Limits:
    """Sizes and counts above which a request is refused. Per account, save where it says."""

    tasks: int = 50_000
    jobs: int = 5_000
    pools: int = 500
    instances: int = 10_000
    """Of one task."""
    constants: int = 150
    """Of one task."""
    task_bytes: int = 2 << 20
    """Of the body of one task or pool."""
    task_buckets: int = 100
    """Resource buckets of one task."""
    buckets: int = 1_000
    bytes: int = 1 << 50
    secrets: int = 10_000
    secret_chars: int = 65_536
    bulk: int = 5_000
    """Tasks in one request."""
    body_bytes: int = 32 << 20
    """Of one request, of anybody."""
    output_bytes: int = 8 << 20
    """Of one stream of an instance that are told, the latest; the file keeps all."""
    result_files: int = 100_000
    """Of one instance."""
    layout_bytes: int = 1 << 40
    """Of the resources of one task."""
    page: int = 50
    """Tasks of a page, where the client does not say."""
    largest_page: int = 1_000


@frozen(kw_only=True)
class Hardware:
    """What an instance may ask for."""

    cores: int = 64
    memory_mb: int = 1 << 20
    gpus: int = 0
    cpu_models: tuple[str, ...] = ()
    specifications: tuple[str, ...] = ()


@frozen(kw_only=True)
class Storage:
    """An S3 endpoint in place of the server's own store.

    Its accounts are those of the server: the email is the access key, the token the secret.
    """

    url: str
    region: str = "us-east-1"


@frozen(kw_only=True)
class Credits:
    """What running costs, and what accounts may spend."""

    core_hour: float = 0.0
    """Euros for an hour of one processor."""
    each: float | None = None
    """Euros of an account that is not named; `None`: no limit."""
    accounts: Mapping[str, float] = field(factory=dict[str, float])
    """Euros by email."""


@frozen(kw_only=True)
class Settings:
    """All of it."""

    profiles: Mapping[str, Profile]
    limits: Limits = field(factory=Limits)
    hardware: Hardware = field(factory=Hardware)
    credits: Credits | None = None
    """`None`: nothing costs anything."""
    storage: Storage | None = None
    """`None`: the store in this process."""
    buckets: bool = True
    """`storage = false`: there are none, as the API's `/settings` can say."""
    strict_abort: bool = False
    """Whether the abort of a task that has ended is refused (403), as the SDK's manual says.
    `Task.run` with a time limit aborts every task at its end, and would fail."""
    snapshot_threads: int = 2
    workers: int = 4
    """Threads that lay out, submit and upload."""
    abort_wait_s: float = 2.0
    """How long the answer to an abort waits for its end."""


PROGRESS: Final = ("DOCKER_PROGRESS1", "DOCKER_PROGRESS2", "DOCKER_PROGRESS3")
"""Constants that are regular expressions, by which progress is read from the output."""
_PROGRESS: Final = "a regular expression that finds a percentage, or x and y of x/y, in a line"
_DOCKER: Final = (
    ProfileConstant(name="DOCKER_REPO", value="library/ubuntu", description="not used here"),
    ProfileConstant(name="DOCKER_TAG", value="latest", description="not used here"),
    ProfileConstant(name="DOCKER_CMD", description="the command, split as Docker does"),
    ProfileConstant(name="DOCKER_USER", description="not used here"),
    ProfileConstant(name="DOCKER_HOST", description="not used here"),
    ProfileConstant(name="DOCKER_SRV", description="not used here"),
    *(ProfileConstant(name=name, description=_PROGRESS) for name in PROGRESS),
    ProfileConstant(name="RESOURCES_PATH", value="/job", description="not used here"),
)
_DOCKERS: Final = ("docker-batch", "docker-network", "docker-cluster", "docker-cluster-network")


def default_profiles() -> dict[str, Profile]:
    """Make the profiles that a server has without being told of any."""
    found = {
        name: Profile(name=name, command_line="DOCKER_CMD", constants=_DOCKER)
        for name in (*_DOCKERS, "ubuntu")
    }
    found["python"] = Profile(
        name="python",
        argv=(sys.executable, "${PYTHON_SCRIPT}"),
        command_line="PYTHON_ARGS",
        constants=(
            ProfileConstant(name="PYTHON_SCRIPT", value="main.py", description="what is run"),
            ProfileConstant(name="PYTHON_ARGS", description="its arguments, split as Docker does"),
        ),
    )
    return found


def load_settings(home: Path) -> Settings:
    """Read `qarnot.toml` of a home; without one all has its default.

    Raises:
        BadConfigError: It cannot be used.
    """
    path = home / FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(profiles=default_profiles())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadConfigError(path, str(exc)) from exc
    profiles = {} if table.pop("default_profiles", True) is False else default_profiles()
    for name, row in _table(path, table.pop("profiles", {})).items():
        profiles[name] = _profile(path, name, row)
    storage = table.pop("storage", None)
    buckets = storage is not False
    credits_ = table.pop("credits", None)
    storage = storage or None
    settings = Settings(
        profiles=profiles,
        limits=_structure(path, Limits, table.pop("limits", {})),
        hardware=_structure(path, Hardware, table.pop("hardware", {})),
        credits=None if credits_ is None else _structure(path, Credits, credits_),
        storage=None if storage is None else _structure(path, Storage, storage),
        buckets=buckets,
    )
    known = {"strict_abort", "snapshot_threads", "workers", "abort_wait_s"}
    if strange := sorted(set(table) - known):
        raise BadConfigError(path, f"nobody knows {', '.join(strange)}")
    return evolve(settings, **table)


def _table(path: Path, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadConfigError(path, f"{value!r} should be a table")
    return cast("dict[str, Any]", value)


def _profile(path: Path, name: str, row: object) -> Profile:
    table = dict(_table(path, row))
    if not _NAME.fullmatch(name):
        raise BadConfigError(path, f"{name!r} is no name of a profile")
    constants = [
        {"name": key, **(value if isinstance(value, dict) else {"value": value})}
        for key, value in _table(path, table.pop("constants", {})).items()
    ]
    return _structure(path, Profile, {**table, "name": name, "constants": constants})


def _structure(path: Path, kind: type[T], value: object) -> T:
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(value, kind)
    except (cattrs.BaseValidationError, ValueError, TypeError) as exc:
        raise BadConfigError(path, "; ".join(cattrs.transform_error(exc))) from exc
