"""Jobs that come back, and clients that do."""

from drover.models import Reason
from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler.slurm._words import State
from drover.testing.scheduler.slurm.trials._stage import (
    KILL_CLIENT,
    LONG_S,
    POLLS_S,
    SUBMIT,
    Play,
    Stage,
    Truth,
    trial,
    truth,
)


@trial(Truth(runs=2), requeue=True)
def requeued(stage: Stage) -> Play:
    """The controller requeues the job, which may be, and it runs again under the same id."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.requeue()
    yield POLLS_S
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial(truth(Reason.PREEMPTED), requeue=True)
def preempted_for_good(stage: Stage) -> Play:
    """The job may be requeued, but this partition cancels what it preempts."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.vanish()
    stage.become(State.PREEMPTED, "None", 15)
    yield LONG_S


@trial()
def client_killed_at_the_submission(stage: Stage) -> Play:
    """The client is killed after the job was accepted, before it has read the id."""
    stage.slurm.faults.add("sbatch", faults.lose_answer())
    yield SUBMIT
    yield KILL_CLIENT
    yield POLLS_S
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def client_killed_meanwhile(stage: Stage) -> Play:
    """The client is killed while the job runs, and comes back when nothing lists it any more."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    yield KILL_CLIENT
    stage.slurm.erase(stage.end_unseen()[-1])
    yield LONG_S
