"""The backend keeps what it declares, on a server of our own."""

import time
from typing import Any, ClassVar

import pytest

from drover.models import Attempt, Phase
from drover.testing import BackendConformance


@pytest.fixture(scope="module", autouse=True)
def _server(qarnot_server: Any) -> None:
    TestConformance.backend_config = qarnot_server.config


class TestConformance(BackendConformance):
    """Every check of drover's kit, where the nodes see this machine's files."""

    backend_name = "qarnot"
    _names: ClassVar[dict[str, str]] = {}

    def marked(self, stem: str, *command: str, **fields: object) -> tuple[Attempt, str]:
        """Remember which mark is whose."""
        attempt, name = super().marked(stem, *command, **fields)
        self._names[attempt.token] = name
        return attempt, name

    def phase(self, attempt: Attempt, phase: Phase) -> None:
        """Wait for the mark as well: to the cloud an instance executes from our runner's start."""
        super().phase(attempt, phase)
        end = time.monotonic() + self.timeout_s
        name = self._names[attempt.token]
        while phase is Phase.RUNNING and not self.stage.witness.starts(name):
            assert time.monotonic() < end, f"{name} runs and has left no mark"
            time.sleep(0.02)

    def test_memory_limit(self) -> None:
        """A node has at least the memory that was asked for; nothing limits a job to it."""
        pytest.skip("qarnot: memory is the least that a node must have")
