"""Each trial provokes what it says: it fools the client that it was seen to fool."""

import shlex
from pathlib import Path

import pytest
from slurm_careless import Careless, Mistake

from drover.testing.scheduler import ScriptedContext, SlurmScheduler
from drover.testing.scheduler._gate import Gate
from drover.testing.scheduler.slurm.trials import CANCEL, KILL_CLIENT, SUBMIT, TRIALS, Stage

LOOK_S = 10.0

FOOLED = {
    "missing_from_a_listing": Mistake.ABSENT_IS_DONE,
    "empty_listings": Mistake.ABSENT_IS_DONE,
    "cut_listings": Mistake.ABSENT_IS_DONE,
    "not_listed_yet": Mistake.ABSENT_IS_DONE,
    "purged_unseen": Mistake.ABSENT_IS_DONE,
    "gone_without_a_word": Mistake.ABSENT_IS_DONE,
    "controller_away": Mistake.ERROR_IS_ABSENCE,
    "munge_down": Mistake.ERROR_IS_ABSENCE,
    "squeue_hangs": Mistake.NO_TIMEOUT,
    "commands_missing": Mistake.NO_TIMEOUT,
    "stale_listings": Mistake.FORGETS,
    "no_accounting": Mistake.BELIEVES_ACCOUNTING,
    "accounting_down": Mistake.BELIEVES_ACCOUNTING,
    "accounting_hangs": Mistake.BELIEVES_ACCOUNTING,
    "accounting_lies": Mistake.BELIEVES_ACCOUNTING,
    "accounting_half": Mistake.NAME_IS_IDENTITY,
    "step_says_otherwise": Mistake.BELIEVES_STEPS,
    "mangled_code": Mistake.BELIEVES_ACCOUNTING,
    "another_zone": Mistake.LOCAL_TIME,
    "cancel_in_an_outage": Mistake.BELIEVES_CANCEL,
    "cancel_without_effect": Mistake.BELIEVES_CANCEL,
    "cancel_too_late": Mistake.BELIEVES_CANCEL,
    "cancelled_by_another": Mistake.UNKNOWN_IS_ACTIVE,
    "cancelled_while_waiting": Mistake.BELIEVES_ACCOUNTING,
    "out_of_memory": Mistake.BELIEVES_ACCOUNTING,
    "time_limit": Mistake.BELIEVES_ACCOUNTING,
    "node_lost": Mistake.BELIEVES_ACCOUNTING,
    "preempted": Mistake.BELIEVES_ACCOUNTING,
    "no_output": Mistake.BELIEVES_ACCOUNTING,
    "requeued": Mistake.LOCAL_TIME,
    "preempted_for_good": Mistake.BELIEVES_ACCOUNTING,
    "client_killed_at_the_submission": Mistake.REMEMBERS_NOTHING,
    "client_killed_meanwhile": Mistake.REMEMBERS_NOTHING,
    "completing_for_long": Mistake.UNKNOWN_IS_DONE,
    "strange_neighbour": Mistake.STRICT_WORDS,
    "answer_lost": Mistake.SUBMITS_AGAIN,
    "failure_reported_falsely": Mistake.SUBMITS_AGAIN,
    "sbatch_killed": Mistake.SUBMITS_AGAIN,
    "answer_cut": Mistake.SUBMITS_AGAIN,
    "controller_hangs": Mistake.FAILED_IS_REFUSED,
    "accepted_late": Mistake.FAILED_IS_REFUSED,
    "request_lost": Mistake.FAILED_IS_REFUSED,
    "id_handed_out_again": Mistake.ID_IS_IDENTITY,
    "old_job_of_the_same_id": Mistake.BELIEVES_ACCOUNTING,
    "submit_limit": Mistake.FAILED_IS_REFUSED,
    "job_count_limit": Mistake.FAILED_IS_REFUSED,
    "refused_with_a_record": Mistake.ADOPTS_BY_NAME,
    "wild_neighbours": Mistake.STRICT_LINES,
    "noise": Mistake.STRICT_LINES,
    "bad_bytes": Mistake.STRICT_BYTES,
    "repeated_rows": Mistake.ONE_ROW,
    "shuffled_rows": Mistake.IN_ORDER,
    "habits": Mistake.INHERITS,
    "held_by_an_administrator": Mistake.SHOWS_STATE,
    "reason_of_many_words": Mistake.SHOWS_STATE,
    "launch_failed_held": Mistake.SHOWS_STATE,
    **{name: Mistake.UNKNOWN_IS_DONE for name in TRIALS if name.startswith("shows_")},
}
"""Which mistake each trial turns into a wrong answer."""


def test_every_trial_has_a_victim() -> None:
    """A trial that fools nobody tests nothing."""
    assert set(TRIALS) == set(FOOLED)


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_fools_a_careless_client(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong for others goes wrong here, or the trial is no trial."""
    # Output that nobody placed goes where sbatch was called.
    monkeypatch.chdir(tmp_path)
    trial = TRIALS[name]
    gate = Gate(tmp_path / "gate")
    with SlurmScheduler(run_for_real=True, auto=False) as slurm:
        context = ScriptedContext.on(slurm, tmp_path / "home", caller=trial.caller)
        script = f"#!/bin/sh\nexec {shlex.join(gate.argv)}\n".encode()
        client = Careless(context, slurm, script, FOOLED[name])
        stage = Stage(slurm, gate)
        for step in trial.play(stage):
            if step is SUBMIT:
                client.act(client.submit)
            elif step is KILL_CLIENT:
                client.act(client.die)
            elif step is CANCEL:
                client.act(client.cancel)
            else:
                for _ in range(int(step // LOOK_S) + 1):
                    client.act(client.look)
                    slurm.advance(LOOK_S)

        final = client.verdicts[-1] if client.verdicts else None
        right = trial.truth.accepts(*(final or (None, None)))
        retracted = any(
            before and not after
            for before, after in zip(client.verdicts, client.verdicts[1:], strict=False)
        )
        shown = trial.truth.shows in " ".join(client.shown)
        assert (
            not right
            or client.stuck
            or client.premature
            or retracted
            or not shown
            or gate.starts != trial.truth.runs
        ), (client.mistake, client.verdicts, gate.starts)
