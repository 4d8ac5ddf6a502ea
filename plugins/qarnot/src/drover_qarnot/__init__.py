"""Jobs on Qarnot's cloud, by its official package."""

from drover_qarnot._backend import QarnotBackend
from drover_qarnot._objects import NoTaskError, job_of, task_of

__all__ = ["NoTaskError", "QarnotBackend", "job_of", "task_of"]
