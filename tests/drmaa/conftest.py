"""The DRMAA face on real jobs: on this machine, on a real Slurm, on a real Grid Engine.

On clusters CI runs those marked `brief`; with `nox -s clusters -- -m thorough tests/drmaa` go all.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gridengine_site
import pytest
import slurm_site

import drover
from drover import drmaa
from drover.states import ENDED, State

sys.path.insert(0, str(Path(__file__).parent))

from face_hand import Make

BACKENDS = [
    "local",
    pytest.param("slurm", marks=pytest.mark.slurm),
    pytest.param("drmaa", marks=pytest.mark.gridengine),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `thorough` what takes its time on a cluster and is much the same on each."""
    for item in items:
        if item.path.parent != Path(__file__).parent or item.get_closest_marker("brief"):
            continue
        if item.get_closest_marker("slurm") or item.get_closest_marker("gridengine"):
            item.add_marker(pytest.mark.thorough)


def settings(name: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Give the variables by which drover finds a backend and is quick there."""
    if name == "slurm":
        return slurm_site.variables(request.getfixturevalue("slurm"))
    if name == "drmaa":
        return gridengine_site.variables(request.getfixturevalue("gridengine"))
    return {"DROVER_BACKENDS__LOCAL__IDLE_S": "1"}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name a backend, with a store for a file of tests: an engine takes its time to start."""
    home = tmp_path_factory.mktemp("face") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROVER_HOME", str(home))
        patch.setenv("DROVER_BACKEND", request.param)
        for name, value in settings(request.param, request).items():
            patch.setenv(name, value)
        yield request.param
        with drover.open(home) as session:
            session.cancel(session.jobs(state=set(State) - ENDED, newest=None), grace_s=0.1)
            session.engine_stop()


@pytest.fixture
def session(backend: str) -> Iterator[drmaa.Session]:
    """Give an active session; leave it if the test has not."""
    opened = drmaa.Session(backend)
    opened.initialize(backend)
    yield opened
    try:
        opened.control(drmaa.Session.JOB_IDS_SESSION_ALL, drmaa.JobControlAction.TERMINATE)
        opened.exit()
    except drmaa.NoActiveSessionException:
        return


@pytest.fixture
def make(session: drmaa.Session, tmp_path: Path) -> Make:
    """Make templates of shell scripts, in a folder of the test's own."""

    def shell(script: str, *args: str, **values: Any) -> drmaa.JobTemplate:
        template = session.createJobTemplate()
        template.remoteCommand = "/bin/sh"
        template.args = ["-c", script, "sh", *args]
        template.workingDirectory = str(tmp_path)
        for name, value in values.items():
            setattr(template, name, value)
        return template

    return shell
