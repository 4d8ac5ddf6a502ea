"""What the tests of the face share: templates of shell scripts, and patience."""

import time
from collections.abc import Callable

from drover import drmaa

WAIT_S = 60.0
Make = Callable[..., drmaa.JobTemplate]


def until(wanted: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """Look until it is so, or fail with what is."""
    deadline = time.monotonic() + WAIT_S
    while not wanted():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def until_status(session: drmaa.Session, job_id: str, status: str) -> None:
    """Look until a job has a status."""
    until(lambda: session.jobStatus(job_id) == status, lambda: session.jobStatus(job_id))
