"""Jobs on Qarnot's cloud, by its official package."""

from drover_qarnot._backend import QarnotBackend

__all__ = ["QarnotBackend"]
