"""What has gone wrong for clients of Slurm, each as a play that provokes it.

A trial is played on a `SlurmScheduler(run_for_real=True, auto=False)` by whoever tests a client:

    for step in trial.play(Stage(slurm, gate)):
        ...

Each step says what to do before the play goes on: `SUBMIT` a job that runs `gate.argv`, with
`Trial.fields` in its specification; `CANCEL` it; `KILL_CLIENT`; or let so many seconds pass, during
which the client may look as often as it likes. When the play is over the client must have come to
the trial's `truth`. What stands in `Trial.caller` is in the environment of the client's process.
"""

from drover.testing.scheduler.slurm.trials import (
    _absence,
    _accounts,
    _cancels,
    _ends,
    _restarts,
    _states,
    _submitting,
    _text,
    _waits,
)
from drover.testing.scheduler.slurm.trials._stage import (
    CANCEL,
    KILL_CLIENT,
    SUBMIT,
    TRIALS,
    Play,
    Stage,
    Step,
    Trial,
    Truth,
)

__all__ = ["CANCEL", "KILL_CLIENT", "SUBMIT", "TRIALS", "Play", "Stage", "Step", "Trial", "Truth"]

# Importing them has filled TRIALS.
del _absence, _accounts, _cancels, _ends, _restarts, _states, _submitting, _text, _waits
