"""A backend for drover: jobs on a Slurm cluster."""

from drover_slurm._backend import SlurmBackend

__all__ = ["SlurmBackend"]
