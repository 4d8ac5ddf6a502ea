"""What one has to say about a batch system in order to get a backend for it.

All of it is pure: commands are built and replies are read here, `CommandLineBackend` executes
them and does what is the same everywhere (claims, task lists, exit records, who is who).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from drover.commandline.batches import Batch, TaskSettings
from drover.commandline.talking import Talk
from drover.models import (
    Answer,
    Capabilities,
    Diagnosis,
    EndReport,
    JobSpec,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Reason,
    Source,
)


@frozen(kw_only=True)
class Submission:
    """What a scheduler said to a submission."""

    answer: Answer
    native_id: str | None = None
    """Of the whole, if accepted."""
    message: str = ""
    reason: Reason = Reason.REFUSED
    retryable: bool = False


@frozen(kw_only=True)
class Known:
    """An attempt as far as it is known, when a scheduler is asked about it."""

    token: str
    folder: Path
    """The attempt's own."""
    key: str
    """Of its submission; it stands in what the scheduler keeps of the job."""
    index: int
    """In its submission, from 0."""
    size: int
    """How many attempts that has."""
    label: str
    native_id: str
    submission: str = ""
    """The id of the whole submission; the native id, unless it is an array."""
    submitted_at: float | None = None
    restart: int = 0
    requeue: bool = False


@frozen(kw_only=True)
class Row:
    """One line of a listing, or several jobs of an array that a line stands for."""

    native_id: str
    """Of the job; of the array, where *indices* says which of its elements."""
    key: str
    """Of the submission, as the scheduler keeps it; "" if the listing does not tell."""
    phase: Phase
    source: Source
    word: str
    """The scheduler's own word."""
    submission: str = ""
    """The id of the whole submission, where it is another: of the array."""
    indices: Sequence[range] = ()
    submitted_at: float | None = None
    started_at: float | None = None
    restart: int | None = None
    hold: frozenset[str] | None = None
    suspended_by: frozenset[str] | None = None
    end: EndReport | None = None
    """If it has ended, as far as this listing tells."""
    is_leaving: bool = False
    """Whether its processes have ended, or are ending, and nothing is said of how."""


@frozen(kw_only=True)
class Left:
    """An attempt that has ended, by the listing, or is not in it."""

    known: Known
    row: Row | None = None
    """As it was listed."""
    has_begun: bool = False
    """Whether its claim was taken: the command may have been run."""
    has_record: bool = False
    """Whether its wrapper tells how the command ended: its exit code need not be asked for."""
    waited_s: float = 0.0
    """Seconds since it was first seen to have left."""


@frozen(kw_only=True)
class Recalled:
    """What is remembered of jobs that have left the queue."""

    rows: Sequence[Row] = ()
    complete: bool = True
    """Whether a job that is not in there is truly not known. False: nobody could be asked."""
    not_yet: frozenset[str] = field(factory=frozenset[str])
    """Native ids of jobs that have ended and of which more will be known in a moment."""


class Scheduler(Protocol):
    """A batch system, seen through its commands.

    Every talk may raise `UnreachableError` and `UnreadableReplyError`: nothing was learned.
    """

    settings: TaskSettings
    """What its tasks have in common; may be set anew by `start`."""
    native_id: str
    """How a job names itself on its node, by variables in braces: `{SLURM_JOB_ID}`."""
    element_id: str
    """How an element of an array does: `{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}`."""
    element_index: str
    """How it knows its index in the array, counted from 0: `{SLURM_ARRAY_TASK_ID}`."""
    element_pattern: str
    """How an element is named from outside; it begins with the array's id: `{id}_{index}`, or
    with `number`, which counts from 1."""
    restart: str
    """How a job knows how often it was run before: `{SLURM_RESTART_COUNT}`; with a `+` behind it,
    where it knows only whether it was."""

    @property
    def capabilities(self) -> Capabilities:
        """Say what it can do; `claim` is DIRECTORY and `exit_record` is set."""
        ...

    @property
    def most_elements(self) -> int:
        """Say how many jobs one array may have."""
        ...

    def start(self) -> Talk[None]:
        """Learn what has to be known of the site before anything else is asked of it."""
        ...

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        """Judge a specification; *script* is what would be handed over, for display."""
        ...

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        """Give the options that ask for what *spec* wants. Equal options: like jobs."""
        ...

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        """Hand a submission over. Its key must stand in what the scheduler keeps of it."""
        ...

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        """List all own jobs in as few commands as possible; jobs of strangers may be in it."""
        ...

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        """Ask for what has ended, or is listed nowhere."""
        ...

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        """Search what the scheduler remembers for submissions that the listing does not show.

        Args:
            keys: The label of each submission by its key.

        Returns:
            The id of the whole submission by its key; one that is not in it is not found.
        """
        ...

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        """Carry out requests, many with one command, on jobs that are what they were.

        Args:
            orders: What is to be done.
            known: Each job by its token. Its id was handed out long ago: see whose it is now.
        """
        ...

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        """Find out what is wrong, in words that a user can act on."""
        ...
