"""Every error that drover raises on purpose, by guilt.

`UserError`: the call, the specification or the configuration must change.
`BackendError`: the outside system said no or nothing.
`PluginError`: a plugin's code is wrong.
`StoreError`: the store on disk cannot be used as asked.

Each carries its facts as attributes; the message is built from them and says what to do next.
"""

from drover.errors._backend import (
    BackendError,
    CallOverdueError,
    UnreachableError,
    UnreadableReplyError,
)
from drover.errors._base import DroverError, did_you_mean
from drover.errors._job import IllegalTransitionError, JobFailed
from drover.errors._plugin import BrokenPluginError, MisspeltHookError, PluginError
from drover.errors._store import (
    EngineUnavailableError,
    StaleEpochError,
    StoreElsewhereError,
    StoreError,
    StoreReadOnlyError,
    StoreUnusableError,
    StoreVersionError,
)
from drover.errors._user import (
    AmbiguousJobError,
    ConfigError,
    DependencyCycleError,
    IllegalRequestError,
    InvalidSpecError,
    KeyConflictError,
    UnknownBackendError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
    UserError,
    WaitTimeoutError,
)

__all__ = [
    "AmbiguousJobError",
    "BackendError",
    "BrokenPluginError",
    "CallOverdueError",
    "ConfigError",
    "DependencyCycleError",
    "DroverError",
    "EngineUnavailableError",
    "IllegalRequestError",
    "IllegalTransitionError",
    "InvalidSpecError",
    "JobFailed",
    "KeyConflictError",
    "MisspeltHookError",
    "PluginError",
    "StaleEpochError",
    "StoreElsewhereError",
    "StoreError",
    "StoreReadOnlyError",
    "StoreUnusableError",
    "StoreVersionError",
    "UnknownBackendError",
    "UnknownFieldError",
    "UnknownJobError",
    "UnreachableError",
    "UnreadableReplyError",
    "UnsupportedFieldError",
    "UserError",
    "WaitTimeoutError",
    "did_you_mean",
]
