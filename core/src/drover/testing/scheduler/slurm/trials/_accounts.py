"""Accounting that is late, absent, or of another opinion."""

from drover.models import Reason
from drover.testing.scheduler.slurm.trials._stage import (
    LONG_S,
    POLLS_S,
    SUBMIT,
    Play,
    Stage,
    plain,
    trial,
    truth,
)


@trial()
def no_accounting(stage: Stage) -> Play:
    """There is no accounting at all."""
    stage.slurm.change_site(accounting=False)
    yield from plain(stage)
    stage.forget()
    yield LONG_S


@trial()
def accounting_down(stage: Stage) -> Play:
    """Slurmdbd is down, and the job is purged."""
    stage.slurm.stop_accounting()
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end_unseen()
    yield LONG_S


@trial()
def accounting_hangs(stage: Stage) -> Play:
    """Slurmdbd hangs: sacct takes 45 s to say that it has no answer."""
    stage.slurm.freeze_accounting()
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end_unseen()
    yield LONG_S


@trial()
def accounting_lies(stage: Stage) -> Play:
    """Accounting says COMPLETED 0:0 of a job that exits 7."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    jobs = stage.end_unseen()
    stage.account(jobs, word="COMPLETED", exit_code="0:0")
    yield LONG_S


@trial()
def accounting_half(stage: Stage) -> Play:
    """Accounting knows the end of the job and not its name yet."""
    yield SUBMIT
    stage.start()
    jobs = stage.end_unseen()
    for job in jobs:
        stage.slurm.account_half(job)
    yield POLLS_S
    stage.account(jobs, changes={})
    yield LONG_S


@trial(truth(Reason.EXITED, code=0))
def step_says_otherwise(stage: Stage) -> Play:
    """The job is COMPLETED, its step CANCELLED."""
    yield SUBMIT
    stage.start()
    jobs = stage.end_unseen(0)
    stage.account(jobs, step_word="CANCELLED")
    yield LONG_S


@trial(truth(Reason.EXITED, code=137))
def mangled_code(stage: Stage) -> Play:
    """The exit code is 137, of which accounting makes 9."""
    yield SUBMIT
    stage.start()
    yield POLLS_S
    stage.end_unseen(137)
    yield LONG_S


@trial(caller={"TZ": "Asia/Tokyo"})
def another_zone(stage: Stage) -> Play:
    """Times are printed in another zone."""
    stage.slurm.change_site(zone="America/New_York")
    yield from plain(stage)
