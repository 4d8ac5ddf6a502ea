"""The public API: sessions, jobs, arrays."""

from drover._store import JournalEntry
from drover.session._job import Job, JobArray
from drover.session._output import Output
from drover.session._run import run
from drover.session._session import EngineMode, Session, open_session
from drover.session._status import BackendInfo, BackendStatus, EngineStatus
from drover.session._subscription import Subscription

__all__ = [
    "BackendInfo",
    "BackendStatus",
    "EngineMode",
    "EngineStatus",
    "Job",
    "JobArray",
    "JournalEntry",
    "Output",
    "Session",
    "Subscription",
    "open_session",
    "run",
]
