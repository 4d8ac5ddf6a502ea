"""The backend keeps what it declares, on a real Slurm."""

import pytest

from drover.testing import BackendConformance


@pytest.mark.slurm
class TestConformance(BackendConformance):
    """Every check of drover's kit, on this backend."""

    backend_name = "slurm"
