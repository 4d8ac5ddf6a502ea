"""Buckets on another endpoint, by boto3: tried on the store of a live server."""

from pathlib import Path
from typing import Any

import pytest

from drover_qarnot.server._buckets import BucketsError, NoBucketError
from drover_qarnot.server._config import Storage, load_settings
from drover_qarnot.server._remote import RemoteBuckets

from .conftest import Server


class Tokens:
    """Accounts of whoever has a token here."""

    def __init__(self, **tokens: str) -> None:
        self._tokens = tokens

    def token_of(self, owner: str) -> str:
        return self._tokens[owner.partition("@")[0]]


@pytest.fixture
def remote(server: Server) -> Any:
    tokens: Any = Tokens(drover=server.facts["token"])
    return RemoteBuckets(Storage(url=server.facts["storage_url"]), tokens)


ME = "drover@localhost"


def test_objects_go_there_and_come_back(remote: Any, tmp_path: Path) -> None:
    """As with the server's own store, whatever their keys."""
    remote.ensure(ME, "remote-one")
    remote.ensure(ME, "remote-one")
    (tmp_path / "in").write_bytes(b"x" * 9_000_000)
    for key in ("a/b c+%&", "a/\u00e9", "b"):
        remote.send(ME, "remote-one", key, tmp_path / "in")
    found = list(remote.entries(ME, "remote-one", "a/"))
    remote.fetch(ME, "remote-one", "a/\u00e9", tmp_path / "out")

    assert ["a/b c+%&", "a/\u00e9"] == [one.key for one in found]
    assert 9_000_000 == found[0].size == (tmp_path / "out").stat().st_size
    assert remote.exists(ME, "remote-one")
    assert remote.usage(ME)[0] >= 1


def test_what_is_not_there_lasts_and_who_does_not_answer_does_not(
    remote: Any, server: Server, tmp_path: Path
) -> None:
    """A task fails for the first, and waits for the second."""
    assert not remote.exists(ME, "remote-none")
    with pytest.raises(NoBucketError):
        list(remote.entries(ME, "remote-none", ""))
    with pytest.raises(NoBucketError):
        remote.send(ME, "remote-none", "x", Path(__file__))
    remote.ensure(ME, "remote-two")
    with pytest.raises(BucketsError) as told:
        remote.fetch(ME, "remote-two", "none", tmp_path / "x")
    assert told.value.lasting
    nobody: Any = Tokens(drover="x")
    silent = RemoteBuckets(Storage(url="http://127.0.0.1:9/s3"), nobody)
    with pytest.raises(BucketsError) as silence:
        silent.ensure(ME, "x")
    assert not silence.value.lasting


def test_a_home_names_its_endpoint(tmp_path: Path) -> None:
    """By configuration alone."""
    text = '[storage]\nurl = "https://s3.example.org"\nregion = "here"\n'
    (tmp_path / "qarnot.toml").write_text(text)

    assert Storage(url="https://s3.example.org", region="here") == load_settings(tmp_path).storage
