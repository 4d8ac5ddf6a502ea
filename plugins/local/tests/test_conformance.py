"""The backend keeps what it declares."""

from drover.testing import BackendConformance


class TestConformance(BackendConformance):
    """Every check of drover's kit, on this machine."""

    backend_name = "local"
    backend_config = {"idle_s": 1}  # noqa: RUF012 - as the kit declares it
    timeout_s = 20.0
