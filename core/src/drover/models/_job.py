"""The record of a job: the fold of its facts."""

from typing import Final

from attrs import frozen

from drover.models._outcome import EndReport, Outcome, Reason, Source
from drover.models._request import Request
from drover.models._spec import Condition, JobSpec
from drover.states import State

USER: Final = "user"
SYSTEM: Final = "system"
ENGINE: Final = "engine"
"""Who asks, where it is not a person."""


@frozen(kw_only=True)
class Progress:
    """How far a job says it is."""

    fraction: float | None = None
    """0 to 1, `None` where only a text is told."""
    text: str = ""
    at: float = 0.0


@frozen(kw_only=True)
class Elements:
    """Some elements of one array, all of them in an attempt of the same number."""

    attempt: int
    indices: str
    """Numbers and ranges, a step behind a colon: `0-99,105,200-300:10`."""


@frozen(kw_only=True)
class Predecessor:
    """A job or an array that is placed, and whose end the backend awaits and not the engine."""

    job: str
    """Id of the job, or of the array."""
    token: str
    """Of the job; empty for an array."""
    native_id: str
    """Of the job; empty for an array."""
    condition: Condition
    native_ids: tuple[str, ...] = ()
    """Of an array: what its elements are in at the backend, see
    `Capabilities.element_separator`."""
    elements: tuple[Elements, ...] = ()
    """Of an array: those by whose records the condition is judged; of the others it is known
    that they do not stand in the way."""


# Not slotted: `drover.machine` copies it by its dict, four times faster than attrs.evolve.
@frozen(kw_only=True, slots=False)
class JobRecord:
    """All that is known of one job. Made by `drover.machine` alone.

    Times are seconds since 1970 UTC.
    """

    id: str
    n: int = 0
    """Position in the store: a larger one was submitted later."""
    backend: str
    spec: JobSpec
    array_id: str | None = None
    array_index: int | None = None
    key: str | None = None
    allow: tuple[str, ...] = ()
    """Fields of the specification that the backend may ignore."""
    base_digest: str = ""
    """Names the environment that the job inherits; empty if it inherits none."""

    state: State = State.NEW
    attempt: int = 1
    uncounted: int = 0
    """Attempts that never ran and do not count against `retry`."""
    restart: int = 0
    token: str = ""
    """Names the current attempt to the backend. Empty before the first intent."""
    batch: str = ""
    native_id: str | None = None
    native_state: str = ""
    native_submitted_at: float | None = None
    hold: frozenset[str] = frozenset()
    """Who holds it: `user`, `system`."""
    hold_asked: bool = False
    """Whether the user's hold on this attempt was asked for here: the next has it as well."""
    suspended_by: frozenset[str] = frozenset()
    pending: tuple[Request, ...] = ()

    submitted_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    ready_at: float | None = None
    """Not to be placed before this instant: `not_before`, or the delay of a retry."""
    dependencies_met: bool = False
    predecessors: tuple[Predecessor, ...] = ()
    """Jobs whose end the backend itself waits for, on behalf of this one."""
    staged_in: bool = False
    unknown_since: float | None = None
    """When a submission's answer got lost; `None` once it is settled."""
    token_closed: bool = False
    """The current attempt's claim is closed: it can never start any more."""
    settle_at: float | None = None
    """In COMPLETING: when the wait for the second channel is over."""
    ending: Reason | None = None
    """Why it is to end: DEADLINE, by the engine itself; CANCELLED, by a request that was passed on
    and is overdue."""

    progress: Progress | None = None
    reports: tuple[EndReport, ...] = ()
    """What the channels have said about the end of the current attempt and restart."""
    outcome: Outcome | None = None
    observed_source: Source | None = None
    observed_at: float | None = None
    approved_by: str = ""

    @property
    def counted_attempt(self) -> int:
        """Number the attempt as the user's `retry` counts."""
        return self.attempt - self.uncounted
