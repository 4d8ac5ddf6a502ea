"""Slurm, scripted: `sbatch`, `squeue`, `sacct`, `scontrol`, `scancel` and `sinfo` of 22.05."""

from drover.testing.scheduler.slurm._accounting import Account, Accounting
from drover.testing.scheduler.slurm._controller import Ending
from drover.testing.scheduler.slurm._job import Array, Job, Usage
from drover.testing.scheduler.slurm._outages import Condition
from drover.testing.scheduler.slurm._scheduler import SlurmScheduler
from drover.testing.scheduler.slurm._site import Partition, SlurmSite
from drover.testing.scheduler.slurm._words import Flag, State

__all__ = [
    "Account",
    "Accounting",
    "Array",
    "Condition",
    "Ending",
    "Flag",
    "Job",
    "Partition",
    "SlurmScheduler",
    "SlurmSite",
    "State",
    "Usage",
]
