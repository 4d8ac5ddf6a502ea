"""Fixtures that the tests of every folder may ask for."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
sys.path += [str(ROOT), str(ROOT / "tests")]

# Found by the line before.
from gridengine_cluster import gridengine  # noqa: E402
from slurm_cluster import slurm, slurm_bare, slurm_cgroups  # noqa: E402
from slurm_site import site_on  # noqa: E402

__all__ = ["gridengine", "site_on", "slurm", "slurm_bare", "slurm_cgroups"]
MARKS = dict.fromkeys(__all__, "slurm") | {"gridengine": "gridengine"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a real cluster, so that no test can forget to; begin with what is slow."""
    for item in items:
        for mark in {MARKS[name] for name in getattr(item, "fixturenames", ()) if name in MARKS}:
            item.add_marker(getattr(pytest.mark, mark))
    # Where several run at a time, the last to begin should not be the longest.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
