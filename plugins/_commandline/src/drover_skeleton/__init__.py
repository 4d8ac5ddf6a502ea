"""A backend for drover: jobs on a batch system that is spoken to by commands."""

from drover_skeleton._backend import SkeletonBackend

__all__ = ["SkeletonBackend"]
