"""A backend for drover: jobs on Grid Engine, or on whatever else has a DRMAA library."""

from drover_drmaa._backend import DrmaaBackend

__all__ = ["DrmaaBackend"]
