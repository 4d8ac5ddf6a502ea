"""What users of other clients wrote about, and the plays of it that this backend comes through.

`test_trials.py` plays them all: the real engine, jobs that run for real, virtual time, no cluster.
"""

import time
from collections.abc import Mapping
from typing import Final

import pytest

import drover
from drover.testing import BackendDriver, FakeClock
from drover.testing.scheduler import SlurmScheduler
from drover.testing.scheduler.slurm.trials import TRIALS

DEFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "what a listing leaves out is taken for finished": (
        "missing_from_a_listing", "empty_listings", "cut_listings", "not_listed_yet",
        "purged_unseen", "stale_listings", "gone_without_a_word",
    ),
    "a query that failed is taken for an answer": (
        "controller_away", "munge_down", "squeue_hangs", "commands_missing",
    ),
    "one row that cannot be read freezes all jobs": (
        "wild_neighbours", "strange_neighbour", "reason_of_many_words", "repeated_rows",
        "shuffled_rows",
    ),
    "a word that nobody expected is taken for an end, or for none": (
        *(name for name in TRIALS if name.startswith("shows_")), "completing_for_long",
        "cancelled_by_another", "cancelled_while_waiting",
    ),
    "a job that dies by Slurm's hand is waited for without end, or told as an exit": (
        "out_of_memory", "time_limit", "node_lost", "preempted", "no_output",
    ),
    "a submission whose answer was lost is made again, and runs twice": (
        "answer_lost", "failure_reported_falsely", "sbatch_killed", "answer_cut",
        "controller_hangs", "accepted_late", "request_lost",
    ),
    "accounting that is absent, late or wrong decides": (
        "no_accounting", "accounting_down", "accounting_hangs", "accounting_lies",
        "accounting_half", "step_says_otherwise", "mangled_code", "another_zone",
    ),
    "a limit on submitted jobs is taken for a failure of the job": (
        "submit_limit", "job_count_limit",
    ),
    "a cancel is believed because scancel said nothing": (
        "cancel_in_an_outage", "cancel_without_effect", "cancel_too_late",
    ),
    "an id that was handed out again is taken for the job": (
        "id_handed_out_again", "old_job_of_the_same_id", "refused_with_a_record",
    ),
    "a client that dies loses its jobs, or hands them over again": (
        "client_killed_at_the_submission", "client_killed_meanwhile",
    ),
    "a job that Slurm runs again is taken for another, or waited for in vain": (
        "requeued", "preempted_for_good",
    ),
    "the caller's own variables change formats, clusters and jobs": ("habits",),
    "a held job waits and nobody is told": ("held_by_an_administrator", "launch_failed_held"),
    "noise and bytes that are no text stop the reader": ("noise", "bad_bytes"),
}  # fmt: skip


def test_every_play_is_of_a_defect() -> None:
    """A play without a name is one that nobody looks for."""
    assert sorted(TRIALS) == sorted(name for names in DEFECTS.values() for name in names)


@pytest.mark.parametrize("says", DEFECTS)
def test_a_defect_has_its_plays(says: str) -> None:
    """A name without a play proves nothing."""
    assert DEFECTS[says]
    assert set(DEFECTS[says]) <= set(TRIALS)


@pytest.fixture
def scheduler() -> SlurmScheduler:
    """Give a cluster on which nothing starts."""
    return SlurmScheduler(clock=FakeClock(now=time.time()))


def test_a_thousand_jobs_are_asked_for_together(
    scheduler: SlurmScheduler, driver: BackendDriver
) -> None:
    """A question per job and poll is what brings controllers down."""
    driver.session.submit_many([drover.JobSpec(argv=("true",), name=f"n{n}") for n in range(1000)])
    driver.settle()
    submitted = dict(scheduler.load)
    driver.advance(600.0)
    asked = scheduler.load

    assert {"sbatch": 1} == {name: submitted[name] for name in ("sbatch",)}
    questions = sum(asked.values()) - sum(submitted.values())
    assert 5 <= questions <= 40
    assert {"squeue"} == {call.name for call in scheduler.heard()[sum(submitted.values()) :]}
