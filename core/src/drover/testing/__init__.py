"""For everybody who tests: backends, and suites that run jobs.

`BackendConformance` is what every backend passes. `BackendHarness` calls a backend without an
engine. `SimulatedBackend` is an outside world in memory, with faults, on a `FakeClock`.
Fixtures for users' own suites come with `-p drover.testing.plugin`.

There is no `pytest11` entry point: it would load drover into every test run of every user.
"""

import pytest

# Before they are imported: else a failed check says "AssertionError" and nothing more.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in ("_checks", "_declared", "_must_claim", "_must_run", "_must_steer", "_stage")
    )
)

from drover.testing._clock import FakeClock, SystemClock  # noqa: E402
from drover.testing._cluster import Execution, SimulatedCluster  # noqa: E402
from drover.testing._driver import BackendDriver, EngineDriver  # noqa: E402
from drover.testing._harness import BackendHarness  # noqa: E402
from drover.testing._installed import installed  # noqa: E402
from drover.testing._simulated import (  # noqa: E402
    Faults,
    SimulatedBackend,
    SimulatedBug,
    default_capabilities,
)
from drover.testing._witness import Witness  # noqa: E402
from drover.testing.conformance import BackendConformance  # noqa: E402

__all__ = [
    "BackendConformance",
    "BackendDriver",
    "BackendHarness",
    "EngineDriver",
    "Execution",
    "FakeClock",
    "Faults",
    "SimulatedBackend",
    "SimulatedBug",
    "SimulatedCluster",
    "SystemClock",
    "Witness",
    "default_capabilities",
    "installed",
]
