"""A job as the controller has it at one instant, and the changes that instants bring."""

from collections.abc import Mapping

from attrs import field, frozen

from drover.testing.scheduler.slurm._words import PRIORITY, SHORT, Flag, State


@frozen(kw_only=True)
class Usage:
    """What the batch step used, for accounting."""

    user_cpu_s: float = 0.0
    system_cpu_s: float = 0.0
    max_rss_kb: int = 0
    energy_j: int | None = None


@frozen(kw_only=True)
class Array:
    """To which array a record belongs."""

    job_id: int
    """Of the array: what `sbatch` answered."""
    task: int | None = None
    """Its index; `None` for the part that waits as one record."""
    waiting: tuple[int, ...] = ()
    """The indices of that part."""
    throttle: int = 0
    """Most tasks that run at a time; 0 for no limit."""
    count: int = 0
    lowest: int = 0
    highest: int = 0
    step: int = 1


@frozen(kw_only=True)
class Job:
    """One record of the controller."""

    serial: int
    """Unique for ever, unlike `job_id`."""
    job_id: int
    array: Array | None = None
    name: str
    user: str
    uid: int
    group: str = "users"
    gid: int = 100
    options: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    """The long options of `sbatch` with their values, wherever they were given."""
    script: bytes = field(default=b"", repr=False)
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    command: str = ""
    """The script's path."""
    submit_line: str = ""
    work_dir: str = "/"
    submit_dir: str = "/"

    account: str = ""
    partition: str = ""
    cpus: int = 1
    tasks: int = 1
    node_count: int = 1
    memory_mb: int = 0
    """Per node, or per CPU."""
    memory_per_cpu: bool = False
    time_limit_s: float | None = None
    requeue: bool = True
    dependency: str = ""

    submit_at: float
    eligible_at: float | None = None
    """`None` while it is held or waits for others."""
    begin_at: float = 0.0
    start_at: float | None = None
    end_at: float | None = None
    stopped_at: float | None = None
    """Since when it is suspended."""
    stopped_s: float = 0.0
    """How long it was suspended before."""

    state: State = State.PENDING
    flags: frozenset[Flag] = frozenset()
    reason: str = "None"
    held_by: str = ""
    """"", `user` or `admin`."""
    priority: int = PRIORITY
    exit_status: int = 0
    """As wait(2) has it: code << 8 | signal."""
    cancelled_by: int | None = None
    """The uid of whoever cancelled it."""
    restarts: int = 0
    nodes: tuple[str, ...] = ()
    usage: Usage = field(factory=Usage)
    stubborn: bool = False
    """Whether it lives on after SIGTERM."""
    word: str = ""
    """A state to show whatever it is: a word that nobody knows."""
    comment: str = ""

    @property
    def shown(self) -> str:
        """Give the word for its state that listings print."""
        return self.word or next((flag for flag in Flag if flag in self.flags), self.state)

    @property
    def shown_short(self) -> str:
        """Give the same in short."""
        return SHORT.get(self.shown, self.shown[:2])

    @property
    def waiting(self) -> tuple[int, ...]:
        """Give the indices of an array's part that waits as one record."""
        return self.array.waiting if self.array and self.array.task is None else ()

    @property
    def cpus_per_node(self) -> int:
        """Give how many CPUs it asks for on a node."""
        number = self.options.get
        per_task = int(number("cpus-per-task") or 1)
        return max(per_task * int(number("ntasks-per-node") or 1), int(number("mincpus") or 1))

    def total_memory_mb(self, node_mb: int) -> int:
        """Give its memory on all nodes; 0 stands for all that a node has."""
        if self.memory_per_cpu:
            return self.memory_mb * self.cpus
        return (self.memory_mb or node_mb) * self.node_count

    @property
    def base_id(self) -> int:
        """Give the id of its array, or its own."""
        return self.array.job_id if self.array else self.job_id

    @property
    def native_id(self) -> str:
        """Give its id as `squeue -o %i` has it."""
        if self.array is None:
            return str(self.job_id)
        if self.array.task is not None:
            return f"{self.array.job_id}_{self.array.task}"
        return f"{self.array.job_id}_[{self.task_text()}]"

    def task_text(self, most: int = 64) -> str:
        """Give the indices that wait, as `squeue -o %K` has them.

        Args:
            most: After how many characters it is cut short; 0 for never.
        """
        text = ranges(self.waiting)
        if most and len(text) >= most:
            text = text[: most - 4] + "..."
        throttle = self.array.throttle if self.array else 0
        return f"{text}%{throttle}" if throttle else text

    @property
    def run_s(self) -> float:
        """Give how long it ran by its end, suspensions taken off; needs an end."""
        return self.ran_by(self.end_at or 0.0)

    def ran_by(self, now: float) -> float:
        """Give for how long it has run."""
        if self.start_at is None:
            return 0.0
        until = self.end_at if self.end_at is not None else (self.stopped_at or now)
        return max(0.0, until - self.start_at - self.stopped_s)


def ranges(numbers: tuple[int, ...]) -> str:
    """Write indices as Slurm does: `1-3,7`."""
    parts: list[str] = []
    first = 0
    for place, number in enumerate(numbers):
        last = place + 1 == len(numbers) or numbers[place + 1] != number + 1
        if not last:
            continue
        start = numbers[first]
        parts.append(str(number) if start == number else f"{start}-{number}")
        first = place + 1
    return ",".join(parts)
