"""What became of a job, or cannot."""

from drover.errors._base import DroverError
from drover.states import State


class JobFailed(DroverError):  # noqa: N818 - the public name, as subprocess has CalledProcessError
    """A job that had to succeed did not. Raised only where `check=True` was asked for.

    Raised when: `drover.run(..., check=True)` sees the end of its job, and that is no success.

    Left behind: the job, with its outcome and output.

    What to do: read its output with `drover logs ID`, and how it ended with `drover show ID`.

    Try it::

        drover.run(["false"], check=True)

    Attributes:
        job_id: The job.
        state: How it ended.
        why: The outcome in words.
    """

    def __init__(self, job_id: str, state: State, why: str) -> None:
        self.job_id, self.state, self.why = job_id, state, why
        super().__init__(f"job {job_id} is {state}: {why}. See: drover show {job_id}")


class IllegalTransitionError(DroverError):
    """A fact does not fit the state of the job. The job is unchanged.

    Raised when: an event is applied that the table of states does not allow. Plugins cannot cause
        it: what they report and does not fit is noted and moves nothing.

    Left behind: the job is as it was, and nothing was written.

    What to do: report it with what `drover history ID` prints: it is a mistake in what made the
        event.

    Try it::

        from drover import events, machine

        job = session.submit(["true"])
        machine.apply(job.record, events.Approved(at=0.0, by="me"))

    Attributes:
        job_id: The job.
        state: Where it is.
        event: The event.
        target: Where the event would have led; `None` if nowhere.
    """

    def __init__(self, job_id: str, state: State, event: str, target: State | None = None) -> None:
        self.job_id, self.state, self.event, self.target = job_id, state, event, target
        towards = f" to {target}" if target else ""
        super().__init__(
            f"job {job_id} in state {state} cannot take {event}{towards}; nothing was "
            f"changed. Its story: drover history {job_id}"
        )
