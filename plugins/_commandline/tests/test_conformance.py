"""The backend keeps what it declares."""

from drover.testing import BackendConformance


class TestConformance(BackendConformance):
    """Every check of drover's kit, on this backend."""

    backend_name = "skeleton"
