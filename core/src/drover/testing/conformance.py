"""The conformance kit: what a backend must do, and what it says that it does.

A plugin's own test file:

    from drover.testing import BackendConformance

    class TestConformance(BackendConformance):
        backend_name = "mine"

Checks are skipped where the backend does not declare the ability (`Capabilities`, or the plan
for a field). A check that is named in `Capabilities.known_bad` must fail: one that passes is an
error, so that the list cannot rot.
"""

from drover.testing._declared import DeclaredChecks
from drover.testing._must_run import RunChecks


class BackendConformance(RunChecks, DeclaredChecks):
    """Check one backend. Subclass it in the plugin's tests and set `backend_name`."""
