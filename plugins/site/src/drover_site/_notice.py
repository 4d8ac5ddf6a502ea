"""Notices of ended jobs, sent from a thread so that no job waits for them."""

import json
import logging
import queue
import subprocess
import threading
from collections.abc import Sequence
from typing import Final

from drover.models import JobRecord

_log: Final = logging.getLogger(__name__)
PATIENCE_S: Final = 30.0
"""How long the command may take for one notice."""
MOST: Final = 10_000
"""Notices that may wait. More are dropped and logged: a broken mailer must not fill memory."""


class Notices:
    """Run a command for every job that ended, with a line of JSON on its standard input."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._waiting: queue.Queue[str] = queue.Queue(MOST)
        self._thread: threading.Thread | None = None

    def add(self, job: JobRecord) -> None:
        """Queue a notice. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="drover-site", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(notice(job))
        except queue.Full:
            _log.error("no notice of job %s: %d are waiting", job.id, MOST)

    def _work(self) -> None:
        while True:
            self._send(self._waiting.get())

    def _send(self, line: str) -> None:
        try:
            subprocess.run(
                self._command,
                input=line.encode(),
                timeout=PATIENCE_S,
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            _log.error("notice failed: %s", exc)


def notice(job: JobRecord) -> str:
    """Write a job as one line of JSON: id, name, state, how it ended. No argument, no variable."""
    outcome = job.outcome
    return (
        json.dumps(
            {
                "id": job.id,
                "name": job.spec.name,
                "state": job.state.value,
                "backend": job.backend,
                "attempt": job.attempt,
                "exit_code": outcome.exit_code if outcome else None,
                "reason": outcome.reason.value if outcome else None,
            }
        )
        + "\n"
    )
