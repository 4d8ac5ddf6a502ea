"""One call from command to outcome."""

import os
from typing import Any

from drover.errors import InvalidSpecError, WaitTimeoutError
from drover.models import Outcome
from drover.session._job import Job
from drover.session._session import open_session
from drover.session._submission import SpecLike


def run(
    given: SpecLike,
    *,
    check: bool = False,
    timeout: float | None = None,
    home: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    **fields: Any,
) -> Outcome:
    """Submit a job, wait for its end, return how it ended.

    Args:
        given: An argv, or a specification.
        check: Whether to raise if it did not succeed.
        timeout: Seconds to wait; `None` waits as long as it takes. Then the job is cancelled.
        home: The store's folder.
        backend: Where to run it.
        fields: Fields of JobSpec.

    Raises:
        JobFailed: It did not succeed, and *check* was set.
        WaitTimeoutError: It took too long; it was cancelled.
        UserError: Something about the specification cannot be.
    """
    with open_session(home, backend=backend) as session:
        job = session.submit(given, **fields)
        if not isinstance(job, Job):
            raise InvalidSpecError("array", len(job), "run takes one job; use Session.submit")
        try:
            return job.wait(timeout, check=check)
        except WaitTimeoutError:
            job.cancel()
            raise
