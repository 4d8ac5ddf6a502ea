"""The backend keeps what it declares, on a real Grid Engine."""

import pytest

from drover.testing import BackendConformance


@pytest.mark.gridengine
class TestConformance(BackendConformance):
    """Every check of drover's kit, on this backend."""

    backend_name = "drmaa"
