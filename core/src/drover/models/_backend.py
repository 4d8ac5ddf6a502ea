"""What the engine and a backend tell each other."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

from drover.models._converting import show_names
from drover.models._job import Predecessor, Progress
from drover.models._outcome import EndReport, Reason, Source
from drover.models._request import Request, Verb, Verdict
from drover.models._spec import JobSpec

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Claim(StrEnum):
    """What makes a second run of one token impossible."""

    SERVER_KEY = "server_key"
    """The token is a unique key at the backend: a submission may be repeated with the same
    token, and `close` shuts a token for good."""
    DIRECTORY = "directory"
    """The job's wrapper takes a claim in the attempt's directory before it runs anything."""
    NONE = "none"
    """Nothing does. An unsettled submission ends as LOST."""


@frozen(kw_only=True)
class Capabilities:
    """What a backend can do. Declared once; read by the engine, the conformance kit, the docs."""

    claim: Claim = Claim.NONE
    verbs: frozenset[Verb] = frozenset({Verb.CANCEL})
    """Requests that `control` carries out for a placed job."""
    find: bool = True
    arrays: bool = False
    """Several attempts of one array in a batch reach the scheduler as one array."""
    dependencies: bool = False
    """It can wait for jobs on behalf of others, where their native option `dependencies` asks."""
    element_separator: str | None = None
    """What ends the id of the array in the native id of one of its elements, such as the `_` of
    `12_3`. Set where, with `dependencies`, it can wait for whole arrays."""
    most_predecessors: int = 100
    """Most native ids that one attempt waits for; behind more of them the engine waits."""
    push: bool = False
    """It reports by `Context.report` and is not polled."""
    restart: bool = False
    """It may run an attempt again (`JobSpec.requeue`)."""
    stage_in: bool = False
    stage_out: bool = False
    usage: bool = False
    progress: bool = False
    exit_record: bool = False
    """The end is told on two channels; the job's wrapper writes an exit record."""
    window: int | None = None
    """Most attempts it wants to have that have not started. `None`: no limit."""
    max_batch: int = 1000
    """Most attempts in one `submit`."""
    poll_s: float = 2.0
    """Seconds between two `observe` calls while something changes."""
    idle_poll_s: float = 30.0
    """Seconds between two `observe` calls while nothing does."""
    missing_grace_s: float = 60.0
    """Seconds that a placed job may be unlisted by good answers before it is LOST."""
    settle_s: float = 60.0
    """Seconds that the second channel may take, counted while queries succeed."""
    unknown_after_s: float = 60.0
    """Seconds after which a lost answer is settled by closing the attempt."""
    call_s: Mapping[str, float] = field(factory=dict[str, float])
    """Deadline of a hook in seconds where the usual one does not fit, by the hook's name: 60, and a
    day for transfers."""
    cancel_grace_s: float = 10.0
    """Seconds between TERM and KILL where the request does not say."""
    environment: tuple[str, ...] = ()
    """Variables that the system gives to every job; the beginnings of their names."""
    known_bad: frozenset[str] = frozenset()
    """Conformance checks that are declared to fail, by name. One that passes is an error."""


class Support(StrEnum):
    """What becomes of a field."""

    HONOURED = "honoured"
    EMULATED = "emulated"
    IGNORED = "ignored"
    """Has no effect here; refuses the job unless the user allowed it."""
    REFUSED = "refused"


@frozen(kw_only=True)
class FieldPlan:
    """What becomes of one field of a specification."""

    field: str
    support: Support
    note: str = ""
    """For people: how it is emulated, why it is ignored or refused."""


@frozen(kw_only=True)
class Plan:
    """What a backend would do with a specification; nothing was done yet."""

    backend: str = ""
    fields: tuple[FieldPlan, ...] = ()
    """One entry per field that the specification sets."""
    command: tuple[str, ...] = ()
    """The exact argv that would be executed to submit or to run it."""
    script: str = ""
    """The exact script that would be handed over. Values of `env` are masked."""
    totals: Mapping[str, str] = field(factory=dict[str, str])
    """What it takes in all, for people: cpus, gpus, memory..."""

    def refused(self, allow: Sequence[str] = ()) -> tuple[FieldPlan, ...]:
        """List the fields that stand in the way, given those the user lets be ignored."""
        return tuple(
            entry
            for entry in self.fields
            if entry.support is Support.REFUSED
            or (entry.support is Support.IGNORED and entry.field not in allow)
        )


@frozen(kw_only=True)
class Attempt:
    """One attempt of a job, as a backend is given it."""

    job_id: str
    number: int
    restart: int = 0
    token: str
    """Unique on earth; the same in every call about this attempt."""
    spec: JobSpec
    native_id: str | None = None
    submitted_at: float | None = None
    """When the backend accepted it, by the backend's clock."""
    age: int = 0
    """Smaller was submitted earlier to drover."""
    array_id: str | None = None
    array_index: int | None = None
    predecessors: tuple[Predecessor, ...] = ()
    """Jobs that it must not start before, only with `Capabilities.dependencies`; and arrays, with
    `element_separator`."""
    base_environment: Mapping[str, str] = field(default=_NOTHING, repr=show_names)
    """In `submit` only: what is inherited; one object for all attempts that share it."""
    base_digest: str = ""
    """Names `base_environment`: equal digests, equal variables."""
    variables: Mapping[str, str] = field(default=_NOTHING, repr=show_names)
    """In `submit` only: the job's own variables, `DROVER_*` included; they win."""

    @property
    def environment(self) -> dict[str, str]:
        """Merge the complete environment of the command."""
        return {**self.base_environment, **self.variables}


class Answer(StrEnum):
    """The three answers to a submission."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class SubmitAnswer:
    """What became of one attempt of a batch."""

    token: str
    answer: Answer
    native_id: str | None = None
    """Set if accepted."""
    submitted_at: float | None = None
    message: str = ""
    reason: Reason = Reason.REFUSED
    """If refused: REFUSED, LAUNCH_FAILED, or LOST where a run can no longer be told."""
    retryable: bool = False
    """If refused: whether the same may be accepted later (a full queue)."""


class Phase(StrEnum):
    """Where a backend sees an attempt."""

    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    ENDED = "ended"
    """Its source tells the end, see `Observation.end`."""
    UNRUN = "unrun"
    """It came and went without running the command: the wrapper found the claim taken."""
    UNKNOWN = "unknown"
    """Listed, but the word for its state says nothing that we know."""


@frozen(kw_only=True)
class Observation:
    """One row about one attempt. The machine decides what follows from it."""

    token: str
    phase: Phase
    source: Source
    at: float
    """When it was seen, seconds since 1970 UTC."""
    native_id: str | None = None
    native_state: str = ""
    submitted_at: float | None = None
    started_at: float | None = None
    end: EndReport | None = None
    restart: int | None = None
    """How often the scheduler has run it again; `None`: not told."""
    hold: frozenset[str] | None = None
    """Who holds it; `None`: not told."""
    suspended_by: frozenset[str] | None = None
    progress: Progress | None = None


@frozen(kw_only=True)
class Observed:
    """The answer to one `observe`."""

    observations: tuple[Observation, ...] = ()
    """In the order in which things happened, as far as known. May name unknown tokens."""
    complete: bool = True
    """Whether an attempt that was asked about and is not in there is truly not listed.
    False: the absent ones say nothing."""
    rest_s: float = 0.0
    """Seconds for which it wants not to be asked again: the outside system is slow."""


@frozen(kw_only=True)
class Found:
    """What a search for one token gave."""

    token: str
    native_id: str
    submitted_at: float | None = None


@frozen(kw_only=True)
class Order:
    """One request to be carried out on one attempt."""

    attempt: Attempt
    request: Request


@frozen(kw_only=True)
class OrderAnswer:
    """What a backend says to an order.

    `DONE`: it is so now. `SIGNALLED`: passed on, the effect will be observed.
    """

    token: str
    request_id: str
    verdict: Verdict
    message: str = ""
    survivors: tuple[int, ...] = ()


class Closing(StrEnum):
    """What became of an attempt to close a token."""

    CLOSED = "closed"
    """It has not started and never will."""
    TAKEN = "taken"
    """It was started, or may have been: `native_id` names the owner if known."""
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class CloseAnswer:
    """What a backend says to the closing of one token."""

    token: str
    closing: Closing
    native_id: str | None = None
    message: str = ""


class Stream(StrEnum):
    """One of a job's outputs."""

    STDOUT = "stdout"
    STDERR = "stderr"


@frozen(kw_only=True)
class Chunk:
    """A piece of output."""

    data: bytes
    offset: int
    """Where *data* begins, in bytes from the start of the stream."""
    size: int | None = None
    """Size of the whole stream so far in bytes, `None` if not told."""
    path: str | None = None
    """The file that holds the stream, if it is one that the user's machine can read."""


@frozen(kw_only=True)
class StageAnswer:
    """What became of the transfers of one attempt."""

    token: str
    ok: bool
    message: str = ""
    bytes_moved: int | None = None


class Health(StrEnum):
    """How a thing is that the doctor looked at."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@frozen(kw_only=True)
class Diagnosis:
    """One finding of the doctor, in words that a user can act on."""

    subject: str
    health: Health
    message: str
    cure: str = ""
    """What to do; empty if there is nothing to do."""


@frozen(kw_only=True)
class Decision:
    """What a policy plugin says about a specification."""

    verdict: "Approval"
    message: str = ""


class Approval(StrEnum):
    """The answers of a policy."""

    YES = "yes"
    ASK = "ask"
    """A person must say yes."""
    NO = "no"
