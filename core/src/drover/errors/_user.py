"""What the caller can mend."""

from collections.abc import Sequence

from drover.errors._base import DroverError, did_you_mean, short
from drover.states import State


class UserError(DroverError):
    """Catch what the caller can mend. Never raised itself.

    Raised when: the call, the specification or the configuration must change.

    Left behind: nothing was stored or changed, save where the page of the class says otherwise.

    What to do: change what the message names. Trying again without a change gives the same error.
    """


class InvalidSpecError(UserError):
    """A field of a specification has a value that no backend could use.

    Raised when: a specification, a quantity or a request is made, before anything is asked of a
        store.

    Left behind: nothing was stored, and no request was made.

    What to do: give the field a value as the message describes it.

    Try it::

        session.submit(["true"], resources=drover.Resources(cpus=0))

    Attributes:
        field: Its name, dotted where it lies in another.
        value: What was given.
        why: What may be given.
    """

    def __init__(self, field: str, value: object, why: str) -> None:
        self.field, self.value, self.why = field, value, why
        super().__init__(f"{field}={short(value)} cannot be used: {why}")


class UnknownFieldError(UserError):
    """A specification or an option mapping has a field that nobody knows.

    Raised when: a specification is made with a name that its class has not, mostly a typing
        error.

    Left behind: nothing was stored.

    What to do: use the name that the message offers, or one of those that it lists.

    Try it::

        session.submit(["true"], resources=drover.Resources(cpu=2))

    Attributes:
        owner: The class or mapping.
        field: The name that was given.
        known: All names that it has.
    """

    def __init__(self, owner: str, field: str, known: Sequence[str]) -> None:
        self.owner, self.field, self.known = owner, field, tuple(known)
        super().__init__(
            f"{owner} has no field {short(field)}{did_you_mean(field, known)} "
            f"Known fields: {', '.join(sorted(known))}"
        )


class UnsupportedFieldError(UserError):
    """The backend cannot honour fields that the specification sets.

    Raised when: a job is submitted and the plan of its backend refuses a field, or ignores one
        that was not allowed.

    Left behind: nothing was stored.

    What to do: remove the field, choose another backend, or accept its loss with `allow`, which
        helps where the plan says ignored and not where it says refused. `drover plan` shows every
        field.

    Try it::

        session.submit(["true"], resources=drover.Resources(queue="short"))

    Attributes:
        backend: The backend's name.
        refused: Pairs of a field and why it cannot be.
    """

    def __init__(self, backend: str, refused: Sequence[tuple[str, str]]) -> None:
        self.backend, self.refused = backend, tuple(refused)
        rows = "; ".join(f"{field}: {why}" for field, why in refused)
        names = ",".join(field for field, _ in refused)
        super().__init__(
            f"backend {backend!r} refuses this job ({rows}). Remove the field, choose "
            f"another backend, or accept its loss with allow={names!r} where it can be ignored"
        )


class UnknownBackendError(UserError):
    """No backend of this name is installed or configured.

    Raised when: a backend is named that no distribution brings and no settings file defines.

    Left behind: nothing was stored.

    What to do: correct the name, install what brings it, or define it as `[backends.NAME]`.
        `drover backends` lists what there is.

    Try it::

        session.submit(["true"], backend="locla")

    Attributes:
        name: The name that was given.
        known: The names that there are.
        distribution: What to install, where that is known.
    """

    def __init__(self, name: str, known: Sequence[str], distribution: str = "") -> None:
        self.name, self.known = name, tuple(known)
        listed = ", ".join(known) or "none"
        cure = f"pip install {distribution}" if distribution else "drover backends"
        super().__init__(
            f"no backend named {short(name)}{did_you_mean(name, known)} Installed: {listed}. "
            f"Try: {cure}"
        )


class UnknownJobError(UserError):
    """No job in this store has the id.

    Raised when: an id, shortened or not, is looked up: by a command, a handle, `after` or
        `parent`.

    Left behind: nothing was changed, for the other jobs of the call either.

    What to do: look for the job with `drover ps --all`. It may be in another store, or purged.

    Try it::

        session.job("nope")

    Attributes:
        job_id: The id that was given.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"no job {short(job_id)} in this store. See: drover ps --all, or choose "
            "another store with --home"
        )


class AmbiguousJobError(UserError):
    """A shortened id fits several jobs.

    Raised when: an id is looked up that is the beginning of more than one.

    Left behind: nothing was changed: none of them is taken.

    What to do: type more of the id.

    Try it::

        for job in [session.submit(["true"]) for _ in range(40)]:
            session.job(job.id[0])

    Attributes:
        prefix: The id that was given.
        matches: Six of those that begin so, at most.
    """

    def __init__(self, prefix: str, matches: Sequence[str]) -> None:
        self.prefix, self.matches = prefix, tuple(matches)
        shown = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
        super().__init__(f"{short(prefix)} fits several jobs: {shown}. Type more of the id")


class DependencyCycleError(UserError):
    """Jobs would wait for each other without end.

    Raised when: something that hands in a whole graph of jobs finds a circle in it. A single
        submission cannot make one: `after` takes jobs that are stored already, and no job's
        `after` changes afterwards.

    Left behind: no job of the graph was stored.

    What to do: remove one `after` of the circle that the message shows.

    Try it: nothing in the core makes graphs; it is there for what is built on it.

    Attributes:
        cycle: The ids or names around the circle, the first again at the end.
    """

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(
            f"these jobs wait for each other: {' -> '.join(cycle)}. Remove one `after`"
        )


class KeyConflictError(UserError):
    """A submission key is in use for a job with another specification.

    Raised when: a job is submitted with the key of one whose specification or backend differs.

    Left behind: nothing was stored; the job that has the key is unchanged.

    What to do: use another key; or give the same specification, which gets that job.

    Try it::

        session.submit(["true"], key="mine")
        session.submit(["false"], key="mine")

    Attributes:
        key: The key.
        job_id: The job that has it.
    """

    def __init__(self, key: str, job_id: str) -> None:
        self.key, self.job_id = key, job_id
        super().__init__(
            f"key {short(key)} belongs to job {job_id}, which has another specification. "
            "Use another key, or the same specification to get that job"
        )


class ConfigError(UserError):
    """A configuration file or variable cannot be used.

    Raised when: a store is opened, an engine starts or a backend is loaded, and a settings file
        cannot be read, has a key that nobody knows, or a value of the wrong kind.

    Left behind: nothing was changed. An engine that works goes on with what it has read.

    What to do: mend the file or variable that the message begins with. `drover config show
        --origin` says which value comes from where.

    Try it::

        with open("drover.toml", "w") as file:
            file.write("bakend = 1")
        drover.open("try-it")

    Attributes:
        origin: A file's path, a variable's name, or a table.
        why: What is wrong.
    """

    def __init__(self, origin: str, why: str) -> None:
        self.origin, self.why = origin, why
        super().__init__(f"{origin}: {why}. See: drover config show --origin")


class IllegalRequestError(UserError):
    """The request makes no sense for a job in its state; nothing was changed.

    Raised when: a retry, an approval, a resolution or a purge is asked of a job whose state does
        not allow it.

    Left behind: nothing was changed, for the other jobs of the call either.

    What to do: wait for the state that the request needs; `drover show ID` says where the job is.

    Try it::

        session.retry(session.submit(["true"]))

    Attributes:
        job_id: The job.
        verb: What was asked.
        state: Where the job is.
        why: What the request needs.
    """

    def __init__(self, job_id: str, verb: str, state: State, why: str) -> None:
        self.job_id, self.verb, self.state, self.why = job_id, verb, state, why
        super().__init__(f"cannot {verb} job {job_id}, which is {state}: {why}")


class WaitTimeoutError(UserError, TimeoutError):
    """The time to wait ran out; the job goes on.

    Raised when: `Job.wait` is given a timeout and the job has not ended by then.

    Left behind: the job, which goes on as if nobody had waited.

    What to do: wait again, or cancel the job. A blocker that is named has to be resolved first:
        nobody can say how it ended.

    Try it::

        session.submit(["true"], hold=True).wait(timeout=0.1)

    Attributes:
        job_id: The job.
        state: Where it is.
        timeout_s: How long was waited, in seconds.
        blocker: The LOST job behind which it waits; empty if there is none.
    """

    def __init__(self, job_id: str, state: State, timeout_s: float, blocker: str = "") -> None:
        self.job_id, self.state, self.timeout_s, self.blocker = job_id, state, timeout_s, blocker
        behind = f", behind job {blocker}" if blocker else ""
        super().__init__(
            f"job {job_id} is still {state}{behind} after {timeout_s:g} s; it goes on. "
            f"Wait again, or: drover cancel {job_id}"
        )
