"""Fixtures that the tests of every folder may ask for."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
sys.path += [str(ROOT), str(ROOT / "tests")]

from slurm_cluster import slurm, slurm_bare, slurm_cgroups  # noqa: E402 - found by the line before
from slurm_site import site_on  # noqa: E402 - as above

__all__ = ["site_on", "slurm", "slurm_bare", "slurm_cgroups"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a real Slurm, so that no test can forget to."""
    for item in items:
        if not set(__all__).isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slurm)
