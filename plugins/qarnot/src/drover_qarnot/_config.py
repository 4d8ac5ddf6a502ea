"""The table `[backends.qarnot]` of the configuration, and where the token comes from."""

import configparser
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from drover.errors import ConfigError
from drover.models import read_settings

DEFAULT_URL: Final = "https://api.qarnot.com"


@frozen(kw_only=True)
class QarnotConfig:
    """How one account is spoken to. Times in seconds."""

    url: str = ""
    """The cluster's URL; else from `config_file`, from QARNOT_CLUSTER_URL, or Qarnot's own."""
    storage_url: str = ""
    """The S3 endpoint; else what the cluster says."""
    token_file: str = ""
    """A file that holds the token and nothing else, for its owner alone."""
    config_file: str = ""
    """A `qarnot.conf` as the official package reads it."""
    profile: str = "docker-batch"
    """What tasks run in unless `resources.queue` names another."""
    command_constant: str = "DOCKER_CMD"
    """The profile's constant that takes a command line."""
    python: str = "python3"
    """Python 3.6 or newer in the profile's image."""
    image: str = "python:3.12-slim"
    """The container of jobs that name none: `REPOSITORY:TAG`. Empty: the profile's own."""
    shared_files: bool = False
    """Whether the nodes see this machine's files under the same names, as with a server of one's
    own: jobs then run in `cwd`. Else they run in a folder of their own."""
    certificate_file: str = ""
    """Of the authority that signed the cluster's certificate, and the store's."""
    poll_s: float = 2.0
    idle_poll_s: float = 10.0
    missing_grace_s: float = 60.0
    """How long a task may be listed nowhere before it is LOST."""
    timeout_s: float = 20.0
    """How long one request may take."""
    retries: int = 3
    """How often one that may be repeated is tried again when the connection fails."""
    retry_wait_s: float = 0.5
    """Before the first of them; it doubles."""
    record_grace_s: float = 15.0
    """How long an instance that has ended may lack its exit record while its task goes on."""

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> "QarnotConfig":
        """Read the table of the instance *name*.

        Raises:
            ConfigError: A value of the wrong kind.
            UnknownFieldError: A name that is not there.
        """
        return read_settings(cls, f"backends.{name}", table)


class NoAccountError(ConfigError):
    """Nothing says who we are: this backend is not in use."""


@frozen(kw_only=True)
class Account:
    """Whom to speak to, and as whom."""

    url: str
    storage_url: str | None
    token: str = field(repr=False)
    origin: str
    """Where the token was found, for people."""


def find_account(name: str, config: QarnotConfig, environ: Mapping[str, str]) -> Account:
    """Find URL and token: in the table, in the file that it names, in the environment.

    Raises:
        NoAccountError: There is no token.
        ConfigError: The file that is named for it cannot be read, or is open to others.
    """
    parser = configparser.ConfigParser()
    if config.config_file:
        path = Path(config.config_file).expanduser()
        key = f"backends.{name}.config_file"
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, configparser.Error) as error:
            raise ConfigError(key, f"it cannot be read: {error}") from error
        _check_private(key, path)

    def told(section: str, key: str) -> str:
        return parser.get(section, key, fallback="")

    url = config.url or told("cluster", "url") or environ.get("QARNOT_CLUSTER_URL", "")
    storage = config.storage_url or told("storage", "url") or environ.get("QARNOT_STORAGE_URL", "")
    sources = (
        (f"token_file {config.token_file!r}", _token_of(name, config)),
        (f"config_file {config.config_file!r}", told("client", "token") or told("client", "auth")),
        ("QARNOT_CLIENT_TOKEN", environ.get("QARNOT_CLIENT_TOKEN", "")),
    )
    for origin, token in sources:
        if token:
            return Account(
                url=(url or DEFAULT_URL).rstrip("/"),
                storage_url=storage or None,
                token=token,
                origin=origin,
            )
    raise NoAccountError(
        f"backends.{name}.token_file",
        "there is no token: name a file that holds it, or a qarnot.conf as config_file, or set "
        "QARNOT_CLIENT_TOKEN",
    )


def _token_of(name: str, config: QarnotConfig) -> str:
    if not config.token_file:
        return ""
    key = f"backends.{name}.token_file"
    path = Path(config.token_file).expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(key, f"it cannot be read: {error}") from error
    _check_private(key, path)
    if not token:
        raise ConfigError(key, f"{str(path)!r} is empty")
    return token


def _check_private(key: str, path: Path) -> None:
    """Refuse a secret that others can read: whoever has the token is the account."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(key, f"{str(path)!r} can be read by others; chmod 600 it")


def account_of_process(name: str, config: QarnotConfig) -> Account:
    """Find the account with this process's environment."""
    return find_account(name, config, os.environ)
