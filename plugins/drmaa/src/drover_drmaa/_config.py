"""The table `[backends.drmaa]` of the configuration."""

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from drover.errors import ConfigError
from drover.models import read_settings

GRID_ENGINE: Final = "gridengine"
PLAIN: Final = "plain"
DIALECTS: Final = (GRID_ENGINE, PLAIN)


@frozen(kw_only=True)
class DrmaaConfig:
    """How one system is spoken to. Times in seconds."""

    drmaa_library: str = ""
    """The path of libdrmaa; else what `DRMAA_LIBRARY_PATH` says, or the system's."""
    dialect: str = GRID_ENGINE
    """`gridengine`: its commands are used where DRMAA cannot answer. `plain`: DRMAA alone."""
    commands: str = ""
    """The folder of Grid Engine's commands; else they are found by PATH, or below SGE_ROOT."""
    python: str = ""
    """Python 3.6 or newer on the nodes; the engine's own if it is not said."""
    pe: str = "smp"
    """The parallel environment of jobs that need more than one slot."""
    memory_resource: str = "h_vmem"
    """The resource by which memory is asked for; per slot, as Grid Engine counts it."""
    gpu_resource: str = "gpu"
    """The resource by which GPUs are asked for; per slot."""
    disk_resource: str = ""
    """The resource by which scratch space is asked for; none: it is refused."""
    exclusive_resource: str = "exclusive"
    """The resource by which a node is asked for alone."""
    wall_time_margin_s: float = 15.0
    """How much later than drover Grid Engine is to end a job that is over its wall time."""
    job_id: str = "{JOB_ID}{SLURM_JOB_ID}{PBS_JOBID}{LSB_JOBID}"
    """How a job finds its own id on a plain system: variables in braces, the right one is set."""
    poll_s: float = 2.0
    """Between two looks at the queue while something changes."""
    idle_poll_s: float = 20.0
    """Between two looks while nothing does."""
    settle_s: float = 20.0
    """How long a job that was killed may lack its exit record."""
    missing_grace_s: float = 60.0
    """How long a job may be listed nowhere before it is LOST."""
    accounting: bool = True
    """Whether qacct is asked."""
    accounting_gap_s: float = 30.0
    """How long accounting may lag behind the queue: its flush time is 15 s where nobody set it."""
    submit_timeout_s: float = 60.0
    """How long a submission may take. Afterwards nobody knows whether it was accepted."""
    unknown_after_s: float = 60.0
    """How long such a job is looked for, before its claim is closed and it is handed over anew."""
    command_timeout_s: float = 60.0
    """How long anything else may take."""
    recycle_after: float = 2000
    """A worker is replaced after so many jobs and questions: libraries leak."""

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> "DrmaaConfig":
        """Read the table of the instance *name*.

        Raises:
            ConfigError: A value of the wrong kind.
            UnknownFieldError: A name that is not there.
        """
        where = f"backends.{name}"
        config = read_settings(cls, where, table, zero={"wall_time_margin_s"})
        if config.dialect not in DIALECTS:
            why = f"it must be {' or '.join(DIALECTS)}, not {config.dialect!r}"
            raise ConfigError(f"{where}.dialect", why)
        return config
