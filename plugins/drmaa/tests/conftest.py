"""What of the tests on a real Grid Engine CI runs."""

from typing import Final

import pytest

from drover.testing import BackendConformance

PLAIN_IN_BRIEF: Final = (
    "test_cancel_queued", "test_cancel_running", "test_claim_repeated_submission",
    "test_death_by_signal", "test_environment_exact", "test_exit_code", "test_find",
    "test_hold_and_release_queued", "test_identity", "test_many", "test_output_bytes",
    "test_suspend_and_resume", "test_terminate_and_kill", "test_unknown_attempt",
)  # fmt: skip
"""The checks of what is other by DRMAA alone; how jobs are begun is one for both dialects."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the rest of the plain dialect's checks to `thorough`."""
    assert all(hasattr(BackendConformance, name) for name in PLAIN_IN_BRIEF)
    for item in items:
        name = item.name.partition("[")[0]
        if "::TestPlainConformance::" in item.nodeid and name not in PLAIN_IN_BRIEF:
            item.add_marker(pytest.mark.thorough)
