"""The conformance kit as a module that pytest can run, without a line of code.

pytest -p drover.testing.plugin --pyargs drover.testing.suite --drover-backend NAME
"""

from drover.testing.conformance import BackendConformance


class TestBackend(BackendConformance):
    """The backend of `--drover-backend`."""
