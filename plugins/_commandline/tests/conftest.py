"""The made-up batch system, on PATH, with a folder of its own. Yours needs none of this."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = Path(__file__).parent / "bin"


@pytest.fixture(autouse=True, scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the commands be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("FQ_HOME", str(tmp_path_factory.mktemp("fq")))
        yield
