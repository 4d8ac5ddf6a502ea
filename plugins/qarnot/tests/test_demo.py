"""The demo has a server of its own, and never an account that costs money."""

import os
from pathlib import Path
from typing import Any

import pytest
from qarnot_live import Place

from drover.cli import _demo_system
from drover_qarnot.demo import NoServerError, own_server


def test_the_demo_s_server_runs_jobs_and_leaves(tmp_path: Path) -> None:
    """What a demo has started must be gone after it."""
    pytest.importorskip("starlette", reason="the extra `server` is not installed")
    with own_server(tmp_path) as table:
        (tmp_path / "client").mkdir()
        place = Place(tmp_path / "client", table)
        job = place.run("echo", "hello")
        place.close()
        assert job.stdout.read() == "hello\n"
    import requests

    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(table["url"], timeout=5)


def test_a_server_that_does_not_begin_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user reads what is missing, and waits for nothing."""
    monkeypatch.setattr("drover_qarnot.demo.sys.executable", "/bin/false")

    with pytest.raises(NoServerError), own_server(tmp_path):
        pass


def test_the_configured_account_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of the demo's server win over those of the user, and are gone afterwards."""
    names = ("DROVER_BACKENDS__QARNOT__URL", "DROVER_BACKENDS__QARNOT__SHARED_FILES")
    monkeypatch.setenv(names[0], "https://costs-money")
    monkeypatch.delenv(names[1], raising=False)

    class Entry:
        name = "qarnot"

        @staticmethod
        def load() -> Any:
            return _fake

    monkeypatch.setattr(_demo_system, "entry_points", lambda group: [Entry])
    with _demo_system.own_system("qarnot", tmp_path):
        inside = [os.environ.get(name) for name in names]
    with _demo_system.own_system("other", tmp_path):
        assert os.environ[names[0]] == "https://costs-money"

    assert inside == ["http://own", "true"]
    assert [os.environ.get(name) for name in names] == ["https://costs-money", None]


class _fake:  # noqa: N801 - stands for a function
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> dict[str, Any]:
        return {"url": "http://own", "shared_files": True}

    def __exit__(self, *_: object) -> None:
        return None
