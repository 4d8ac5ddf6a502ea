"""A private file of JSON lines that any number of threads and processes append to."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


class LineFile:
    """Append lines to a file; a full disk must not harm a job.

    The file is opened for each line, so that it can be moved away at any time, and each line is
    one write in append mode, so that lines of several writers do not mix.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failing = False

    def write(self, line: Mapping[str, object]) -> None:
        """Append one line. Where that is impossible, say so once and go on."""
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, data)
            finally:
                os.close(file)
        except OSError as exc:
            if not self._failing:
                log.warning("cannot write the trace %s: %s", self.path, exc)
            self._failing = True
        else:
            self._failing = False
