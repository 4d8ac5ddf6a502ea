"""Batch systems that are scripts: the commands of a real one, without a cluster.

A backend object is tested in process on a `ScriptedContext`, in virtual time; a real engine and
the `drover` command find a scripted scheduler on PATH with `ScriptedPrograms`. `faults` are what
goes wrong, `Weather` is what goes wrong by chance.
"""

from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler._calls import Call, Reply, Row
from drover.testing.scheduler._context import ScriptedContext
from drover.testing.scheduler._faults import Fault, Faults, Planned
from drover.testing.scheduler._gate import Gate
from drover.testing.scheduler._programs import ScriptedPrograms
from drover.testing.scheduler._scheduler import Heard, Scheduler
from drover.testing.scheduler._weather import Weather
from drover.testing.scheduler.slurm import SlurmScheduler, SlurmSite

__all__ = [
    "Call",
    "Fault",
    "Faults",
    "Gate",
    "Heard",
    "Planned",
    "Reply",
    "Row",
    "Scheduler",
    "ScriptedContext",
    "ScriptedPrograms",
    "SlurmScheduler",
    "SlurmSite",
    "Weather",
    "faults",
]
