"""Where URL and token come from, and that a token stays private."""

from pathlib import Path

import pytest

from drover.errors import ConfigError, UnknownFieldError
from drover_qarnot._config import DEFAULT_URL, QarnotConfig, find_account


def private(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def test_a_file_with_the_token_wins(tmp_path: Path) -> None:
    """Who names a file means it, whatever else is set."""
    config = QarnotConfig(token_file=private(tmp_path / "token", "from-file\n"))
    account = find_account("q", config, {"QARNOT_CLIENT_TOKEN": "from-environment"})

    assert (account.token, account.url) == ("from-file", DEFAULT_URL)


def test_the_official_configuration_is_read(tmp_path: Path) -> None:
    """Who has used the official package has such a file already."""
    text = "[cluster]\nurl=https://c\n[client]\ntoken=secret\n[storage]\nurl=https://s\n"
    config = QarnotConfig(config_file=private(tmp_path / "qarnot.conf", text))
    account = find_account("q", config, {})

    assert (account.url, account.storage_url, account.token) == (
        "https://c", "https://s", "secret",
    )  # fmt: skip


def test_the_environment_is_the_last_resort() -> None:
    """The official package's variables are known."""
    told = {"QARNOT_CLUSTER_URL": "http://c/", "QARNOT_CLIENT_TOKEN": "t"}
    account = find_account("q", QarnotConfig(), told)

    assert (account.url, account.token) == ("http://c", "t")


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    """What is printed ends up in logs."""
    config = QarnotConfig(token_file=private(tmp_path / "token", "hunter2"))

    assert "hunter2" not in repr(find_account("q", config, {}))


@pytest.mark.parametrize("fault", ["missing", "empty", "open to others", "nowhere"])
def test_a_token_that_cannot_be_had_is_told(tmp_path: Path, fault: str) -> None:
    """The message names the key, and what to do."""
    path = tmp_path / "token"
    if fault != "missing":
        private(path, "" if fault == "empty" else "t")
    if fault == "open to others":
        path.chmod(0o644)
    config = QarnotConfig(token_file="" if fault == "nowhere" else str(path))

    with pytest.raises(ConfigError, match="token_file"):
        find_account("q", config, {})


def test_a_misspelt_setting_is_refused() -> None:
    """A setting that is passed over is worse than an error."""
    with pytest.raises(UnknownFieldError):
        QarnotConfig.read("q", {"profil": "x"})
    with pytest.raises(ConfigError):
        QarnotConfig.read("q", {"retries": -1})
