"""Keep a caller's scheduler variables away from jobs and from scheduler commands."""

from collections.abc import Mapping
from typing import Final

_PREFIXES: Final = (
    "SLURM",
    "SBATCH_",
    "SRUN_",
    "SGE_",
    "PMI",
    "PMIX",
    "PBS_",
    "XDG_",
    "DBUS_",
    "DROVER_",
)
_NAMES: Final = frozenset(
    {
        "JOB_ID",
        "JOB_NAME",
        "ARC",
        "ENVIRONMENT",
        "NSLOTS",
        "NHOSTS",
        "NQUEUES",
        "PE_HOSTFILE",
        "REQUEST",
        "RESTARTED",
        "TMPDIR_SGE",
        "QUEUE",
    }
)
# What a client of the scheduler needs to find it.
_CLUSTERS: Final = frozenset(
    {"SLURM_CONF", "SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT", "SGE_CLUSTER_NAME"}
)
# Where the user keeps settings, data and caches, which outlive a login: jobs look there, and an
# engine has to read the settings that its client has read.
# Source: XDG Base Directory Specification 0.8, "Environment variables".
_FOLDERS: Final = frozenset(
    {
        "XDG_CACHE_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_CONFIG_HOME",
        "XDG_DATA_DIRS",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
    }
)
_KEPT: Final = _CLUSTERS | _FOLDERS
# Inside a Grid Engine job these mean the outer job; elsewhere they may be the user's own.
_GRID_ENGINE_MARK: Final = "SGE_TASK_ID"


def scrubbed(variables: Mapping[str, str]) -> dict[str, str]:
    """Drop what belongs to the job or session that we run in.

    An inherited `SLURM_CPU_BIND`, `SLURM_EXPORT_ENV` or `XDG_RUNTIME_DIR` changes or breaks the
    jobs that are submitted from there.
    """
    inside = _GRID_ENGINE_MARK in variables
    return {
        name: value
        for name, value in variables.items()
        if name in _KEPT or not (name.startswith(_PREFIXES) or (inside and name in _NAMES))
    }


# A user's own habits: another format, another cluster, a question that nobody answers.
# Source: squeue(1), sacct(1), scancel(1), scontrol(1), sinfo(1), "ENVIRONMENT VARIABLES".
_HABITS: Final = ("SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SQUEUE_", "SSTAT_")


def for_commands(variables: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of a scheduler command: scrubbed, in C's locale, with UTC times."""
    kept = {
        name: value for name, value in scrubbed(variables).items() if not name.startswith(_HABITS)
    }
    return {
        **kept,
        "LC_ALL": "C",
        "TZ": "UTC",
        "SLURM_TIME_FORMAT": "%Y-%m-%dT%H:%M:%S",
        # Else the indices of an array are cut off after 64 characters: squeue(1).
        "SLURM_BITSTR_LEN": "0",
    }
