"""The table `[backends.slurm]` of the configuration."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from drover.models import read_settings


@frozen(kw_only=True)
class SlurmConfig:
    """How one cluster is spoken to. Times in seconds."""

    python: str = ""
    """Python 3.6 or newer on the nodes; the engine's own if it is not said."""
    cluster: str = ""
    """The name that the cluster must bear; another one is refused by the doctor."""
    poll_s: float = 2.0
    """Between two looks at the queue while something changes."""
    idle_poll_s: float = 40.0
    """Between two looks while nothing does: each is two requests to the controller. Ends are not
    seen later for it, wrappers leave word of theirs."""
    settle_s: float = 15.0
    """How long a job that was killed may lack its exit record."""
    missing_grace_s: float = 60.0
    """How long a job may be listed nowhere before it is LOST."""
    unknown_after_s: float = 60.0
    """How long an unanswered submission is searched for before it is shut and repeated."""
    accounting: bool = True
    """Whether sacct is asked. Where there is no accounting that is found out as well."""
    submit_timeout_s: float = 40.0
    """How long sbatch may take. Afterwards nobody knows whether the job was accepted."""
    command_timeout_s: float = 30.0
    """How long any other command may take."""

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> "SlurmConfig":
        """Read the table of the instance *name*.

        Raises:
            ConfigError: A value of the wrong kind.
            UnknownFieldError: A name that is not there.
        """
        return read_settings(cls, f"backends.{name}", table)
