"""A store that is served, and a real Ceph, each once per run."""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

# Found by the line before.
from objectstore_served import Served, Store


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """Give a store that runs through all tests. Leave it as you found it."""
    # What a person's own configuration says must not reach clients.
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    made = Served(tmp_path_factory.mktemp("s3") / "home")
    made.add_user("ann")
    made.add_user("bob")
    made.start()
    yield made

    assert 0 == made.stop()
    assert [] == [key.secret for key in made.users if key.secret in made.log()]
    assert "Traceback" not in made.log()


@pytest.fixture(scope="session", params=["embedded", pytest.param("radosgw", marks=pytest.mark.s3)])
def s3(request: pytest.FixtureRequest) -> Store:
    """Give each of the two stores that must do the same."""
    made = request.getfixturevalue(request.param)
    return Store(request.param, made.url, *made.users[:2])


@pytest.fixture
def boto(s3: Store) -> Any:
    return s3.client()


@pytest.fixture
def bucket(s3: Store, boto: Any) -> str:
    return s3.bucket(boto)
