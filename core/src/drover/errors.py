"""Every error that drover raises on purpose, by guilt.

`UserError`: the call, the specification or the configuration must change.
`BackendError`: the outside system said no or nothing.
`PluginError`: a plugin's code is wrong.
`StoreError`: the store on disk cannot be used as asked.

Each carries its facts as attributes; the message is built from them and says what to do next.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from drover.states import State


class DroverError(Exception):
    """Catch anything that drover raises on purpose. Never raised itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made again from its message, which no `__init__` here takes.
        return _made_again, (type(self), self.args, self.__dict__)


class UserError(DroverError):
    """Catch what the caller can mend. Never raised itself."""


class BackendError(DroverError):
    """Catch what an outside system caused. Never raised itself."""


class StoreError(DroverError):
    """Catch what is wrong with a store on disk. Never raised itself."""


def _made_again(
    kind: type[DroverError], args: tuple[object, ...], facts: dict[str, object]
) -> DroverError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


class InvalidSpecError(UserError):
    """A field of a specification has a value that no backend could use."""

    def __init__(self, field: str, value: object, why: str) -> None:
        self.field, self.value, self.why = field, value, why
        super().__init__(f"{field}={_short(value)} cannot be used: {why}")


class UnknownFieldError(UserError):
    """A specification or an option mapping has a field that nobody knows."""

    def __init__(self, owner: str, field: str, known: Sequence[str]) -> None:
        self.owner, self.field, self.known = owner, field, tuple(known)
        super().__init__(
            f"{owner} has no field {field!r}{_did_you_mean(field, known)} "
            f"Known fields: {', '.join(sorted(known))}"
        )


class UnsupportedFieldError(UserError):
    """The backend cannot honour fields that the specification sets."""

    def __init__(self, backend: str, refused: Sequence[tuple[str, str]]) -> None:
        self.backend, self.refused = backend, tuple(refused)
        rows = "; ".join(f"{field}: {why}" for field, why in refused)
        names = ",".join(field for field, _ in refused)
        super().__init__(
            f"backend {backend!r} refuses this job ({rows}). Remove the field, choose "
            f"another backend, or accept its loss with allow={names!r} where it can be ignored"
        )


class UnknownBackendError(UserError):
    """No backend of this name is installed or configured."""

    def __init__(self, name: str, known: Sequence[str], distribution: str = "") -> None:
        self.name, self.known = name, tuple(known)
        listed = ", ".join(known) or "none"
        cure = f"pip install {distribution}" if distribution else "drover backends"
        super().__init__(
            f"no backend named {name!r}{_did_you_mean(name, known)} Installed: {listed}. "
            f"Try: {cure}"
        )


class UnknownJobError(UserError):
    """No job in this store has the id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"no job {job_id!r} in this store. See: drover ps --all, or choose "
            "another store with --home"
        )


class AmbiguousJobError(UserError):
    """A shortened id fits several jobs."""

    def __init__(self, prefix: str, matches: Sequence[str]) -> None:
        self.prefix, self.matches = prefix, tuple(matches)
        shown = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        super().__init__(f"{prefix!r} fits several jobs: {shown}. Type more of the id")


class DependencyCycleError(UserError):
    """Jobs would wait for each other without end."""

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(
            f"these jobs wait for each other: {' -> '.join(cycle)}. Remove one `after`"
        )


class KeyConflictError(UserError):
    """A submission key is in use for a job with another specification."""

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(
            f"key {key!r} belongs to job {job_id}, which has another specification. "
            "Use another key, or the same specification to get that job"
        )


class ConfigError(UserError):
    """A configuration file or variable cannot be used."""

    def __init__(self, origin: str, why: str) -> None:
        self.origin, self.why = origin, why
        super().__init__(f"{origin}: {why}. See: drover config show --origin")


class IllegalRequestError(UserError):
    """The request makes no sense for a job in its state; nothing was changed."""

    def __init__(self, job_id: str, verb: str, state: State, why: str) -> None:
        self.job_id, self.verb, self.state, self.why = job_id, verb, state, why
        super().__init__(f"cannot {verb} job {job_id}, which is {state}: {why}")


class WaitTimeoutError(UserError, TimeoutError):
    """The time to wait ran out; the job goes on."""

    def __init__(self, job_id: str, state: State, timeout_s: float, blocker: str = "") -> None:
        self.job_id, self.state, self.timeout_s, self.blocker = job_id, state, timeout_s, blocker
        behind = f", behind job {blocker}" if blocker else ""
        super().__init__(
            f"job {job_id} is still {state}{behind} after {timeout_s:g} s; it goes on. "
            f"Wait again, or: drover cancel {job_id}"
        )


class JobFailed(DroverError):  # noqa: N818 - the public name, as subprocess has CalledProcessError
    """A job that had to succeed did not. Raised only where `check=True` was asked for."""

    def __init__(self, job_id: str, state: State, why: str) -> None:
        self.job_id, self.state, self.why = job_id, state, why
        super().__init__(f"job {job_id} is {state}: {why}. See: drover show {job_id}")


class IllegalTransitionError(DroverError):
    """A fact does not fit the state of the job. The job is unchanged."""

    def __init__(self, job_id: str, state: State, event: str, target: State | None = None) -> None:
        self.job_id, self.state, self.event, self.target = job_id, state, event, target
        towards = f" to {target}" if target else ""
        super().__init__(
            f"job {job_id} in state {state} cannot take {event}{towards}; nothing was "
            f"changed. Its story: drover history {job_id}"
        )


class PluginError(DroverError):
    """A plugin's hook raised, or answered what no hook may answer. That call alone failed."""

    def __init__(self, plugin: str, hook: str, why: str = "") -> None:
        self.plugin, self.hook, self.why = plugin, hook, why
        super().__init__(
            f"plugin {plugin!r} failed in {hook}{': ' + why if why else ''}. "
            f"See: drover doctor {plugin}"
        )


class MisspeltHookError(PluginError):
    """A plugin implements a hook that does not exist."""

    def __init__(self, plugin: str, hook: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        super().__init__(plugin, hook, f"there is no such hook{_did_you_mean(hook, known)}")


class BrokenPluginError(PluginError):
    """A plugin cannot be loaded. Everything that does not need it goes on."""

    def __init__(self, plugin: str, why: str, traceback: str = "") -> None:
        self.traceback = traceback
        super().__init__(plugin, "loading", why)


class CallOverdueError(BackendError):
    """A backend call did not return in its time; its answer is unknown."""

    def __init__(self, backend: str, hook: str, deadline_s: float) -> None:
        self.backend, self.hook, self.deadline_s = backend, hook, deadline_s
        super().__init__(
            f"backend {backend!r} did not answer {hook} within {deadline_s:g} s; what it did "
            f"is unknown. See: drover doctor {backend}"
        )


class UnreachableError(BackendError):
    """The outside system cannot be asked now. Says nothing about any job."""

    def __init__(self, system: str, why: str) -> None:
        self.system, self.why = system, why
        super().__init__(f"{system} cannot be reached: {why}. Its jobs are as they were")


class UnreadableReplyError(BackendError):
    """An outside system answered what cannot be read."""

    def __init__(self, system: str, reply: str, why: str) -> None:
        self.system, self.reply, self.why = system, reply, why
        super().__init__(f"cannot read what {system} answered ({why}): {_short(reply)}")


class StoreVersionError(StoreError):
    """The store was made by a newer drover."""

    def __init__(self, path: str, version: int, supported: int) -> None:
        self.path, self.version, self.supported = path, version, supported
        super().__init__(
            f"store {path!r} has schema {version}, this drover reads up to {supported}. "
            "Upgrade drover (pip install -U drover), or choose another store with --home"
        )


class StoreUnusableError(StoreError):
    """The store cannot be used: no directory, no permission, no room, no database."""

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"store {path!r} cannot be used: {why}")


class StoreReadOnlyError(StoreError):
    """The store can be read but not changed: a copy, or a read-only file system."""

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"store {path!r} is read-only: {why}. Choose another store with --home to submit"
        )


class StoreElsewhereError(StoreError):
    """The store belongs to another host."""

    def __init__(self, path: str, host: str, here: str) -> None:
        self.path, self.host, self.here = path, host, here
        super().__init__(
            f"store {path!r} belongs to host {host!r}, this is {here!r}. Log in there, or "
            "choose another store with --home"
        )


class StaleEpochError(StoreError):
    """Another engine has taken over; this one may write nothing more."""

    def __init__(self, mine: int, current: int) -> None:
        self.mine, self.current = mine, current
        super().__init__(f"engine epoch {mine} is over, epoch {current} works now; leave")


class EngineUnavailableError(StoreError):
    """No engine works on the store and none could be started."""

    def __init__(self, home: str, why: str, log: str = "") -> None:
        self.home, self.why, self.log = home, why, log
        super().__init__(
            f"no engine for store {home!r}: {why}. Jobs are kept. "
            f"{'Its log: ' + log + '. ' if log else ''}Try: drover engine restart"
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]}... ({len(text)} characters)"
