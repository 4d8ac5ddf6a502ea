"""Jobs that wait for ever."""

from drover.testing.scheduler.slurm.trials._stage import LONG_S, SUBMIT, Play, Stage, trial, waits


@trial(waits("JobHeldAdmin"))
def held_by_an_administrator(stage: Stage) -> Play:
    """An administrator holds the job."""
    yield SUBMIT
    yield 10.0
    for job in stage.mine:
        stage.slurm.hold(job.native_id, by="admin")
    yield 4 * LONG_S


@trial(waits("ReqNodeNotAvail, UnavailableNodes:node[1-4]"))
def reason_of_many_words(stage: Stage) -> Play:
    """The job waits for ever for a reason of many words."""
    yield SUBMIT
    reason = "ReqNodeNotAvail, UnavailableNodes:node[1-4]"
    stage.change(reason=reason)
    yield 4 * LONG_S


@trial(waits("launch failed requeued held"))
def launch_failed_held(stage: Stage) -> Play:
    """The launch failed, and Slurm holds the job."""
    yield SUBMIT
    yield 10.0
    stage.change(held_by="admin", priority=0, reason="launch failed requeued held")
    yield 4 * LONG_S
