"""Fixtures that the tests of every folder may ask for."""

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent
sys.path += [str(ROOT), str(ROOT / "tests")]

# Found by the line before.
from gridengine_cluster import gridengine  # noqa: E402
from radosgw_cluster import radosgw  # noqa: E402
from slurm_cluster import slurm, slurm_bare, slurm_cgroups  # noqa: E402
from slurm_site import site_on  # noqa: E402

__all__ = ["gridengine", "radosgw", "site_on", "slurm", "slurm_bare", "slurm_cgroups"]
MARKS = dict.fromkeys(__all__, "slurm") | {"gridengine": "gridengine", "radosgw": "s3"}

# Long, and nothing in them is set up once for the file: any process may run any of their tests.
SPREAD = frozenset({
    *(f"plugins/slurm/tests/test_{name}.py" for name in (
        "argv", "dependencies", "ends", "faults_clients", "faults_controller", "faults_nodes",
        "limits", "steering", "typed",
    )),
    "tests/test_slurm_cluster.py",
})  # fmt: skip
# Files that stay with another one: to bring up one more Ceph would take longer than their tests.
BESIDE = {
    "plugins/qarnot/tests/server/test_on_radosgw.py": "libs/objectstore/tests/test_s3.py",
    "libs/objectstore/tests/test_wire.py": "libs/objectstore/tests/test_s3.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a real cluster, so that no test can forget to; begin with what is slow."""
    for item in items:
        for mark in {MARKS[name] for name in getattr(item, "fixturenames", ()) if name in MARKS}:
            item.add_marker(getattr(pytest.mark, mark))
    # Where several run at a time, the last to begin should not be the longest.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file together, as `--dist loadfile` does, save those of some files.

    The mark `xdist_group` would say it where it belongs; it has no effect with pytest 9.2.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def scope_of(nodeid: str) -> str:
    """Name what of a run stays in one process."""
    path = nodeid.partition("::")[0]
    return nodeid if path in SPREAD else BESIDE.get(path, path)
