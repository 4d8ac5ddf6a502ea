"""One server of our own for all tests of the backend, and a session that uses it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Test files are imported by path (importlib mode): what they share has to be found by name.
sys.path.insert(0, str(Path(__file__).parent))

from qarnot_live import LiveServer, Place, live_server, stop_server


@pytest.fixture(scope="session")
def qarnot_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Give a server that all tests share."""
    pytest.importorskip("starlette", reason="the extra `server` is not installed")
    server = live_server(tmp_path_factory.mktemp("qarnot") / "server")
    yield server
    stop_server(server.process)


@pytest.fixture(scope="session")
def away(qarnot_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a session for which the nodes are elsewhere: nothing is shared."""
    config = {**qarnot_server.config, "shared_files": False, "image": ""}
    place = Place(tmp_path_factory.mktemp("away"), config)
    yield place
    place.close()


@pytest.fixture(scope="session")
def connection(qarnot_server: LiveServer) -> Any:
    """Give the official package's own connection, to see what the cloud has."""
    qarnot = pytest.importorskip("qarnot")
    return qarnot.Connection(client_token=qarnot_server.token, cluster_url=qarnot_server.url)
