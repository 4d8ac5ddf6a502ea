"""Jobs that are not listed, and servers that do not answer."""

from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler.slurm.trials._stage import (
    LONG_S,
    LOST,
    POLLS_S,
    SHORT_S,
    SUBMIT,
    Play,
    Stage,
    trial,
)


@trial()
def missing_from_a_listing(stage: Stage) -> Play:
    """A job that runs is missing from a listing, and accounting is not that far yet."""
    stage.slurm.accounting.lag_s = POLLS_S
    yield SUBMIT
    stage.start()
    stage.slurm.faults.add("squeue", faults.drop_rows(), times=2, after=1)
    stage.slurm.faults.add("scontrol", faults.drop_rows(), times=2, after=1)
    yield POLLS_S
    stage.end()
    yield LONG_S


@trial()
def empty_listings(stage: Stage) -> Play:
    """Listings are empty for a while, with exit code 0."""
    yield SUBMIT
    stage.start()
    empty = stage.slurm.faults.add("*", faults.say_nothing(), times=None)
    yield SHORT_S
    empty.end()
    stage.end()
    yield LONG_S


@trial()
def cut_listings(stage: Stage) -> Play:
    """The output of squeue stops in the middle of a line."""
    yield SUBMIT
    stage.start()
    cut = stage.slurm.faults.add("squeue", faults.cut(-9), times=None)
    yield SHORT_S
    cut.end()
    stage.end()
    yield LONG_S


@trial()
def not_listed_yet(stage: Stage) -> Play:
    """A job that was just taken in is in no listing yet."""
    stage.slurm.accounting.lag_s = 30.0
    stage.slurm.faults.add("squeue", faults.lag(30.0), times=3)
    yield SUBMIT
    yield POLLS_S
    stage.start()
    stage.end()
    yield LONG_S


@trial()
def purged_unseen(stage: Stage) -> Play:
    """A job ends and is purged before anybody looks, and accounting has it a minute later."""
    stage.slurm.accounting.lag_s = 60.0
    yield SUBMIT
    stage.start()
    stage.end_unseen()
    yield LONG_S


@trial(LOST)
def gone_without_a_word(stage: Stage) -> Play:
    """A job disappears from everywhere without a word or a record."""
    yield SUBMIT
    yield 1.0
    stage.start()
    yield POLLS_S
    stage.vanish()
    for job in stage.forget():
        stage.slurm.erase(job)
    yield 4 * LONG_S


@trial()
def controller_away(stage: Stage) -> Play:
    """The controller is away for half an hour; the job ends meanwhile."""
    yield SUBMIT
    stage.start()
    yield 10.0
    stage.slurm.stop()
    stage.end()
    yield LONG_S
    stage.slurm.restart()
    yield POLLS_S


@trial()
def munge_down(stage: Stage) -> Play:
    """Munged is down for a while: every command says so."""
    yield SUBMIT
    stage.start()
    yield 10.0
    stage.slurm.authentication_up = False
    yield LONG_S
    stage.slurm.authentication_up = True
    stage.end()
    yield POLLS_S


@trial()
def squeue_hangs(stage: Stage) -> Play:
    """Squeue never returns."""
    yield SUBMIT
    stage.start()
    hung = stage.slurm.faults.add("squeue", faults.lose_answer(), times=3)
    yield LONG_S
    hung.end()
    stage.end()
    yield POLLS_S


@trial()
def commands_missing(stage: Stage) -> Play:
    """The commands of Slurm cannot be found for a while."""
    yield SUBMIT
    stage.start()
    missing = stage.slurm.faults.add("*", faults.be_missing(), times=None)
    yield POLLS_S
    missing.end()
    stage.end()
    yield POLLS_S


@trial()
def stale_listings(stage: Stage) -> Play:
    """Listings show how things were a minute ago, after the end too."""
    yield SUBMIT
    yield 1.0
    stage.start()
    yield POLLS_S
    stage.end()
    yield 5.0
    stage.slurm.faults.add("squeue", faults.lag(60.0), times=4)
    yield POLLS_S
