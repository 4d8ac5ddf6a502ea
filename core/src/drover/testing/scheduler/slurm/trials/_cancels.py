"""Cancelling when it does not go smoothly."""

from typing import Final

from drover.models import Reason
from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler.slurm.trials._stage import (
    CANCEL,
    LONG_S,
    POLLS_S,
    SUBMIT,
    Play,
    Stage,
    Truth,
    trial,
    truth,
)

_CANCELLED: Final = truth(Reason.CANCELLED)


@trial(_CANCELLED)
def cancel_in_an_outage(stage: Stage) -> Play:
    """Scancel cannot reach the controller at first."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.slurm.stop()
    yield CANCEL
    yield 60.0
    stage.slurm.restart()
    yield LONG_S


@trial(Truth(reasons=frozenset({Reason.CANCELLED}), may_be_open=True))
def cancel_without_effect(stage: Stage) -> Play:
    """Scancel says nothing, and nothing happens."""
    stage.slurm.faults.add("scancel", faults.refuse("", 0))
    yield SUBMIT
    stage.start()
    yield POLLS_S
    yield CANCEL
    yield LONG_S


@trial()
def cancel_too_late(stage: Stage) -> Play:
    """The job has ended when it is cancelled; scancel says nothing."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end()
    yield CANCEL
    yield LONG_S
