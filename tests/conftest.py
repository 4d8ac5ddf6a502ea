"""Wheels and fresh environments, for tests of what is shipped."""

import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attrs import frozen

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from doors import Doors  # noqa: E402 - found by the line before

ROOT = HERE.parent


def must_run(words: Sequence[str | Path]) -> None:
    """Run a tool and show what it printed if it fails."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def build_wheels(target: Path, sources: Sequence[Path]) -> list[Path]:
    """Build a wheel of each source tree with the build backend of this environment."""
    must_run(
        [
            sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
            "--wheel-dir", target, *sources,
        ]
    )  # fmt: skip
    return sorted(target.glob("*.whl"))


@pytest.fixture(scope="session")
def build() -> Callable[[Path, Sequence[Path]], list[Path]]:
    """Build wheels into a folder."""
    return build_wheels


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the wheels of all distributions: those that SHIPPED_WHEELS holds, or freshly built."""
    given = os.environ.get("SHIPPED_WHEELS")
    if given:
        return sorted(Path(given).glob("*.whl"))
    plugins = sorted(path.parent for path in ROOT.glob("[lp]*s/*/pyproject.toml"))
    return build_wheels(tmp_path_factory.mktemp("wheels"), [ROOT, ROOT / "core", *plugins])


@frozen
class Place:
    """A fresh environment, and a store for it."""

    folder: Path
    home: Path

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, as a person would type it."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DROVER_", "PYTHON", "VIRTUAL_ENV"))
        }
        environment |= {"DROVER_HOME": str(self.home), "HOME": str(self.folder), **variables}
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="session")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Place]:
    """Make a fresh environment with some requirements in it."""

    def make(requirements: Sequence[str]) -> Place:
        folder = tmp_path_factory.mktemp("place")
        venv.create(folder, with_pip=True)
        # In the wheels session the file lies beside the copied tests.
        must_run(
            [
                folder / "bin/python", "-m", "pip", "install", "-c", ROOT / "constraints.txt",
                *requirements,
            ]
        )  # fmt: skip
        return Place(folder, tmp_path_factory.mktemp("home"))

    return make


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Open one store for a file of tests: an engine takes its time to start."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
        made = Doors(folder / "home", folder)
        yield made
        made.close()


@pytest.fixture
def doors(shop: Doors, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    """Give both doors, and see to it that the store is as good as before when the test is over."""
    monkeypatch.chdir(shop.folder)
    before = shop.states()
    yield shop
    shop.is_as_good_as_before()
    after = shop.states()
    assert before == {job: after[job] for job in before}
