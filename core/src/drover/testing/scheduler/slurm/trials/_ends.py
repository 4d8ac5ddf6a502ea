"""Ends that are no exit."""

from drover.models import Reason
from drover.testing.scheduler.slurm._words import Flag, State
from drover.testing.scheduler.slurm.trials._stage import (
    LONG_S,
    POLLS_S,
    SUBMIT,
    Play,
    Stage,
    trial,
    truth,
)


@trial(truth(Reason.CANCELLED, Reason.SIGNALLED))
def cancelled_by_another(stage: Stage) -> Play:
    """Somebody else cancels the job while it runs: `CANCELLED by 4711`."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.cancel()
    stage.forget()
    yield LONG_S


@trial(truth(Reason.CANCELLED, runs=0))
def cancelled_while_waiting(stage: Stage) -> Play:
    """Somebody else cancels the job while it waits."""
    yield SUBMIT
    yield POLLS_S
    stage.cancel()
    yield LONG_S


@trial(truth(Reason.OUT_OF_MEMORY))
def out_of_memory(stage: Stage) -> Play:
    """The kernel kills a child for its memory, and the script exits 0."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end(0)
    stage.become(State.OUT_OF_MEMORY, "OutOfMemory", 125)
    yield LONG_S


@trial(truth(Reason.WALL_TIME))
def time_limit(stage: Stage) -> Play:
    """The time limit passes: accounting says TIMEOUT 0:0."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.expire()
    yield LONG_S


@trial(truth(Reason.NODE_LOST))
def node_lost(stage: Stage) -> Play:
    """A node is lost under the job."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.vanish()
    stage.become(State.NODE_FAIL, "NodeDown", 1)
    yield LONG_S


@trial(truth(Reason.PREEMPTED))
def preempted(stage: Stage) -> Play:
    """The job is preempted."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.vanish()
    stage.become(State.PREEMPTED, "None", 15)
    yield LONG_S


@trial(truth(Reason.LAUNCH_FAILED, runs=0))
def no_output(stage: Stage) -> Play:
    """The output file cannot be opened: 0:53, and not a word."""
    yield SUBMIT
    yield 10.0
    stage.become(State.FAILED, "JobLaunchFailure", 53)
    yield LONG_S


@trial()
def completing_for_long(stage: Stage) -> Play:
    """The job is COMPLETING for ten minutes, which hides its end."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end()
    stage.change(flags=frozenset({Flag.COMPLETING}))
    yield 600.0
    stage.change(flags=frozenset[Flag]())
    yield POLLS_S
