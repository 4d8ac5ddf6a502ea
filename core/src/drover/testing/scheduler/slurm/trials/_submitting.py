"""Submissions whose answer is lost, late or wrong."""

from drover.models import Reason
from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler._calls import Reply
from drover.testing.scheduler._faults import Fault
from drover.testing.scheduler.slurm.trials._stage import (
    FOREIGN,
    LONG_S,
    LOST,
    POLLS_S,
    SUBMIT,
    TIMED_OUT,
    Play,
    Stage,
    trial,
    truth,
)


@trial()
def answer_lost(stage: Stage) -> Play:
    """Sbatch times out, the job was accepted."""
    stage.slurm.faults.add("sbatch", faults.lose_answer())
    yield SUBMIT
    yield 60.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def failure_reported_falsely(stage: Stage) -> Play:
    """Sbatch says that it failed, and the job was accepted."""
    stage.slurm.faults.add("sbatch", faults.deny(TIMED_OUT, took_s=10.0))
    yield SUBMIT
    yield 60.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def sbatch_killed(stage: Stage) -> Play:
    """Sbatch is killed after the job was accepted."""
    stage.slurm.faults.add("sbatch", faults.be_killed())
    yield SUBMIT
    yield 60.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def answer_cut(stage: Stage) -> Play:
    """Sbatch prints its answer cut short, and nothing else is wrong."""
    stage.slurm.faults.add("sbatch", faults.cut(0))
    yield SUBMIT
    yield 60.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def controller_hangs(stage: Stage) -> Play:
    """The controller hangs at the submission, and takes the job when it wakes."""
    stage.slurm.freeze()
    yield SUBMIT
    yield 60.0
    stage.slurm.wake()
    yield 60.0
    yield from _run_all(stage)


@trial()
def accepted_late(stage: Stage) -> Play:
    """A submission that failed is carried out two hours later."""
    stage.slurm.faults.add("sbatch", _late(7200.0))
    stage.slurm.faults.add("sbatch", faults.refuse(TIMED_OUT), after=1)
    yield SUBMIT
    yield 7200.0
    yield 60.0
    yield from _run_all(stage)


def _late(seconds: float) -> Fault:
    return faults.accept_late(seconds, Reply(errors=TIMED_OUT.encode(), code=1))


def _run_all(stage: Stage) -> Play:
    """Start whatever was accepted, again and again: a client may submit once more."""
    for _ in range(4):
        stage.run_whatever_waits()
        yield LONG_S


@trial()
def request_lost(stage: Stage) -> Play:
    """The submission never arrives."""
    stage.slurm.faults.add("sbatch", faults.lose_request())
    yield SUBMIT
    yield LONG_S
    yield from _run_all(stage)


@trial(LOST)
def id_handed_out_again(stage: Stage) -> Play:
    """The controller crashes, forgets the job, and gives its id to somebody's job."""
    yield SUBMIT
    yield 1.0
    stage.start()
    lost = stage.slurm.crash(lose_s=60.0)
    stage.slurm.erase(lost[-1])
    another = stage.running_neighbour("another", user="eve", uid=FOREIGN)
    yield POLLS_S
    stage.slurm.finish(another.job_id, 0)
    yield 4 * LONG_S


@trial()
def old_job_of_the_same_id(stage: Stage) -> Play:
    """Accounting has an old job of the same id, which failed."""
    slurm = stage.slurm
    ancient = stage.running_neighbour("ancient")
    slurm.finish(ancient.job_id, 99)
    slurm.advance(5.0)
    slurm.forget(ancient.job_id)
    slurm.controller.memory.next_id = ancient.job_id
    slurm.accounting.lag_s = 600.0
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end_unseen()
    yield LONG_S


@trial()
def submit_limit(stage: Stage) -> Play:
    """There are too many jobs of the user for a while."""
    stage.slurm.change_site(max_submit_jobs=0)
    yield SUBMIT
    yield 600.0
    stage.slurm.change_site(max_submit_jobs=None)
    yield LONG_S
    yield from _run_all(stage)


@trial()
def job_count_limit(stage: Stage) -> Play:
    """The controller holds as many jobs as it may for a while."""
    stage.slurm.change_site(max_job_count=0)
    yield SUBMIT
    yield 600.0
    stage.slurm.change_site(max_job_count=10_000)
    yield LONG_S
    yield from _run_all(stage)


@trial(truth(Reason.REFUSED, runs=0))
def refused_with_a_record(stage: Stage) -> Play:
    """A submission is refused, and leaves a failed job that bears the token."""
    stage.slurm.change_site(memory_mb=1)
    yield SUBMIT
    yield LONG_S
