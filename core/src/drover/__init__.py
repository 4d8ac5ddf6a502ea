"""One lifecycle for every job, wherever it runs.

Example::

    import drover

    with drover.open() as session:
        job = session.submit(["python", "train.py"])
        print(job.wait().exit_code, job.stdout.read())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from drover.errors import DroverError, JobFailed, UserError, WaitTimeoutError
    from drover.models import (
        Array,
        CancelVerdict,
        Condition,
        Dependency,
        JobSpec,
        Outcome,
        Plan,
        Progress,
        Reason,
        Resources,
        Retry,
        Source,
        Transfer,
        Usage,
        Verb,
        Verdict,
        script,
    )
    from drover.session import Job, JobArray, JournalEntry, Session, run
    from drover.session import open_session as open  # noqa: A004 - the public name
    from drover.states import State

    __version__: str

# Loaded at first use: `import drover` stays cheap for the command line and for plugins.
_HOME: Final = {
    "errors": ("DroverError", "JobFailed", "UserError", "WaitTimeoutError"),
    "models": (
        "Array",
        "CancelVerdict",
        "Condition",
        "Dependency",
        "JobSpec",
        "Outcome",
        "Plan",
        "Progress",
        "Reason",
        "Resources",
        "Retry",
        "Source",
        "Transfer",
        "Usage",
        "Verb",
        "Verdict",
        "script",
    ),
    "session": ("Job", "JobArray", "JournalEntry", "Session", "run"),
    "states": ("State",),
}
_WHERE: Final = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Array",
    "CancelVerdict",
    "Condition",
    "Dependency",
    "DroverError",
    "Job",
    "JobArray",
    "JobFailed",
    "JobSpec",
    "JournalEntry",
    "Outcome",
    "Plan",
    "Progress",
    "Reason",
    "Resources",
    "Retry",
    "Session",
    "Source",
    "State",
    "Transfer",
    "Usage",
    "UserError",
    "Verb",
    "Verdict",
    "WaitTimeoutError",
    "__version__",
    "open",
    "run",
    "script",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("drover-core")
    if name == "open":
        return import_module("drover.session").open_session
    if name in _WHERE:
        return getattr(import_module(f"drover.{_WHERE[name]}"), name)
    message = f"module 'drover' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
