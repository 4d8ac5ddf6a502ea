"""The exit codes of every command, in one place.

`docs/reference/exit-codes.md` explains them; a test compares the two.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drover.models import Outcome
    from drover.states import State

OK: Final = 0
UNSUCCESSFUL: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
BACKEND: Final = 4
STORE: Final = 5
PLUGIN: Final = 6
BUG: Final = 70
SYSTEM: Final = 71
LOST: Final = 122
TIMEOUT: Final = 124
OWN_FAILURE: Final = 125
NEVER_RAN: Final = 126
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
_SIGNALS: Final = 128
_SIGKILL: Final = 9

CODES: Final = {
    OK: "it went well",
    UNSUCCESSFUL: "a job did not succeed, a request was not granted, or the doctor found an error",
    USAGE: "the command line, a specification or the configuration must change",
    NOT_FOUND: "no such job, or a shortened id fits several",
    BACKEND: "an outside system said no or nothing",
    STORE: "the store, or its engine, cannot be used",
    PLUGIN: "a plugin is broken",
    BUG: "a bug in drover (sysexits' EX_SOFTWARE)",
    SYSTEM: "the operating system refused something (sysexits' EX_OSERR)",
    TIMEOUT: "the time to wait ran out",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "the reader of the output went away",
}
"""What an exit code means, for every command but `run`."""

RUN_CODES: Final = {
    LOST: "nobody can say how the job ended (LOST)",
    TIMEOUT: "its wall time or its deadline was over",
    OWN_FAILURE: "drover itself failed or refused; or something around the command failed",
    NEVER_RAN: "the command was never started",
    INTERRUPTED: "detached with Ctrl-C (the job goes on), or cancelled and no signal is known",
}
"""What an exit code of `drover run` means that is not the job's own, nor 128 + a signal."""


def of_error(error: Exception) -> int:
    """Give the exit code for an error that drover raised on purpose."""
    from drover import errors

    if isinstance(error, errors.WaitTimeoutError):
        return TIMEOUT
    if isinstance(error, errors.JobFailed):
        return UNSUCCESSFUL
    if isinstance(error, errors.UnknownJobError | errors.AmbiguousJobError):
        return NOT_FOUND
    for kind, code in (
        (errors.UserError, USAGE),
        (errors.BackendError, BACKEND),
        (errors.StoreError, STORE),
    ):
        if isinstance(error, kind):
            return code
    return PLUGIN


def of_job(state: "State", outcome: "Outcome | None") -> int:
    """Give the exit code of `drover run` for a job that has ended.

    A job that did not succeed never gives 0, whatever its command exited with.
    """
    from drover.models import Reason, Started
    from drover.states import State

    if state is State.SUCCEEDED:
        return OK
    if state is State.LOST or outcome is None:
        return LOST
    if outcome.reason in (Reason.WALL_TIME, Reason.DEADLINE):
        return TIMEOUT
    if outcome.signal is not None:
        return _SIGNALS + outcome.signal
    if outcome.reason is Reason.OUT_OF_MEMORY:
        return outcome.exit_code or _SIGNALS + _SIGKILL
    if outcome.reason is Reason.CANCELLED:
        return INTERRUPTED
    if outcome.exit_code:
        return outcome.exit_code
    return NEVER_RAN if outcome.started is Started.NO else OWN_FAILURE
