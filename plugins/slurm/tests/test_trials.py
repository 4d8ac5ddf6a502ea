"""The real engine and this backend come through all that went wrong for others, in virtual time."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import drover
from drover.models import Verb
from drover.testing import BackendDriver, FakeClock
from drover.testing.scheduler import Gate, SlurmScheduler
from drover.testing.scheduler.slurm.trials import CANCEL, KILL_CLIENT, SUBMIT, TRIALS, Stage, Trial


@pytest.fixture
def scheduler() -> Iterator[SlurmScheduler]:
    """Give a cluster whose jobs run for real, when they are told."""
    # The backend asks for what was submitted of late, by the machine's own clock.
    clock = FakeClock(now=time.time())
    with SlurmScheduler(run_for_real=True, auto=False, clock=clock) as made:
        yield made


def play(trial: Trial, stage: Stage, driver: BackendDriver) -> drover.Job:
    """Play a trial to its end; gives the job."""
    jobs: list[drover.Job] = []
    for step in trial.play(stage):
        if step is SUBMIT:
            jobs += [driver.session.submit(stage.gate.argv, **trial.fields)]
            driver.settle()
        elif step is CANCEL:
            driver.session.ask(jobs, Verb.CANCEL, timeout=0.0)
            driver.settle()
        elif step is KILL_CLIENT:
            driver.crash()
        else:
            driver.advance(step)
    return jobs[0]


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_it_comes_to_the_truth(
    trial: Trial,
    scheduler: SlurmScheduler,
    driver: BackendDriver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What went wrong for others must not go wrong here."""
    for name, value in {**os.environ, **trial.caller}.items():
        monkeypatch.setenv(name, value)
    gate = Gate(tmp_path / "gate")
    job = play(trial, Stage(scheduler, gate), driver)

    outcome = job.outcome
    reason, code = (outcome.reason, outcome.exit_code) if outcome else (None, None)
    assert trial.truth.accepts(reason, code), driver.story([job.record])
    assert trial.truth.runs == gate.starts, driver.story([job.record])
    assert trial.truth.shows in str(job.record.native_state)
