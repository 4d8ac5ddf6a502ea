"""What a site has decided: its nodes, its partitions, its limits."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Partition:
    """A partition, with the nodes that all partitions share."""

    name: str
    max_time_s: float | None = None
    default_time_s: float | None = 3600.0
    is_up: bool = True
    tier: int = 1
    """Jobs of a higher one go first."""

    @property
    def usual_time_s(self) -> float | None:
        """Give the limit of a job that asks for none."""
        return self.max_time_s if self.default_time_s is None else self.default_time_s


@frozen(kw_only=True)
class SlurmSite:
    """A cluster as it stands in slurm.conf. The defaults are a small one that is fit for tests."""

    version: str = "22.05.8"
    cluster: str = "testcluster"
    host: str = "localhost"
    """Where the controller runs and jobs are submitted."""
    nodes: tuple[str, ...] = ("node1", "node2", "node3", "node4")
    cpus: int = 8
    """Per node."""
    memory_mb: int = 4000
    """Per node."""
    memory_per_cpu_mb: int = 100
    """What a job gets that asks for no memory."""
    features: frozenset[str] = frozenset()
    gres: Mapping[str, int] = field(factory=dict[str, int])
    """Generic resources of each node, such as `{"gpu": 2}`."""
    licenses: Mapping[str, int] = field(factory=dict[str, int])
    reservations: frozenset[str] = frozenset()
    accounts: frozenset[str] | None = None
    """`None`: accounts are not enforced, any will do."""
    default_account: str = ""
    """Of a job that names none. "": called like the user."""
    qos: frozenset[str] = frozenset({"normal"})
    partitions: tuple[Partition, ...] = (Partition(name="main"),)
    """The first is the default one."""
    admins: frozenset[str] = frozenset()
    """Users who may do everything, as root and SlurmUser may."""

    accounting: bool = True
    """Whether there is a slurmdbd."""
    stores_comment: bool = True
    """AccountingStoreFlags=job_comment."""
    steps: bool = True
    """Whether accounting has a row for the batch step."""

    min_job_age_s: float = 300.0
    """How long a job that has ended stays in memory."""
    max_job_count: int = 10_000
    """Most jobs in memory, ended ones included."""
    max_array_size: int = 1001
    """Largest array index plus one."""
    max_submit_jobs: int | None = None
    """Most jobs that a user may have waiting and running."""
    max_script_bytes: int = 4 * 1024 * 1024
    kill_wait_s: float = 30.0
    """Between SIGTERM and SIGKILL."""
    completing_s: float = 0.0
    """How long a job is COMPLETING whose processes were killed."""
    message_timeout_s: float = 10.0
    """After which commands give up on a controller that hangs."""
    tcp_timeout_s: float = 2.0
    requeue_delay_s: float = 120.0
    """How long a job that was requeued is not eligible."""
    default_requeue: bool = True
    """JobRequeue: whether jobs may be requeued that do not say."""
    first_job_id: int = 1
    zone: str = "UTC"
    """The machine's time zone, for callers that set no TZ."""
    extra: Mapping[str, str] = field(factory=dict[str, str])
    """More lines of `scontrol show config`."""

    def partition(self, name: str) -> Partition | None:
        """Find a partition by its name."""
        return next((one for one in self.partitions if one.name == name), None)
